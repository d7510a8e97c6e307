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

    Columns that hold nothing but a zero are half as wide: more room for the others on a phone.

    Args:
        stages: with equally many texts each; the technique, a key of `COLOURS`, gives the colour.
            The title stands above the row, the note at its right end.
    """
    widths = [
        0.5 if set(texts) <= {"0", ""} else 1
        for texts in zip(*(s.texts for s in stages), strict=True)
    ]
    starts = [sum(widths[:column]) for column in range(len(widths) + 1)]
    figure, ax = plt.subplots(figsize=(5.6, 0.95 * len(stages)))
    for line, (title, texts, technique, note) in enumerate(stages):
        ax.text(0, line - 0.55, title, va="center")
        ax.text(starts[-1], line - 0.55, note, va="center", ha="right")
        for text, start, width in zip(texts, starts, widths, strict=False):
            if text:
                colour = "#b0b0b0" if text == "0" and line == 0 else ink(COLOURS[technique])
                corner = (start + 0.03, line - 0.36)
                ax.add_patch(plt.Rectangle(corner, width - 0.06, 0.6, color=colour, linewidth=0))
                ax.text(start + width / 2, line - 0.06, text, ha="center", va="center",
                        color="white", fontsize=10, linespacing=1)  # fmt: skip
    ax.set(xlim=(0, starts[-1]), ylim=(len(stages) - 0.7, -0.75))
    ax.axis("off")
    return figure
