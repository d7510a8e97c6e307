"""Names beside what they name, instead of a legend."""

from collections.abc import Sequence

from tutorial_utils.errors import requires_extra
from tutorial_utils.plotting.style import ink

with requires_extra("plots"):
    from matplotlib.axes import Axes
    from matplotlib.container import Container
    from matplotlib.patheffects import withStroke
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

_GAP = 6  # points between a thing and its name


def label_directly(ax: Axes) -> Axes:
    """Write the name of each line at its right end, in its colour, and remove the legend.

    Names that would overlap are moved apart. Call it last: it measures what has been drawn. What
    has no label, or one that begins with an underscore, gets no name.

    Args:
        ax: with lines, error bars, ``axhline`` and the like.
    """
    if ax.get_legend():
        ax.get_legend().remove()
    ax.figure.draw_without_rendering()
    right = min if ax.xaxis_inverted() else max
    names = []
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
        line = handle[0] if isinstance(handle, Container) else handle
        end = right(line.get_xydata().tolist(), key=lambda point: point[0])
        names.append(_name(ax, label, end, line.get_transform(), line.get_color()))
    _move_apart_(ax, names)
    return ax


def _name(ax: Axes, text: str, point: Sequence[float], coordinates: object, colour: str):
    return ax.annotate(
        text,
        point,
        xycoords=coordinates,
        xytext=(_GAP, 0),
        textcoords="offset points",
        verticalalignment="center",
        color=ink(colour),
        fontsize="small",
        path_effects=[withStroke(linewidth=2.5, foreground="white")],  # readable across lines
    )


def _move_apart_(ax: Axes, names: list[Annotation]) -> None:
    """Move names up or down, together where they crowd, until none overlaps.

    Crowds are merged as in isotonic regression: each name of a crowd keeps its place in the order,
    and the crowd as a whole stands where its names want to be on average.
    """
    frame = ax.get_window_extent()
    boxes = [name.get_window_extent() for name in names]
    # Names that begin at nearly the same place begin at the same place.
    column = max((box.x0 for box in boxes), default=0)
    right = [column - box.x0 if column - box.x0 < 0.15 * frame.width else 0 for box in boxes]
    wanted = [min(max((box.y0 + box.y1) / 2, frame.y0), frame.y1) for box in boxes]
    height = 1.05 * max((box.height for box in boxes), default=0)
    crowds: list[list[int]] = []
    for i in sorted(range(len(names)), key=wanted.__getitem__):
        crowds.append([i])
        while len(crowds) > 1 and _bottom(crowds[-1], wanted, height) < (
            _bottom(crowds[-2], wanted, height) + height * len(crowds[-2])
        ):
            last = crowds.pop()
            crowds[-1] += last
    for crowd in crowds:
        start = _bottom(crowd, wanted, height)
        for place, i in enumerate(crowd):
            middle = start + (place + 0.5) * height
            up = middle - (boxes[i].y0 + boxes[i].y1) / 2
            points = 72 / ax.figure.dpi
            names[i].set_position((_GAP + points * right[i], points * up))


def _bottom(crowd: list[int], wanted: list[float], height: float) -> float:
    return sum(wanted[i] for i in crowd) / len(crowd) - height * len(crowd) / 2


def label_points(
    ax: Axes, points: Sequence[tuple[float, float]], texts: Sequence[str], colours: Sequence[str]
) -> list[Annotation]:
    """Write a name beside each point, where it covers no other name and no point.

    Args:
        ax: with its final limits; it is measured.
        points: (x, y) of each, in the units of the axes.
        texts: name of each.
        colours: of each name.

    Returns:
        the names, in the order of the points. A thin line leads to one that stands farther away.
    """
    ax.figure.draw_without_rendering()
    frame = ax.get_window_extent()
    scale = ax.figure.dpi / 72
    dots = ax.transData.transform(points)
    taken = [
        Bbox.from_bounds(x - 5 * scale, y - 5 * scale, 10 * scale, 10 * scale) for x, y in dots
    ]
    names = []
    for (x, y), point, text, colour in zip(dots, points, texts, colours, strict=True):
        name = _name(ax, text, point, ax.transData, colour)
        size = name.get_window_extent()
        places = [
            Bbox.from_bounds(x + scale * dx - left * size.width, y + scale * dy - size.height / 2,
                             size.width, size.height)
            for dx, dy, left in _PLACES
        ]  # fmt: skip
        costs = [_cost(place, frame, taken) + 1e-3 * i for i, place in enumerate(places)]
        best = min(range(len(costs)), key=costs.__getitem__)
        taken.append(places[best].padded(scale))
        dx, dy, left = _PLACES[best]
        name.set_position((dx, dy))
        name.set_horizontalalignment({0: "left", 0.5: "center", 1: "right"}[left])
        if abs(dy) > 20:
            ax.annotate(
                "", point, xytext=(dx, dy), textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.8},
            )  # fmt: skip
        names.append(name)
    return names


# Where a name may stand, best first: right and up from the point in points, and which part of the
# name (0: its left end, 1: its right end) is there.
_PLACES = [
    (dx, dy, left)
    for dy in (0, 12, -12, 18, -18, 26, -26, 38, -38, 52, -52, 66, -66, 80, -80)
    for dx, left in ((8, 0), (-8, 1), (0, 0.5))
    if dy or left != 0.5
]


def _cost(place: Bbox, frame: Bbox, taken: list[Bbox]) -> float:
    """Pixels of a name that cover something, or stand out of the frame."""
    inside = Bbox.intersection(place, frame)
    area = place.width * place.height
    outside = area - (inside.width * inside.height if inside else 0)
    overlaps = (Bbox.intersection(place, other) for other in taken)
    return outside + sum(box.width * box.height for box in overlaps if box)
