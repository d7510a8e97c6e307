"""A recipe as a strip of coloured steps, with what came of it beside it."""

from collections.abc import Callable, Mapping, Sequence

from tutorial_utils.errors import requires_extra
from tutorial_utils.plotting.style import COLOURS, ink

with requires_extra("plots"):
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What is written into the box of a step, and the technique whose colour it has.
_BOXES: dict[str, tuple[str, Callable[[dict], str]]] = {
    "take_student": ("float", lambda options: options["model"].replace("resnet", "ResNet-")),
    "train": ("float", lambda options: f"train {options['epochs']:g}"),
    "distil": ("distillation", lambda options: f"distil {options['epochs']:g}"),
    "cut_channels": ("structured", lambda options: f"cut to {options['macs']:.0%}"),
    "cut_stage": ("structured", lambda options: f"cut {options['stage']}"),
    "prune_weights": ("unstructured", lambda options: f"{options['sparsity']:.0%} zeros"),
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
    """One line for each recipe: its steps as boxes, its accuracy as dots, its costs as text.

    Args:
        groups: by title, recipes by name, as for `recipes.compress`. No two have one name.
        points: by name of the recipe, the difference to the baseline in points, one for each seed.
        intervals: by name, (low, high) of the mean, in points.
        costs: by name, a short text at the right end of the line.
    """
    n_lines = sum(len(recipes) + 1 for recipes in groups.values())
    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=(10, 0.36 * n_lines + 0.6), width_ratios=[2, 1]
    )
    ticks, line = {}, 0
    for title, recipes in groups.items():
        left.text(0, line, title, weight="bold", va="center")
        for name, recipe in recipes.items():
            line += 1
            ticks[name] = line
            _draw_steps(left, line, recipe)
            _draw_points(right, line, points[name], intervals[name])
            right.text(1.02, line, costs[name], va="center", fontsize=10,
                       transform=right.get_yaxis_transform())  # fmt: skip
        line += 1
    left.set(yticks=list(ticks.values()), yticklabels=list(ticks), ylim=(line - 0.4, -0.7))
    left.set(xlim=(0, 5.2), xticks=[])
    left.grid(False)
    left.tick_params(axis="y", length=0)
    for side in ("left", "bottom"):
        left.spines[side].set_visible(False)
    right.axvline(0, color=COLOURS["float"], linewidth=1)
    right.set_xlabel("points against the first row")
    right.tick_params(axis="y", length=0)
    return figure


def _draw_steps(ax: Axes, line: int, recipe: Sequence[tuple[str, dict]]) -> None:
    start = 0.0
    for name, options in recipe:
        technique, text_of = _BOXES[name]
        text = text_of(options)
        width = 0.3 + 0.085 * len(text)
        box = {"facecolor": ink(COLOURS[technique]), "edgecolor": "none"}
        ax.add_patch(plt.Rectangle((start, line - 0.38), width, 0.76, **box))
        middle = {"ha": "center", "va": "center", "color": "white", "fontsize": 9}
        ax.text(start + width / 2, line, text, **middle)
        start += width + 0.06


def _draw_points(
    ax: Axes, line: int, points: Sequence[float], interval: tuple[float, float]
) -> None:
    ax.hlines(line, *interval, color="#999999", linewidth=2, zorder=1)
    ax.plot(points, [line] * len(points), "o", markersize=4, color="#333333", alpha=0.6)
