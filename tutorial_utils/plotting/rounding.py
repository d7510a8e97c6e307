"""What rounding does to a weight while it is trained, and to the marks that it may lie on."""

from collections.abc import Mapping, Sequence

from tutorial_utils.errors import requires_extra
from tutorial_utils.plotting.style import COLOURS, ink

with requires_extra("plots"):
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure


def show_weight_paths(
    paths: Mapping[str, Sequence[tuple[float, float]]], target: float, marks: Sequence[float]
) -> Figure:
    """A panel for each training of one weight: the hidden weight and the rounded one, by step.

    Args:
        paths: by title, (hidden, rounded) of each step.
        target: the best weight, a dashed line.
        marks: values that a rounded weight may have, thin lines.
    """
    size = (5.4, 1.2 + 1.35 * len(paths))
    figure, axes = plt.subplots(
        len(paths), 1, figsize=size, sharex=True, sharey=True, squeeze=False
    )
    for ax, (title, path) in zip(axes[:, 0], paths.items(), strict=True):
        hidden, rounded = zip(*path, strict=True)
        ax.grid(False)
        for mark in marks:
            ax.axhline(mark, color="#dddddd", linewidth=0.8, zorder=0)
        ax.axhline(target, color="#999999", linestyle="--", linewidth=1, label="best weight")
        ax.plot(rounded, drawstyle="steps-post", color=COLOURS["qat"], label="rounded")
        ax.plot(hidden, color=COLOURS["float"], linewidth=1.2, label="hidden")
        ax.set_title(title, loc="left", fontsize="medium")
    axes[0, 0].legend(ncols=3, loc="lower right", fontsize="small")
    axes[-1, 0].set_xlabel("step")
    figure.supylabel("weight", fontsize="medium")
    return figure


def show_rulers(rulers: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Two rulers for each title: the marks of training above the line, of conversion below it.

    Args:
        rulers: by title, the values of the integers in training and in the converted model.
    """
    looks = (("training", 1, COLOURS["qat"]), ("conversion", -1, COLOURS["ptq"]))
    figure, axes = plt.subplots(
        len(rulers), 1, figsize=(5.4, 0.6 + 0.9 * len(rulers)), sharex=True, squeeze=False
    )
    for ax, (title, both) in zip(axes[:, 0], rulers.items(), strict=True):
        for (name, side, colour), marks in zip(looks, both, strict=True):
            ax.vlines(marks, 0, side, colors=colour, linewidth=min(2, 60 / len(marks)))
            ax.annotate(
                name, (1, 0.5 + 0.35 * side), xycoords=("axes fraction", "axes fraction"),
                xytext=(4, 0), textcoords="offset points", color=ink(colour),
                verticalalignment="center", fontsize="small",
            )  # fmt: skip
        ax.axhline(0, color="#777777", linewidth=1)
        ax.set(yticks=[], ylim=(-1.3, 1.3))
        ax.grid(False)
        ax.spines["left"].set_visible(False)
        ax.set_title(title, loc="left", fontsize="medium")
    axes[-1, 0].set_xlabel("weight")
    return figure
