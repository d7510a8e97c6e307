"""What the figures draw, where a mistake would not show at once."""

import matplotlib.pyplot as plt

from tutorial_utils.plotting import plot_curves, plot_pareto


def test_only_the_named_curves_get_a_label_and_all_are_drawn():
    _, ax = plt.subplots()
    curves = {"a": [1, 2], "b": [3, 4], "c": [5, 6]}
    assert plot_curves(ax, [0.1, 0.9], curves, named=["c", "a"]) is ax
    assert ax.get_legend_handles_labels()[1] == ["a", "c"]
    assert [list(line.get_ydata()) for line in ax.lines] == list(curves.values())
    assert all(list(line.get_xdata()) == [0.1, 0.9] for line in ax.lines)
    plt.close()


def test_every_model_gets_a_dot_and_the_front_a_line():
    _, ax = plt.subplots()
    plot_pareto(ax, [3, 1, 2], [0.9, 0.7, 0.6], ["a", "b", "c"])
    assert ax.get_legend_handles_labels()[1] == ["a", "b", "c"]
    front, *dots = [line.get_xydata().tolist() for line in ax.lines]
    assert front == [[1, 0.7], [3, 0.9]]
    assert dots == [[[3, 0.9]], [[1, 0.7]], [[2, 0.6]]]
    plt.close()
