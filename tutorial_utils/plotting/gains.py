"""What methods gain over a baseline, and how sure that is; and how a training went."""

from collections.abc import Mapping, Sequence

from tutorial_utils.errors import requires_extra
from tutorial_utils.plotting.style import COLOURS, ink

with requires_extra("plots"):
    from matplotlib.axes import Axes

CLEAR, OPEN = COLOURS["distillation"], "#999999"


def plot_gains(ax: Axes, gains: Mapping[str, tuple[float, float, float]]) -> Axes:
    """One row for each name: a dot at the mean difference, a bar over its interval, in points.

    Args:
        gains: by name (mean, low, high) as fractions, such as a `measuring.Difference`; the first
            is drawn at the top. Intervals that include 0 are grey and have a hollow dot.
    """
    for row, (mean, low, high) in enumerate(gains.values()):
        is_open = low <= 0 <= high
        colour = OPEN if is_open else CLEAR
        ax.plot([100 * low, 100 * high], [row, row], color=colour, solid_capstyle="butt")
        ax.plot(100 * mean, row, "o", color=colour, fillstyle="none" if is_open else "full")
        ax.annotate(
            f"{100 * mean:+.1f}", (100 * mean, row), xytext=(0, 5), textcoords="offset points",
            ha="center", color=ink(colour), fontsize="small",
        )  # fmt: skip
    ax.axvline(0, color="#555555", linewidth=1, zorder=1)
    ax.set_yticks(range(len(gains)), list(gains))
    ax.set_ylim(len(gains) - 0.5, -0.6)
    ax.set_xlabel("points against the student alone, 95 % interval")
    return ax


def plot_training(
    ax: Axes, traces: Mapping[str, Mapping[int, float]], colours: Mapping[str, str]
) -> Axes:
    """A line for each training: a figure by step.

    Args:
        traces: by name, the figure at some steps.
        colours: by name.
    """
    for name, trace in traces.items():
        ax.plot(list(trace), list(trace.values()), color=colours[name], label=name)
    ax.set_xlabel("step")
    return ax


def plot_ratios(ax: Axes, x: Sequence[float], series: Mapping[str, Sequence[float]]) -> Axes:
    """Lines over x, both on logarithmic scales, with a tick at each x."""
    for label, values in series.items():
        ax.loglog(x, values, marker="o", label=label)
    ax.set_xticks(x, [f"{value:g}" for value in x])
    ax.minorticks_off()
    return ax
