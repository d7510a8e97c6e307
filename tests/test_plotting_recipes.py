"""Recipes as strips, and a row of weights on its way to bits: what stands where."""

import matplotlib.pyplot as plt
import pytest

from tutorial_utils import plotting
from tutorial_utils.plotting import COLOURS, Stage, ink, strips
from tutorial_utils.recipes import LARGE, LONG, SMALL, STEPS

GROUPS = {"ResNet-20": LARGE, "ResNet-8": SMALL, "longer": LONG}
NAMES = [name for recipes in GROUPS.values() for name in recipes]


@pytest.fixture
def axes():
    points = {name: [-i, -i - 0.5] for i, name in enumerate(NAMES)}
    intervals = {name: (-i - 1, -i + 0.25) for i, name in enumerate(NAMES)}
    figure = plotting.show_recipes(GROUPS, points, intervals, dict.fromkeys(NAMES, "37 kB, 8×"))
    figure.draw_without_rendering()
    yield figure.axes
    plt.close("all")


def test_every_step_has_a_box():
    assert set(strips._BOXES) == set(STEPS)


def test_a_recipe_is_a_row_of_boxes_below_its_name(axes):
    left, right = axes
    above = {t.get_text(): t.get_position()[1] for t in left.texts if t.get_color() != "white"}
    lines = dict(zip(NAMES, right.get_yticks(), strict=True))
    assert sorted(lines.values()) == list(lines.values())
    for recipes in GROUPS.values():
        for name, recipe in recipes.items():
            assert 0 < lines[name] - above[name] < 0.3
            boxes = [box for box in left.patches if abs(box.get_y() + 0.11 - lines[name]) < 1e-6]
            assert len(boxes) == len(recipe)
            ends = [(box.get_x(), box.get_x() + box.get_width()) for box in boxes]
            assert all(end < start for (_, end), (start, _) in zip(ends, ends[1:], strict=False))
            assert all(end <= left.get_xlim()[1] for _, end in ends)


def test_boxes_say_the_options_and_their_text_fits(axes):
    left, _ = axes
    texts = {text.get_text(): text for text in left.texts}
    assert {"8 bits", "70% zeros", "cut to 50%", "distil 4", "4 bits, distil 1"} <= set(texts)
    assert set(GROUPS) <= set(texts)
    boxes = [box.get_window_extent() for box in left.patches]
    for text in left.texts:
        if text.get_color() == "white":
            inside = text.get_window_extent()
            middle = (inside.x0 + inside.x1) / 2, (inside.y0 + inside.y1) / 2
            (around,) = [box for box in boxes if box.contains(*middle)]
            assert around.x0 <= inside.x0 and inside.x1 <= around.x1


def test_dots_and_interval_of_a_recipe_stand_in_its_line(axes):
    _, right = axes
    for i, line in enumerate(right.get_yticks()):
        assert right.lines[i].get_xydata().tolist() == [[-i, line], [-i - 0.5, line]]
        (segment,) = right.collections[i].get_segments()
        assert segment.tolist() == [[-i - 1, line], [-i + 0.25, line]]
    assert [text.get_text() for text in right.texts] == ["37 kB, 8×"] * len(NAMES)


def test_stages_stand_in_columns_and_nothing_is_drawn_where_nothing_is_written():
    stages = [
        Stage("weights", ["0", ".3", "0"], "float", "96 bits"),
        Stage("zeros", ["", "1", ""], "unstructured"),
    ]
    (ax,) = plotting.show_stages(stages).axes
    boxes = [
        (round(box.get_x(), 1), round(box.get_y() + 0.36), box.get_facecolor())
        for box in ax.patches
    ]
    assert [box[:2] for box in boxes] == [(0, 0), (0.5, 0), (1.5, 0), (0.5, 1)]
    colours = [plt.matplotlib.colors.to_hex(colour) for *_, colour in boxes]
    assert colours[0] == colours[2] != colours[1] == ink(COLOURS["float"])
    assert colours[3] == ink(COLOURS["unstructured"])
    assert {"weights", "zeros", "96 bits", ".3", "1"} <= {text.get_text() for text in ax.texts}
    plt.close("all")


def test_a_recipe_has_the_colour_of_its_technique_and_a_combination_its_own():
    found = {name: plotting.technique_of(SMALL[name]) for name in SMALL}
    assert found["ResNet-8, trained on"] == "float"
    assert found["ResNet-8 + PTQ"] == "ptq"
    assert found["ResNet-8 + KD"] == "distillation"
    assert found["cut ResNet-8 + KD + QAT"] == "combined"
