"""The figures of the book, in one style that is applied when this group is imported.

Each ``plot_*`` function draws on the axes it is given and returns them; each ``show_*`` function
makes a figure and returns it. `show` puts a figure below a cell, together with its alternative
text. The same technique has the same colour in every chapter: `COLOURS`.

>>> figure, ax = plt.subplots()
>>> ax.plot([8, 4, 2], [0.9, 0.8, 0.3], color=COLOURS["ptq"], label="PTQ") and None
>>> label_directly(ax).texts[0].get_text()
'PTQ'
>>> plt.close(figure)
"""

from tutorial_utils.errors import requires_extra

with requires_extra("plots"):
    import matplotlib.pyplot as plt

from tutorial_utils.plotting.bars import plot_bars, plot_channel_ranges, plot_shares
from tutorial_utils.plotting.bits import Stage, show_stages
from tutorial_utils.plotting.curves import (
    plot_curves,
    plot_intervals,
    plot_minimum,
    plot_share_of_time,
    plot_staircase,
)
from tutorial_utils.plotting.gains import plot_gains, plot_ratios, plot_training
from tutorial_utils.plotting.images import show_images, show_soft_targets
from tutorial_utils.plotting.labels import label_directly, label_points
from tutorial_utils.plotting.pareto import plot_pareto
from tutorial_utils.plotting.roofline import plot_roofline
from tutorial_utils.plotting.rounding import show_rulers, show_weight_paths
from tutorial_utils.plotting.runs import plot_pairs
from tutorial_utils.plotting.showing import show
from tutorial_utils.plotting.sparsity import show_over_sparsity
from tutorial_utils.plotting.strips import show_recipes, technique_of
from tutorial_utils.plotting.style import COLOURS, MARKERS, STYLE, ink

plt.rcParams.update(STYLE)
