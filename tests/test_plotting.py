"""What the figures draw, where a mistake would not show at once."""

import base64
import io
from itertools import combinations

import IPython.display
import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image

from tutorial_utils import plotting
from tutorial_utils.errors import InputError


@pytest.fixture
def ax():
    _, ax = plt.subplots()
    yield ax
    plt.close("all")


def points(line):
    return line.get_xydata().tolist()


def ticks(ax):
    """Positions and names along the x axis."""
    names = [label.get_text() for label in ax.get_xticklabels()]
    return dict(zip(names, ax.get_xticks().tolist(), strict=True))


def bars(ax):
    """(centre, height) of each bar."""
    return [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in ax.patches]


def place(ax):
    """(row, column) in the figure."""
    spec = ax.get_subplotspec()
    return spec.rowspan.start, spec.colspan.start


def images(n):
    """uint8 (n, 3, 2, 4); no two values are the same."""
    return torch.arange(n * 24, dtype=torch.uint8).reshape(n, 3, 2, 4)


def test_each_image_stands_in_its_place_with_its_title(ax):
    axes = plotting.show_images(images(3), ["a", "b", "c"], n_columns=2).axes
    assert [ax.get_title() for ax in axes] == ["a", "b", "c", ""]
    assert not any(ax.axison for ax in axes)
    for ax, image in zip(axes, images(3), strict=False):
        assert ax.images[0].get_array().tolist() == image.permute(1, 2, 0).tolist()
    assert not axes[3].images
    with pytest.raises(ValueError, match="zip"):  # none is left out without a word
        plotting.show_images(images(3), ["a", "b"])
    assert [place(ax) for ax in axes] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_bar_goes_from_the_low_to_the_high_end_of_each_interval(ax):
    intervals = [(0.4, 0.7), (0.1, 0.95)]
    assert plotting.plot_intervals(ax, [2, 8], [0.5, 0.9], intervals, label="int8") is ax
    (drawn,) = ax.containers
    line, _, (collection,) = drawn
    assert points(line) == [[2, 0.5], [8, 0.9]]
    ends = [[y for _, y in segment.tolist()] for segment in collection.get_segments()]
    assert ends == [pytest.approx(ends) for ends in intervals]
    assert ax.get_legend_handles_labels()[1] == ["int8"]


def test_shares_of_each_series_add_up_to_one_and_stand_side_by_side(ax):
    series = {"weights": {"conv": 1, "fc": 3}, "MACs": {"fc": 2, "conv": 8}}
    assert plotting.plot_shares(ax, series) is ax
    heights = [[bar.get_height() for bar in drawn] for drawn in ax.containers]
    assert heights == [[0.25, 0.75], [0.8, 0.2]]
    lefts = [[bar.get_x() for bar in drawn] for drawn in ax.containers]
    assert lefts == [pytest.approx([-0.2, 0.8]), pytest.approx([0.2, 1.2])]
    assert {bar.get_width() for bar in ax.patches} == {0.4}
    assert ticks(ax) == pytest.approx({"conv": 0.2, "fc": 1.2})  # the middle of each group
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["weights", "MACs"]


def test_the_staircase_stands_above_its_error():
    _, (top, bottom) = plt.subplots(2)
    x, x_hat = torch.tensor([0.0, 0.3, 0.8]), torch.tensor([0.0, 0.5, 0.5])
    plotting.plot_staircase(top, bottom, x, x_hat)
    identity, steps = top.lines
    assert identity.get_ydata().tolist() == x.tolist() and identity.get_linestyle() == "--"
    assert steps.get_xdata().tolist() == x.tolist()
    assert steps.get_ydata().tolist() == x_hat.tolist()
    assert steps.get_drawstyle() == "steps-mid"
    error, zero = bottom.lines
    assert error.get_xdata().tolist() == x.tolist()
    assert error.get_ydata().tolist() == pytest.approx([0, 0.2, -0.3])
    assert list(zero.get_ydata()) == [0, 0]
    assert [text.get_text() for text in top.get_legend().get_texts()] == ["x", "quantized"]
    plt.close()


def test_channels_are_sorted_by_their_largest_magnitude(ax):
    weight = torch.tensor([[1.0, -2.0], [0.5, 0.5], [-8.0, 3.0]]).reshape(3, 2, 1, 1)
    assert plotting.plot_channel_ranges(ax, weight, "conv1") is ax
    assert bars(ax) == [(0, 8), (1, 2), (2, 0.5)]
    assert ax.get_title() == "conv1"


def test_the_dot_is_at_the_lowest_point_in_the_colour_of_its_curve(ax):
    y = torch.tensor([3.0, 1.0, 2.0])
    assert plotting.plot_minimum(ax, torch.tensor([10.0, 20.0, 30.0]), y, "4 bits") is ax
    curve, dot = ax.lines
    assert points(curve) == [[10, 3], [20, 1], [30, 2]] and points(dot) == [[20, 1]]
    assert curve.get_color() == dot.get_color()
    assert ax.get_legend_handles_labels()[1] == ["4 bits"]


def test_each_bar_stands_above_its_name(ax):
    assert plotting.plot_bars(ax, {"conv1": 4, "fc": 0.25}) is ax
    assert bars(ax) == [(0, 4), (1, 0.25)]
    assert ticks(ax) == {"conv1": 0, "fc": 1}
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {90}


def test_only_the_named_curves_get_a_label_and_all_are_drawn(ax):
    curves = {"a": [1, 2], "b": [3, 4], "c": [5, 6]}
    assert plotting.plot_curves(ax, [0.1, 0.9], curves, named=["c", "a"]) is ax
    assert ax.get_legend_handles_labels()[1] == ["a", "c"]
    assert [list(line.get_ydata()) for line in ax.lines] == list(curves.values())
    assert all(list(line.get_xdata()) == [0.1, 0.9] for line in ax.lines)
    a, b, c = (line.get_zorder() for line in ax.lines)
    assert b < a == c  # the thin ones lie behind


def test_the_targets_of_an_image_stand_below_it(ax):
    hard, soft = torch.eye(2), torch.tensor([[0.75, 0.25], [0.125, 0.875]])
    targets = {"label": hard, "teacher": soft}
    axes = plotting.show_soft_targets(images(2), targets, ["cat", "dog"]).axes
    shown = [ax.images[0].get_array().tolist() for ax in axes[:2]]
    assert shown == images(2).permute(0, 2, 3, 1).tolist()
    heights = [[height for _, height in bars(ax)] for ax in axes[2:]]
    assert heights == [*hard.tolist(), *soft.tolist()]
    assert [ax.get_ylabel() for ax in axes] == ["", "", "label", "", "teacher", ""]
    assert all(ax.get_ylim() == (0, 1) for ax in axes[2:])
    for ax in axes[4:]:  # names stand once, below the last row
        assert ticks(ax) == {"cat": 0, "dog": 1}
    assert [place(ax) for ax in axes] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_each_training_of_a_weight_has_its_panel():
    paths = {"steady": [(0.2, 0.0), (0.3, 0.5)], "frozen": [(0.2, 0.0), (0.4, 0.5)]}
    figure = plotting.show_weight_paths(paths, target=0.4, marks=[0.0, 0.5])
    for ax, (title, path) in zip(figure.axes, paths.items(), strict=True):
        lines = {line.get_label(): line for line in ax.lines}
        assert ax.get_title(loc="left") == title
        assert lines["hidden"].get_ydata().tolist() == [hidden for hidden, _ in path]
        assert lines["rounded"].get_ydata().tolist() == [rounded for _, rounded in path]
        assert set(lines["best weight"].get_ydata()) == {0.4}
    plt.close(figure)


def test_a_ruler_has_the_marks_of_training_above_and_those_of_conversion_below():
    figure = plotting.show_rulers({"2 bits": ([-2.0, 0.0, 1.0], [-1.0, 0.5])})
    above, below = (lines.get_segments() for lines in figure.axes[0].collections)
    assert [line[1].tolist() for line in above] == [[-2, 1], [0, 1], [1, 1]]
    assert [line[1].tolist() for line in below] == [[-1, -1], [0.5, -1]]
    plt.close(figure)


def test_a_line_joins_the_runs_of_a_seed_and_a_bar_is_their_mean(ax):
    assert plotting.plot_pairs(ax, {"alone": [1, 2, 6], "taught": [4, 8]}) is ax
    *seeds, alone, taught = map(points, ax.lines)
    assert seeds == [[[0, 1], [1, 4]], [[0, 2], [1, 8]], [[0, 6]]]
    assert alone == [[-0.2, 3], [0.2, 3]] and taught == [[0.8, 6], [1.2, 6]]
    assert ticks(ax) == {"alone": 0, "taught": 1}


def test_times_are_shares_of_the_first_network(ax):
    assert plotting.plot_share_of_time(ax, [1, 0.5], [8.0, 6.0], "batch 64") is ax
    (line,) = ax.lines
    assert points(line) == [[1, 1], [0.5, 0.75]]
    assert ax.get_legend_handles_labels()[1] == ["batch 64"]
    assert ax.get_xlim()[0] == ax.get_ylim()[0] == 0  # else the diagonal would be none


def test_every_model_gets_a_dot_and_the_front_a_line(ax):
    assert plotting.plot_pareto(ax, [3, 1, 2], [0.9, 0.7, 0.6], ["a", "b", "c"]) is ax
    assert ax.get_legend_handles_labels()[1] == ["a", "b", "c"]
    front, *dots = map(points, ax.lines)
    assert front == [[1, 0.7], [3, 0.9]]
    assert dots == [[[3, 0.9]], [[1, 0.7]], [[2, 0.6]]]
    assert ax.get_xscale() == "log"
    ax.figure.canvas.draw()
    assert [label.get_text() for label in ax.get_xticklabels() if label.get_text() == "2"] == ["2"]


def test_neighbouring_models_look_different(ax):
    plotting.plot_pareto(ax, range(1, 31), range(30), [str(i) for i in range(30)])
    looks = [(line.get_marker(), line.get_color()) for line in ax.lines[1:]]
    assert len(set(looks)) == 30


def test_a_technique_has_its_colour_and_marker_and_an_interval_is_drawn(ax):
    intervals = [(0.8, 1.0), (0.5, 0.75)]
    plotting.plot_pareto(ax, [3, 1], [0.9, 0.7], ["a", "b"], ["float", "ptq"], intervals)
    looks = [(line.get_color(), line.get_marker()) for line in ax.lines[1:]]
    assert looks == [(plotting.COLOURS[t], plotting.MARKERS[t]) for t in ("float", "ptq")]
    drawn = [collection.get_segments()[0].tolist() for collection in ax.collections]
    assert drawn == [[[3, 0.8], [3, 1.0]], [[1, 0.5], [1, 0.75]]]
    with pytest.raises(InputError, match="did you mean 'qat'"):
        plotting.plot_pareto(ax, [1], [1], ["a"], ["qta"])


def extents(texts):
    texts[0].figure.draw_without_rendering()
    return [text.get_window_extent() for text in texts if text.get_text()]


def assert_apart(boxes):
    for a, b in combinations(boxes, 2):
        assert not a.padded(-0.5).overlaps(b.padded(-0.5))


def test_names_of_crowded_points_cover_neither_each_other_nor_the_points(ax):
    ax.set(xlabel="kB", ylabel="accuracy")
    costs, values = [40, 41, 42, 43, 200, 210], [0.90, 0.901, 0.902, 0.899, 0.95, 0.951]
    names = [f"a model number {i}" for i in range(6)]
    plotting.plot_pareto(ax, costs, values, names)
    boxes = extents([text for text in ax.texts if text.get_text()])
    assert len(boxes) == 6
    assert_apart(boxes)
    for x, y in ax.transData.transform(list(zip(costs, values, strict=True))):
        assert not any(box.contains(x, y) for box in boxes)
    frame = ax.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_names_stand_at_the_end_of_their_line_in_its_colour_without_overlap(ax):
    for i, name in enumerate(("near", "nearer", "nearest")):
        ax.plot([0, 1], [0, 1 + i / 100], label=name)
    plotting.plot_intervals(ax, [0, 1], [0, 5], [(0, 0), (4, 6)], label="far", colour="black")
    ax.axhline(3, label="level")
    ax.plot([0, 1], [9, 9])  # has no name
    ax.legend()
    assert plotting.label_directly(ax) is ax
    names = {text.get_text(): text for text in ax.texts}
    assert set(names) == {"near", "nearer", "nearest", "far", "level"} and ax.get_legend() is None
    assert names["near"].get_color() == plotting.ink(ax.lines[0].get_color())
    boxes = dict(zip(names, extents(list(names.values())), strict=True))
    assert_apart(boxes.values())
    middle = {name: (box.y0 + box.y1) / 2 for name, box in boxes.items()}
    assert sorted(middle, key=middle.get) == ["near", "nearer", "nearest", "level", "far"]
    _, y = ax.transData.transform((1, 5))
    assert middle["far"] == pytest.approx(y, abs=2)  # nothing pushed it
    assert max(box.x0 for box in boxes.values()) - min(box.x0 for box in boxes.values()) < 5


def test_labelling_nothing_is_no_error(ax):
    ax.plot([0, 1])
    assert not plotting.label_directly(ax).texts


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("technique", plotting.COLOURS)
def test_a_name_in_the_colour_of_a_technique_can_be_read(technique):
    colour = plotting.COLOURS[technique]
    darker = plotting.ink(colour)
    assert 1.05 / (luminance(darker) + 0.05) >= 4.5
    assert 1.05 / (luminance(colour) + 0.05) >= 2  # a line is thicker than a letter
    ratios = [a / b for a, b in zip(to_rgb(darker), to_rgb(colour), strict=True) if b]
    assert max(ratios) - min(ratios) < 0.02  # the same hue


def test_techniques_can_be_told_apart_without_colour_and_float_is_grey():
    assert len(set(plotting.MARKERS.values())) == len(set(plotting.COLOURS.values())) == 8
    assert set(plotting.MARKERS) == set(plotting.COLOURS)
    assert len(set(to_rgb(plotting.COLOURS["float"]))) == 1
    assert plt.rcParams["axes.prop_cycle"].by_key()["color"][0] == plotting.COLOURS["ptq"]


@pytest.fixture
def shown(monkeypatch):
    """What was displayed: (data, metadata) of each output."""
    outputs = []
    monkeypatch.setattr(
        IPython.display,
        "display",
        lambda data, metadata, raw: outputs.append((data, metadata["image/png"])),
    )
    return outputs


def test_a_figure_is_shown_once_with_its_text_small_and_sharp(ax, shown):
    ax.plot([1, 2])
    ax.set(xlabel="bits", ylabel="accuracy")
    plotting.show(ax.figure, alt="Accuracy rises with bits.")
    ((data, metadata),) = shown
    assert data["text/plain"] == metadata["alt"] == "Accuracy rises with bits."
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.width // 2 == metadata["width"] and 400 < metadata["width"] < 600
    assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert len(data["image/png"]) < 40_000
    assert "photograph" not in metadata
    assert not plt.get_fignums()


def test_photographs_are_marked_so_that_no_page_changes_their_colours(shown):
    plotting.show(plotting.show_images(images(2), ["a", "b"]), alt="Two images of the data.")
    assert shown[0][1]["photograph"] is True


@pytest.mark.parametrize("alt", ["", "a figure"])
def test_a_figure_without_a_text_is_refused(ax, alt, shown):
    with pytest.raises(InputError, match="says what the figure shows"):
        plotting.show(ax.figure, alt=alt)
    assert not shown


def test_panels_over_sparsity_share_their_axis_and_show_the_unpruned_network():
    panels = {
        "accuracy": {"pruned": ([0.5, 0.9], [0.9, 0.4]), "trained": ([0.9], [0.8])},
        "bytes": {"zlib": ([0.0, 0.5], [0.9, 0.5])},
    }
    unpruned = {"accuracy": 0.95, "bytes": 1}
    figure = plotting.show_over_sparsity(panels, unpruned, logarithmic=["bytes"])
    top, bottom = figure.axes
    assert (top.get_yscale(), bottom.get_yscale()) == ("linear", "log")
    assert top.get_ylim()[0] == 0
    assert [points(line) for line in top.lines[:2]] == [[[0.5, 0.9], [0.9, 0.4]], [[0.9, 0.8]]]
    assert [set(line.get_ydata()) for line in (top.lines[2], bottom.lines[1])] == [{0.95}, {1}]
    assert {text.get_text() for text in top.texts} == {"pruned", "trained", "unpruned"}
    assert top.get_xlim() == bottom.get_xlim() and bottom.get_xlabel() == "sparsity"
    assert not top.get_legend()
    plt.close(figure)


def test_gains_that_may_be_zero_look_so(ax):
    plotting.plot_gains(ax, {"clear": (0.02, 0.01, 0.03), "open": (0.01, -0.01, 0.03)})
    clear, dot, unclear, circle, _ = ax.lines
    assert points(clear) == [[1.0, 0.0], [3.0, 0.0]] and points(dot) == [[2.0, 0.0]]
    assert points(unclear) == [[-1.0, 1.0], [3.0, 1.0]]
    assert clear.get_color() == plotting.COLOURS["distillation"] != unclear.get_color()
    assert (dot.get_fillstyle(), circle.get_fillstyle()) == ("full", "none")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["clear", "open"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first is on top


def test_trainings_and_ratios_are_drawn_by_name(ax):
    plotting.plot_training(ax, {"alone": {1: 0.5, 20: 0.7}}, {"alone": "#555555"})
    assert points(ax.lines[0]) == [[1.0, 0.5], [20.0, 0.7]]
    assert ax.lines[0].get_label() == "alone" and ax.lines[0].get_color() == "#555555"
    plotting.plot_ratios(ax, [1, 4], {"norm": [1.0, 0.25]})
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert list(ticks(ax)) == ["1", "4"]


def test_names_stand_at_the_right_end_of_an_axis_that_falls(ax):
    ax.plot([4, 3, 2], [0, 1, 5], label="a")
    ax.set_xlim(4, 2)
    (name,) = plotting.label_directly(ax).texts
    assert tuple(name.xy) == (2, 5)
