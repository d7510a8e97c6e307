"""What zeros cost and what they buy, over the same axis."""

from collections.abc import Collection, Mapping, Sequence

from tutorial_utils.errors import requires_extra
from tutorial_utils.plotting.labels import label_directly
from tutorial_utils.plotting.style import COLOURS

with requires_extra("plots"):
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

Curve = tuple[Sequence[float], Sequence[float]]


def show_over_sparsity(
    panels: Mapping[str, Mapping[str, Curve]],
    unpruned: Mapping[str, float],
    logarithmic: Collection[str] = (),
) -> Figure:
    """Panels below each other: curves over the sparsity, and a line for the network unpruned.

    Args:
        panels: by the label of the vertical axis, curves by name: (sparsities, values). Values
            that are compared to the unpruned network are shares of it.
        unpruned: for each panel, where its line is.
        logarithmic: panels whose values differ by factors.

    >>> panels = {"accuracy": {"pruned": ([0.5, 0.9], [0.9, 0.4])}}
    >>> figure = show_over_sparsity(panels, {"accuracy": 0.95})
    >>> figure.axes[0].get_ylabel(), [text.get_text() for text in figure.axes[0].texts]
    ('accuracy', ['pruned', 'unpruned'])
    >>> plt.close(figure)
    """
    size = (5.4, 0.6 + 2.1 * len(panels))
    figure, axes = plt.subplots(len(panels), 1, sharex=True, figsize=size, squeeze=False)
    for ax, (label, curves) in zip(axes[:, 0], panels.items(), strict=True):
        for name, (x, values) in curves.items():
            ax.plot(x, values, marker="o", markersize=4, label=name)
        line = ax.axhline(unpruned[label], linestyle="--", label="unpruned")
        line.set_color(COLOURS["float"])
        ax.set(ylabel=label)
        if label in logarithmic:
            ax.set_yscale("log")
        else:
            ax.set_ylim(0, None)
    axes[-1, 0].set_xlabel("sparsity")
    for ax in axes[:, 0]:
        label_directly(ax)
    return figure
