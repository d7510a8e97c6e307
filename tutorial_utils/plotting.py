"""The figures of the book. Each function draws on the axes it is given and returns them."""

from collections.abc import Collection, Mapping, Sequence

import torch

from tutorial_utils.errors import requires_extra
from tutorial_utils.measuring.statistics import pareto_front

with requires_extra("plots"):
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.ticker import LogLocator, NullLocator


def show_images(images: torch.Tensor, titles: Sequence[str], n_columns: int = 8) -> None:
    """A grid of ``uint8`` images ``(N, 3, H, W)``, each with its title."""
    n_rows = -(-len(images) // n_columns)
    _, axes = plt.subplots(n_rows, n_columns, figsize=(n_columns, 1.3 * n_rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, (image, title) in zip(axes.flat, zip(images, titles, strict=True), strict=False):
        ax.imshow(image.permute(1, 2, 0).numpy())
        ax.set_title(title, fontsize=9)


def plot_intervals(
    ax: Axes,
    x: Sequence[float],
    values: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    label: str | None = None,
) -> Axes:
    """A line through ``values`` with a bar from the low to the high end of each interval."""
    below = [value - low for value, (low, _) in zip(values, intervals, strict=True)]
    above = [high - value for value, (_, high) in zip(values, intervals, strict=True)]
    ax.errorbar(x, values, yerr=[below, above], marker="o", capsize=3, label=label)
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
    ax.tick_params(axis="x", rotation=90, labelsize=7)
    ax.set_ylabel("share of the total")
    ax.legend()
    return ax


def plot_staircase(top: Axes, bottom: Axes, x: torch.Tensor, x_hat: torch.Tensor) -> None:
    """What a quantizer returns for each ``x`` (above), and its error ``x_hat - x`` (below)."""
    top.plot(x, x, color="gray", linestyle="--", label="x")
    top.plot(x, x_hat, drawstyle="steps-mid", label="quantized")
    top.set_ylabel("quantized value")
    top.legend()
    bottom.plot(x, x_hat - x, color="tab:red")
    bottom.axhline(0, color="gray", linewidth=0.5)
    bottom.set(xlabel="x", ylabel="error")


def plot_channel_ranges(ax: Axes, weight: torch.Tensor, title: str) -> Axes:
    """Bars: the largest magnitude in each output channel of a weight, widest first."""
    widest = weight.flatten(1).abs().amax(1).sort(descending=True).values
    ax.bar(range(len(widest)), widest.tolist())
    ax.set(title=title, xlabel="output channel, sorted", ylabel="largest |weight|")
    ax.title.set_fontsize(10)
    ax.figure.tight_layout()
    return ax


def plot_minimum(ax: Axes, x: torch.Tensor, y: torch.Tensor, label: str) -> Axes:
    """A curve with a dot at its lowest point."""
    (line,) = ax.plot(x, y, label=label)
    lowest = int(y.argmin())
    ax.plot(x[lowest], y[lowest], "o", color=line.get_color())
    return ax


def plot_bars(ax: Axes, values: Mapping[str, float]) -> Axes:
    """One bar for each name, with the names standing upright below."""
    ax.bar(range(len(values)), list(values.values()))
    ax.set_xticks(range(len(values)), list(values))
    ax.tick_params(axis="x", rotation=90, labelsize=7)
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


def show_soft_targets(
    images: torch.Tensor, targets: Mapping[str, torch.Tensor], classes: Sequence[str]
) -> None:
    """A column for each image: the image, and below it a row of bars for each kind of target.

    Args:
        images: uint8 (N, 3, H, W).
        targets: by title, the probabilities (N, n_classes).
        classes: name of each class.
    """
    size = (2 * len(images), 1.5 * (1 + len(targets)))
    _, axes = plt.subplots(1 + len(targets), len(images), figsize=size, squeeze=False)
    for ax, image in zip(axes[0], images, strict=True):
        ax.imshow(image.permute(1, 2, 0).numpy())
        ax.axis("off")
    for row, (title, probabilities) in zip(axes[1:], targets.items(), strict=True):
        row[0].set_ylabel(title)
        for ax, bars in zip(row, probabilities, strict=True):
            ax.bar(range(len(classes)), bars.tolist())
            ax.set(ylim=(0, 1), yticks=[0, 1])
            ax.set_xticks(range(len(classes)), classes, fontsize=7)


def plot_pairs(ax: Axes, series: Mapping[str, Sequence[float]]) -> Axes:
    """A column of dots for each name; a thin line joins the dots of the same seed.

    Args:
        series: by name, one value for each seed, in the same order; later seeds may be missing.
            The longest series come first.
    """
    for seed in range(max(map(len, series.values()))):
        line = [values[seed] for values in series.values() if seed < len(values)]
        ax.plot(range(len(line)), line, ".-", color="gray", linewidth=0.5)
    for i, values in enumerate(series.values()):
        ax.plot([i - 0.2, i + 0.2], [sum(values) / len(values)] * 2, linewidth=3)
    ax.set_xticks(range(len(series)), list(series))
    return ax


def plot_share_of_time(
    ax: Axes, shares: Sequence[float], times_ms: Sequence[float], label: str
) -> Axes:
    """Time against MACs, both as shares of the first network's, which has all the MACs."""
    ax.plot(shares, [time_ms / times_ms[0] for time_ms in times_ms], marker="o", label=label)
    ax.set(xlabel="share of the MACs", ylabel="share of the time", xlim=(0, None), ylim=(0, None))
    return ax


def plot_pareto(
    ax: Axes, costs: Sequence[float], values: Sequence[float], labels: Sequence[str]
) -> Axes:
    """A dot for each model, and a line along the Pareto front; costs on a logarithmic axis."""
    front = pareto_front(costs, values)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.plot([costs[i] for i in front], [values[i] for i in front], color="gray", zorder=1)
    for i, (cost, value, label) in enumerate(zip(costs, values, labels, strict=True)):
        marker = "os^Dvp"[i % 6]
        ax.plot(cost, value, marker, color=f"C{i % 10}", markersize=8, alpha=0.8, label=label)
    return ax
