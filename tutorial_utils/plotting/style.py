"""One style for all figures: colours by technique, type that can be read on a phone."""

from tutorial_utils.errors import requires_extra

with requires_extra("plots"):
    from matplotlib import cycler
    from matplotlib.colors import to_hex, to_rgb

#: Colour of each technique, the same in every chapter. Most are those of Okabe and Ito (2008),
#: which people with any kind of colour vision can tell apart.
COLOURS = {
    "float": "#555555",
    "ptq": "#0072b2",
    "qat": "#009e73",
    "unstructured": "#e69f00",
    "structured": "#d55e00",
    "distillation": "#cc79a7",
    "combined": "#56b4e9",
    "deep compression": "#882255",
}

#: Marker of each technique, so that a figure can be read without its colours.
MARKERS = dict(zip(COLOURS, "so^DvPX*", strict=True))

_CYCLE = [colour for name, colour in COLOURS.items() if name != "float"]

#: Settings of matplotlib for the figures of the book. A figure of the usual size keeps letters of
#: about ten pixels when a phone shows it 360 pixels wide.
STYLE = {
    "figure.figsize": (5.4, 3.3),
    "figure.dpi": 96,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.labelsize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "axes.prop_cycle": cycler(color=_CYCLE),
    "axes.edgecolor": "#777777",
    "axes.labelcolor": "#333333",
    "text.color": "#333333",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "errorbar.capsize": 3,
}


def ink(colour: str) -> str:
    """Return a colour, darkened until letters in it can be read on white.

    Args:
        colour: any that matplotlib knows.

    Returns:
        ``#rrggbb`` with a contrast to white of at least 4.5.

    Source:
        Web Content Accessibility Guidelines 2.2, criterion 1.4.3.

    >>> ink("black"), ink("#e69f00")
    ('#000000', '#9d6c00')
    """
    rgb = to_rgb(colour)
    while 1.05 / (_luminance(rgb) + 0.05) < 4.5:
        rgb = tuple(0.98 * channel for channel in rgb)
    return to_hex(rgb)


def _luminance(rgb: tuple[float, float, float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
