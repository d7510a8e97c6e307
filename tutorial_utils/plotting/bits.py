"""From a row of weights to bits: each stage of the way in columns below the last."""

from collections.abc import Sequence
from typing import NamedTuple

from tutorial_utils.errors import requires_extra
from tutorial_utils.plotting.style import COLOURS, ink

with requires_extra("plots"):
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure


class Stage(NamedTuple):
    """What is written at one stage: a text for each column, "" where nothing is written."""

    title: str
    texts: Sequence[str]
    technique: str
    note: str = ""


def show_stages(stages: Sequence[Stage]) -> Figure:
    """A row of boxes for each stage, a column for each weight; zeros are pale, gaps stay empty.

    Args:
        stages: with equally many texts each; the technique, a key of `COLOURS`, gives the colour,
            and the note stands at the right end of the row.
    """
    n_columns = len(stages[0].texts)
    figure, ax = plt.subplots(figsize=(9.5, 0.7 * len(stages)))
    for line, (title, texts, technique, note) in enumerate(stages):
        ax.text(-0.3, line, title, ha="right", va="center")
        ax.text(n_columns + 0.3, line, note, va="center")
        for column, text in enumerate(texts):
            if text:
                colour = "#b0b0b0" if text == "0" and line == 0 else ink(COLOURS[technique])
                corner = (column + 0.04, line - 0.4)
                ax.add_patch(plt.Rectangle(corner, 0.92, 0.8, color=colour, linewidth=0))
                ax.text(column + 0.5, line, text, ha="center", va="center", color="white",
                        fontsize=9)  # fmt: skip
    ax.set(xlim=(0, n_columns), ylim=(len(stages) - 0.5, -0.5))
    ax.axis("off")
    return figure
