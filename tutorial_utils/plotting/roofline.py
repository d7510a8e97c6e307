"""What a machine allows, and what the layers of a network reach."""

from collections.abc import Mapping, Sequence

from tutorial_utils.errors import requires_extra
from tutorial_utils.measuring.roofline import LayerSpeed, Roofline
from tutorial_utils.plotting.style import COLOURS

with requires_extra("plots"):
    import numpy as np
    from matplotlib.axes import Axes


def plot_roofline(ax: Axes, roofline: Roofline, speeds: Mapping[str, Sequence[LayerSpeed]]) -> Axes:
    """The limits as lines, and a dot for each layer; both axes are logarithmic.

    Args:
        ax: empty.
        roofline: the limits in 32-bit floats; in 8-bit integers the roof is drawn dashed.
        speeds: by label, the layers of a network or a single one.
    """
    points = [layer for layers in speeds.values() for layer in layers]
    left = min([layer.macs_per_byte for layer in points] + [roofline.ridge / 10])
    right = max([layer.macs_per_byte for layer in points] + [roofline.ridge * 10])
    x = np.geomspace(left / 2, right * 2, 200)
    ax.plot(x, [roofline.limit(value) for value in x], color=COLOURS["float"], zorder=1)
    int8 = np.minimum(x * roofline.gb_per_s, roofline.int8_gmacs_per_s)
    ax.plot(x, int8, color=COLOURS["ptq"], linestyle="--", linewidth=1, zorder=0)
    for text, height in (
        ("int8", roofline.int8_gmacs_per_s),
        ("float32", roofline.gmacs_per_s),
    ):
        ax.annotate(text, (x[-1], height), (-2, 4), textcoords="offset points", ha="right")
    for (label, layers), marker in zip(speeds.items(), "os^Dv", strict=False):
        at = [layer.macs_per_byte for layer in layers], [layer.gmacs_per_s for layer in layers]
        ax.plot(*at, marker, label=label, alpha=0.8)
    ax.set(
        xscale="log", yscale="log", xlabel="MACs for each byte moved", ylabel="10⁹ MACs a second"
    )
    ax.legend(loc="lower right")
    return ax
