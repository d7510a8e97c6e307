"""What a model costs against what it is worth."""

from collections.abc import Sequence

from tutorial_utils.errors import check_choice, requires_extra
from tutorial_utils.measuring import pareto_front
from tutorial_utils.plotting.labels import label_points
from tutorial_utils.plotting.style import COLOURS, MARKERS

with requires_extra("plots"):
    from matplotlib.axes import Axes
    from matplotlib.ticker import LogLocator, NullLocator


def plot_pareto(
    ax: Axes,
    costs: Sequence[float],
    values: Sequence[float],
    labels: Sequence[str],
    techniques: Sequence[str] | None = None,
    intervals: Sequence[tuple[float, float]] | None = None,
) -> Axes:
    """A named dot for each model, and a line along the Pareto front; costs on a logarithmic axis.

    Set the labels of the axes before: the names of the dots are placed where nothing is.

    Args:
        ax: empty.
        costs: of each model, above 0: bytes, milliseconds.
        values: of each model: accuracy.
        labels: name of each model.
        techniques: of each model, a key of `COLOURS`, which gives its colour and marker.
        intervals: (low, high) of each value, drawn as a thin bar.

    Raises:
        InputError: for a technique that has no colour.
    """
    looks = _looks(len(labels), techniques)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    front = pareto_front(costs, values)
    ax.plot([costs[i] for i in front], [values[i] for i in front], color="#aaaaaa", zorder=1)
    models = list(zip(costs, values, labels, looks, strict=True))
    for cost, value, label, (marker, colour) in models:
        ax.plot(cost, value, marker, color=colour, markersize=8, label=label)
    for (cost, _, _, (_, colour)), (low, high) in zip(models, intervals or (), strict=False):
        ax.vlines(cost, low, high, colors=colour, linewidth=1, zorder=1)
    ax.margins(x=0.12, y=0.12)
    label_points(ax, list(zip(costs, values, strict=True)), labels, [look[1] for look in looks])
    return ax


def _looks(n_models: int, techniques: Sequence[str] | None) -> list[tuple[str, str]]:
    """Marker and colour of each model; without techniques no two of thirty look alike."""
    if techniques is None:
        return [("os^Dvp"[i % 6], f"C{i % 5}") for i in range(n_models)]
    for technique in techniques:
        check_choice("technique", technique, COLOURS)
    return [(MARKERS[technique], COLOURS[technique]) for technique in techniques]
