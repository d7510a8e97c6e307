"""Bars: shares, one value for each layer or channel."""

from collections.abc import Mapping

import torch

from tutorial_utils.errors import requires_extra

with requires_extra("plots"):
    from matplotlib.axes import Axes


def plot_bars(ax: Axes, values: Mapping[str, float]) -> Axes:
    """One bar for each name, with the names standing upright below."""
    ax.bar(range(len(values)), list(values.values()))
    ax.set_xticks(range(len(values)), list(values))
    ax.tick_params(axis="x", rotation=90, labelsize=10)
    return ax


def plot_shares(ax: Axes, series: Mapping[str, Mapping[str, int]]) -> Axes:
    """Bars, one group a layer: which share of each series' total the layer has."""
    width = 0.8 / len(series)
    names = list(next(iter(series.values())))
    for i, (label, values) in enumerate(series.items()):
        total = sum(values.values())
        positions = [position + i * width for position in range(len(names))]
        ax.bar(positions, [values[name] / total for name in names], width, label=label)
    ax.set_xticks([position + 0.4 - width / 2 for position in range(len(names))], names)
    ax.tick_params(axis="x", rotation=90, labelsize=10)
    ax.set_ylabel("share of the total")
    ax.legend()
    return ax


def plot_channel_ranges(ax: Axes, weight: torch.Tensor, title: str) -> Axes:
    """Bars: the largest magnitude in each output channel of a weight, widest first."""
    widest = weight.flatten(1).abs().amax(1).sort(descending=True).values
    ax.bar(range(len(widest)), widest.tolist())
    ax.set(title=title, xlabel="output channel, sorted", ylabel="largest |weight|")
    return ax
