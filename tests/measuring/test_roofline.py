"""The roofline against hand counts, and peak memory against what is added up by hand."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tutorial_utils import plotting
from tutorial_utils.measuring import (
    LayerSpeed,
    Roofline,
    count_by_layer,
    measure_layers,
    measure_roofline,
    peak_bytes,
)
from tutorial_utils.models import resnet8

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_roof_is_the_lower_of_both_limits_and_bends_at_the_ridge():
    roofline = Roofline(gb_per_s=20, gmacs_per_s=100, int8_gmacs_per_s=400)
    assert roofline.ridge == 5
    assert [roofline.limit(x) for x in (0.5, 5, 50)] == [10, 100, 100]


@pytest.mark.slow
def test_the_limits_of_this_machine_are_positive_and_memory_is_slower_than_arithmetic():
    roofline = measure_roofline()
    assert roofline.gb_per_s > 0
    assert roofline.int8_gmacs_per_s > 0
    assert roofline.ridge > 0.25  # one MAC for each number read; true of every processor


def test_a_layer_is_counted_as_by_hand():
    conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    layer = measure_layers(nn.Sequential(conv, nn.ReLU()), IMAGES)["0"]
    assert layer.macs == 2 * 8 * 16 * 16 * 27
    assert layer.n_bytes == 4 * (2 * 3 * 32 * 32 + 2 * 8 * 16 * 16 + 8 * 27 + 8)
    assert layer.macs_per_byte == layer.macs / layer.n_bytes
    assert LayerSpeed(macs=4_000_000, n_bytes=1, ms=2).gmacs_per_s == 2


def test_all_layers_of_a_network_are_there_and_it_stays_as_it_was():
    model = resnet8().train()
    before = copy.deepcopy(model.state_dict())
    speeds = measure_layers(model, IMAGES)
    _, macs = count_by_layer(model, IMAGES)
    assert {name: speed.macs for name, speed in speeds.items()} == macs
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


class Branch(nn.Module):
    """Keeps its input until the end, as a shortcut does."""

    def forward(self, x):
        wide = x.repeat(1, 4)
        narrow = wide.sum(1, keepdim=True)
        del wide
        return x + F.relu(narrow.repeat(1, 10), inplace=True)


def test_peak_memory_is_the_most_that_lives_at_once():
    x = torch.zeros(5, 10)
    # the input (50 floats), its fourfold (200), and the sum of that (5)
    assert peak_bytes(Branch(), x) == 4 * (50 + 200 + 5)


def test_views_and_results_in_place_take_no_memory_and_what_is_dropped_is_free():
    chain = nn.Sequential(*[nn.Sequential(nn.Flatten(), nn.ReLU(inplace=True)) for _ in range(5)])
    assert peak_bytes(chain, torch.zeros(2, 10)) == 80
    # a Sequential drops each result when the next is there; the caller keeps the input
    deep = nn.Sequential(*[nn.ReLU() for _ in range(5)])
    assert peak_bytes(deep, torch.zeros(2, 10)) == 3 * 80


class Tied(nn.Module):
    """Returns a view of its weight on the way."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1000, 10))

    def forward(self, x):
        return x @ self.weight.t()[:, :5]


def test_views_of_weights_are_no_activations():
    assert peak_bytes(Tied(), torch.zeros(2, 10)) == 4 * (20 + 10)


def test_the_peak_grows_with_the_batch_and_weights_are_not_in_it():
    model = resnet8()
    one, two = peak_bytes(model, IMAGES[:1]), peak_bytes(model, IMAGES)  # a slice is its own size
    assert two == 2 * one
    assert one < 4 * sum(weight.numel() for weight in model.parameters())


def test_the_picture_has_both_roofs_and_a_dot_for_each_layer():
    roofline = Roofline(20, 100, 400)
    layers = [LayerSpeed(1_000_000, 100_000, 0.1), LayerSpeed(2_000_000, 100_000, 0.1)]
    figure, ax = plotting.plt.subplots()
    plotting.plot_roofline(ax, roofline, {"batch 1": layers, "batch 64": layers[:1]})
    roof, int8, first, second = ax.lines
    assert max(roof.get_ydata()) == 100
    assert max(int8.get_ydata()) == 400
    assert first.get_xydata().tolist() == [[10, 10], [20, 20]]
    assert len(second.get_xydata()) == 1
    assert ax.get_xscale() == ax.get_yscale() == "log"
    plotting.plt.close(figure)
