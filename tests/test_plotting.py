"""What the figures draw, where a mistake would not show at once."""

import matplotlib.pyplot as plt
import pytest
import torch

from tutorial_utils import plotting


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
    plotting.show_images(images(3), ["a", "b", "c"], n_columns=2)
    axes = plt.gcf().axes
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
    plotting.show_soft_targets(images(2), {"label": hard, "teacher": soft}, ["cat", "dog"])
    axes = plt.gcf().axes
    shown = [ax.images[0].get_array().tolist() for ax in axes[:2]]
    assert shown == images(2).permute(0, 2, 3, 1).tolist()
    heights = [[height for _, height in bars(ax)] for ax in axes[2:]]
    assert heights == [*hard.tolist(), *soft.tolist()]
    assert [ax.get_ylabel() for ax in axes] == ["", "", "label", "", "teacher", ""]
    for ax in axes[2:]:
        assert ticks(ax) == {"cat": 0, "dog": 1} and ax.get_ylim() == (0, 1)
    assert [place(ax) for ax in axes] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


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
