"""Several runs of the same thing: one dot for each seed."""

from collections.abc import Mapping, Sequence

from tutorial_utils.errors import requires_extra

with requires_extra("plots"):
    from matplotlib.axes import Axes


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
