"""Widths by cost: against the MACs that are counted afterwards, and with costs made up here."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2

from tutorial_utils.errors import InputError
from tutorial_utils.measuring import count_macs, fastest_ms, timing
from tutorial_utils.models import resnet8
from tutorial_utils.pruning import coupled_layers, layers_of_channels, prune_by_cost
from tutorial_utils.pruning.coupling import find_groups, removed_widths
from tutorial_utils.pruning.widths import _choose_widths, _CostTable, _input_sizes

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def vgg():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 16, 3), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 24), nn.Linear(24, 5)]
    return nn.Sequential(*layers).eval()


class Concat(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 24, 1)
        self.last = nn.Conv2d(40, 4, 1)

    def forward(self, x):
        x = self.first(x)
        return self.last(torch.cat([x, self.second(x)], 1))


@pytest.mark.parametrize("build", [vgg, resnet8, Concat, lambda: mobilenet_v2(num_classes=10)])
@pytest.mark.slow
def test_the_macs_of_the_plan_are_those_of_the_network(build):
    torch.manual_seed(0)
    model = build().eval()
    pruned = prune_by_cost(model, IMAGES, 0.6, count_macs)
    share = count_macs(pruned, IMAGES) / count_macs(model, IMAGES)
    assert 0.4 < share <= 0.6
    sizes = {len(layer.weight) for layer in pruned.modules() if isinstance(layer, nn.Conv2d)}
    known = {len(layer.weight) for layer in model.modules() if isinstance(layer, nn.Conv2d)}
    assert all(size % 8 == 0 or size in known for size in sizes)


def test_each_shape_is_asked_for_once_and_those_of_the_result_are_among_them():
    asked = []

    def cost(layer, inputs):
        asked.append((*layer.weight.shape, *inputs.shape))
        assert len(layer(inputs)) == len(IMAGES)
        return count_macs(layer, inputs)

    pruned = prune_by_cost(vgg(), IMAGES, 0.5, cost)
    assert len(asked) == len(set(asked))
    for layer, size in _input_sizes(pruned, IMAGES).items():
        assert (*layer.weight.shape, *size) in asked


def test_a_flattening_takes_several_inputs_with_each_channel():
    model = vgg().requires_grad_(True)
    (group,) = (g for g in find_groups(model, IMAGES, ()) if g[0].dep.target.module is model[2])
    assert removed_widths(group) == {model[2]: (0, 1), model[6]: (4, 0)}


def test_who_makes_normalises_and_reads_a_channel_of_the_shared_stream():
    found = layers_of_channels(resnet8(), IMAGES, "conv")
    assert found == {
        "make": ["conv", "stage1.0.conv2"],
        "normalise": ["bn", "stage1.0.bn2"],
        "read": ["stage1.0.conv1", "stage2.0.conv1", "stage2.0.shortcut.0"],
    }
    with pytest.raises(InputError, match="'fc'"):
        layers_of_channels(resnet8(), IMAGES, "fc")


def test_only_what_costs_is_narrowed_and_the_channels_of_the_lowest_scores_go():
    model = vgg()

    def cost(layer, _):
        return len(layer.weight) if isinstance(layer, nn.Conv2d) and layer.in_channels == 3 else 0

    pruned = prune_by_cost(model, IMAGES, 0.5, cost)
    assert [len(pruned[i].weight) for i in (0, 2, 6)] == [16, 16, 24]
    highest = model[0].weight.abs().sum((1, 2, 3)).topk(16).indices.sort().values
    assert torch.equal(pruned[0].weight, model[0].weight[highest])


def test_the_step_that_saves_most_for_the_share_of_the_scores_comes_first():
    first, second = nn.Linear(1, 16), nn.Linear(1, 16)
    sizes = {first: torch.Size([1, 1]), second: torch.Size([1, 1])}
    lost = [{first: (0, 1)}, {second: (0, 1)}]
    scores = [torch.ones(16), torch.cat([torch.full((8,), 0.1), torch.full((8,), 1.9)])]
    table = _CostTable(lambda layer, _: layer.out_features, sizes)
    assert _choose_widths(scores, lost, table, 0.75, 8) == [16, 8]
    assert _choose_widths(scores, lost, table, 0.5, 8) == [8, 8]
    assert _choose_widths(scores[::-1], lost, table, 0.75, 4) == [8, 16]


def test_skipped_layers_and_the_original_stay():
    model = resnet8().eval()
    before = copy.deepcopy(model.state_dict())
    pruned = prune_by_cost(model, IMAGES, 0.8, count_macs, skip=["conv"])
    coupled = next(names for names in coupled_layers(model, IMAGES) if "conv" in names)
    assert all(len(pruned.get_submodule(name).weight) == 16 for name in coupled)
    assert not pruned.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 1.0}, "between 0 and 1"),
        ({"fraction": 0.01}, "use a larger fraction"),
        ({"step": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    options = {"fraction": 0.5, "cost": count_macs} | options
    with pytest.raises(InputError, match=message):
        prune_by_cost(vgg(), IMAGES, **options)


def test_the_fastest_call_counts(monkeypatch):
    now, seconds = [0.0], iter([9, 5, 9, 3, 9, 4])  # every other call is the one that is timed

    def run(_):
        now[0] += next(seconds)

    monkeypatch.setattr(timing, "timer", lambda: now[0])
    assert fastest_ms(run, torch.zeros(1), n_calls=3) == pytest.approx(3000)
