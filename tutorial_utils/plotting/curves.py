"""Curves over a setting: accuracy, error, time."""

from collections.abc import Collection, Mapping, Sequence

import torch

from tutorial_utils.errors import requires_extra
from tutorial_utils.plotting.style import COLOURS

with requires_extra("plots"):
    from matplotlib.axes import Axes


def plot_intervals(
    ax: Axes,
    x: Sequence[float],
    values: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    label: str | None = None,
    colour: str | None = None,
) -> Axes:
    """A line through ``values`` with a bar from the low to the high end of each interval."""
    below = [value - low for value, (low, _) in zip(values, intervals, strict=True)]
    above = [high - value for value, (_, high) in zip(values, intervals, strict=True)]
    ax.errorbar(x, values, yerr=[below, above], marker="o", label=label, color=colour)
    return ax


def plot_curves(
    ax: Axes, x: Sequence[float], curves: Mapping[str, Sequence[float]], named: Collection[str]
) -> Axes:
    """One line for each curve: those in ``named`` in colour with a label, the others thin."""
    for name, values in curves.items():
        if name in named:
            ax.plot(x, values, marker="o", markersize=4, label=name)
        else:
            ax.plot(x, values, color="lightgray", linewidth=1, zorder=1)
    return ax


def plot_minimum(ax: Axes, x: torch.Tensor, y: torch.Tensor, label: str) -> Axes:
    """A curve with a dot at its lowest point."""
    (line,) = ax.plot(x, y, label=label)
    lowest = int(y.argmin())
    ax.plot(x[lowest], y[lowest], "o", color=line.get_color())
    return ax


def plot_staircase(top: Axes, bottom: Axes, x: torch.Tensor, x_hat: torch.Tensor) -> None:
    """What a quantizer returns for each ``x`` (above), and its error ``x_hat - x`` (below)."""
    top.plot(x, x, color="gray", linestyle="--", label="x")
    top.plot(x, x_hat, drawstyle="steps-mid", label="quantized", color=COLOURS["ptq"])
    top.set_ylabel("quantized value")
    top.legend()
    bottom.plot(x, x_hat - x, color=COLOURS["structured"])
    bottom.axhline(0, color="gray", linewidth=0.5)
    bottom.set(xlabel="x", ylabel="error")


def plot_share_of_time(
    ax: Axes, shares: Sequence[float], times_ms: Sequence[float], label: str
) -> Axes:
    """Time against MACs, both as shares of the first network's, which has all the MACs."""
    ax.plot(shares, [time_ms / times_ms[0] for time_ms in times_ms], marker="o", label=label)
    ax.set(xlabel="share of the MACs", ylabel="share of the time", xlim=(0, None), ylim=(0, None))
    return ax
