"""A recipe as a strip of coloured steps, with what came of it beside it."""

from collections.abc import Callable, Mapping, Sequence

from tutorial_utils.errors import requires_extra
from tutorial_utils.plotting.style import COLOURS, ink

with requires_extra("plots"):
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STEPS, _DOTS, _LINE = 3.8, 1.7, 0.55  # inches: width of steps and of dots, height of a recipe

#: What is written into the box of a step, and the technique whose colour it has.
_BOXES: dict[str, tuple[str, Callable[[dict], str]]] = {
    "take_student": ("float", lambda options: options["model"].replace("resnet", "ResNet-")),
    "train": ("float", lambda options: f"train {options['epochs']:g}"),
    "distil": ("distillation", lambda options: f"distil {options['epochs']:g}"),
    "cut_channels": ("structured", lambda options: f"cut to {options['macs']:.0%}"),
    "cut_stage": ("structured", lambda options: f"cut {options['stage']}"),
    "prune_weights": ("unstructured", lambda options: f"{options['sparsity']:.0%} zeros"),
    "to_bfloat16": ("ptq", lambda options: "bfloat16"),
    "quantize": ("ptq", lambda options: f"{options['n_bits']} bits"),
    "quantize_best": ("ptq", lambda options: f"{options['n_bits']} bits, GPTQ"),
    "train_quantized": (
        "qat",
        lambda options: (
            f"{options['n_bits']} bits, {'distil' if options['taught'] else 'train'} "
            f"{options['epochs']:g}"
        ),
    ),
}


def technique_of(recipe: Sequence[tuple[str, dict]]) -> str:
    """The key of `COLOURS` for a recipe: its one technique, "combined" for several.

    Training on, and taking another network, are no techniques.

    >>> technique_of([("cut_stage", {}), ("train", {})])
    'structured'
    """
    techniques = {_BOXES[step][0] for step, _ in recipe} - {"float"}
    return techniques.pop() if len(techniques) == 1 else "combined" if techniques else "float"


def show_recipes(
    groups: Mapping[str, Mapping[str, Sequence[tuple[str, dict]]]],
    points: Mapping[str, Sequence[float]],
    intervals: Mapping[str, tuple[float, float]],
    costs: Mapping[str, str],
) -> Figure:
    """Each recipe by its name, below it its steps as boxes; its accuracy as dots, costs as text.

    Args:
        groups: by title, recipes by name, as for `recipes.compress`. No two have one name.
        points: by name of the recipe, the difference to the baseline in points, one for each seed.
        intervals: by name, (low, high) of the mean, in points.
        costs: by name, a short text above the dots.
    """
    height = sum(0.45 + _LINE * len(recipes) for recipes in groups.values())
    figure = plt.figure(figsize=(_STEPS + _DOTS, height + 0.6), layout="none")
    left, right = (
        figure.add_axes((x / (_STEPS + _DOTS), 0.6 / (height + 0.6), width / (_STEPS + _DOTS),
                         height / (height + 0.6)), ylim=(height, 0))
        for x, width in ((0, _STEPS), (_STEPS + 0.1, _DOTS - 0.2))
    )  # fmt: skip
    left.set_xlim(0, _STEPS)
    left.axis("off")
    lines, line = [], 0.0
    for title, recipes in groups.items():
        line += 0.2
        left.text(0, line, title, weight="bold", va="center")
        for name, recipe in recipes.items():
            line += _LINE
            lines.append(line)
            left.text(0, line - 0.27, name, va="center", fontsize=11)
            _draw_steps(left, line, recipe)
            _draw_points(right, line, points[name], intervals[name])
            right.text(1, line - 0.27, costs[name], va="center", ha="right", fontsize=11,
                       bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
                       transform=right.get_yaxis_transform())  # fmt: skip
        line += 0.25
    right.axvline(0, color=COLOURS["float"], linewidth=1)
    right.set(xlabel="points, against\nthe first row", yticks=lines, yticklabels=[])
    right.tick_params(axis="y", length=0)
    right.spines["left"].set_visible(False)
    return figure


def _draw_steps(ax: Axes, line: float, recipe: Sequence[tuple[str, dict]]) -> None:
    """Boxes that are as wide as their texts; a unit of the axes is an inch."""
    start = 0.0
    for name, options in recipe:
        technique, text_of = _BOXES[name]
        look = {"va": "center", "color": "white", "fontsize": 10}
        text = ax.text(start + 0.06, line, text_of(options), **look)
        width = text.get_window_extent().width / ax.figure.dpi + 0.15
        box = {"facecolor": ink(COLOURS[technique]), "edgecolor": "none"}
        ax.add_patch(plt.Rectangle((start, line - 0.11), width, 0.22, **box))
        start += width + 0.04


def _draw_points(
    ax: Axes, line: float, points: Sequence[float], interval: tuple[float, float]
) -> None:
    ax.hlines(line, *interval, color="#999999", linewidth=2, zorder=1)
    ax.plot(points, [line] * len(points), "o", markersize=4, color="#333333", alpha=0.6)
