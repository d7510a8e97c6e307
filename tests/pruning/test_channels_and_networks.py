"""Channel removal: against masked models, torch-pruning, autograd, and by hand."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
import torch_pruning
from torch import nn
from torchvision.models import mobilenet_v2, resnet18

from tutorial_utils.errors import InputError
from tutorial_utils.measuring import count_macs, count_params
from tutorial_utils.models import resnet8, resnet20
from tutorial_utils.pruning import (
    channel_scores,
    coupled_layers,
    mask_channels,
    prunable_layers,
    prune_channels,
    prune_to_macs,
    remove_channels,
    taylor_scores,
)

EXAMPLE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
BUILDERS = {
    "resnet8": resnet8,
    "resnet20": resnet20,
    "resnet18": partial(resnet18, weights=None),
    "mobilenet_v2": partial(mobilenet_v2, weights=None),
}


def randomize_(model):
    """Batch norms with all kinds of scales, shifts and statistics, in eval mode."""
    for bn in model.modules():
        if isinstance(bn, nn.BatchNorm2d):
            nn.init.uniform_(bn.weight, 0.5, 1.5)
            nn.init.normal_(bn.bias)
            nn.init.normal_(bn.running_mean, std=0.1)
            nn.init.uniform_(bn.running_var, 0.5, 2)
    return model.eval()


def build(name):
    torch.manual_seed(0)
    return randomize_(BUILDERS[name]())


def vgg():
    """A plain chain: two convolutions with batch norm, pooling, flattening, two linear layers."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU()]
    layers += [nn.Conv2d(12, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    layers += [nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(8 * 4, 6), nn.ReLU()]
    return randomize_(nn.Sequential(*layers, nn.Linear(6, 5)))


def assert_same(model, other):
    state, expected = model.state_dict(), other.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in state)


# -- scores --------------------------------------------------------------------------------------


def test_norm_scores_by_hand():
    conv = nn.Conv2d(1, 2, 2, bias=False)
    conv.weight.data = torch.tensor([1.0, -2, 2, 4, 0, 0, -3, 4]).view(2, 1, 2, 2)
    assert channel_scores(conv, criterion="l1").tolist() == [9, 7]
    assert channel_scores(conv, criterion="l2").tolist() == [5, 5]


def test_bn_scale_is_the_absolute_scale():
    bn = nn.BatchNorm2d(3)
    bn.weight.data = torch.tensor([0.5, -2.0, 0.0])
    assert channel_scores(nn.Conv2d(1, 3, 1), bn, "bn_scale").tolist() == [0.5, 2.0, 0.0]


def test_taylor_score_is_the_squared_derivative_by_a_gate_on_the_channel():
    torch.manual_seed(0)
    conv, head = nn.Conv2d(3, 6, 3, bias=False), nn.Linear(6, 5)
    gate = torch.ones(6, requires_grad=True)
    labels = torch.tensor([1, 4])
    features = (conv(EXAMPLE) * gate[:, None, None]).relu().mean((2, 3))
    F.cross_entropy(head(features), labels).backward()
    torch.testing.assert_close(channel_scores(conv, criterion="taylor"), gate.grad**2)


def test_taylor_scores_of_a_model_are_means_over_batches_and_leave_it_alone():
    model = vgg().train()
    before = copy.deepcopy(model)
    batches = [(EXAMPLE[:1], torch.tensor([0])), (EXAMPLE[1:], torch.tensor([3]))]
    scores = taylor_scores(model, batches)
    parts = [taylor_scores(model, [batch]) for batch in batches]
    assert set(scores) == {"0", "3", "8", "10"}
    for name, values in scores.items():
        torch.testing.assert_close(values, (parts[0][name] + parts[1][name]) / 2)
    in_eval_mode = taylor_scores(copy.deepcopy(model).eval(), batches)
    assert all(torch.equal(scores[name], in_eval_mode[name]) for name in scores)
    assert_same(model, before)
    assert model.training and model[0].weight.grad is None


def test_random_scores_follow_the_generator():
    scores = [
        channel_scores(nn.Conv2d(3, 9, 1), None, "random", torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(scores[0], scores[1]) and not torch.equal(scores[0], scores[2])


# -- a chain -------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_bn", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_removing_equals_masking_for_conv_bn_relu_conv(with_bn, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=bias)
    bn = randomize_(nn.Sequential(nn.BatchNorm2d(8)))[0] if with_bn else None
    following = nn.Conv2d(8, 5, 3, padding=1)
    keep = torch.tensor([6, 0, 3])
    masked_conv, masked_bn = mask_channels(conv, bn, keep)
    small = remove_channels(conv, bn, following, keep)

    def run(conv, bn, following):
        return following((bn or nn.Identity())(conv(EXAMPLE)).relu())

    torch.testing.assert_close(run(*small), run(masked_conv, masked_bn, following))
    assert small[0].weight.shape == (3, 3, 3, 3) and small[2].weight.shape == (5, 3, 3, 3)
    assert masked_conv.weight.shape == conv.weight.shape == (8, 3, 3, 3)
    assert conv.weight.all() and following.in_channels == 8  # the originals are untouched


@pytest.mark.parametrize("size", [1, 4])
def test_removing_equals_masking_through_flatten_and_linear(size):
    torch.manual_seed(0)
    conv, bn = nn.Conv2d(3, 8, 3), randomize_(nn.Sequential(nn.BatchNorm2d(8)))[0]
    following = nn.Linear(8 * size**2, 5)
    keep = torch.tensor([1, 2, 7])
    small = remove_channels(conv, bn, following, keep)

    def run(conv, bn, following):
        return following(F.adaptive_max_pool2d(bn(conv(EXAMPLE)).relu(), size).flatten(1))

    torch.testing.assert_close(run(*small), run(*mask_channels(conv, bn, keep), following))
    assert small[2].in_features == 3 * size**2 == small[2].weight.shape[1]


def test_zero_weights_alone_are_not_enough_when_batch_norm_shifts():
    conv, bn = nn.Conv2d(3, 8, 3), randomize_(nn.Sequential(nn.BatchNorm2d(8)))[0]
    following, keep = nn.Conv2d(8, 5, 3), torch.tensor([1, 2, 7])
    masked_conv, _ = mask_channels(conv, None, keep)
    small_conv, small_bn, small_following = remove_channels(conv, bn, following, keep)
    masked = following(bn(masked_conv(EXAMPLE)).relu())
    removed = small_following(small_bn(small_conv(EXAMPLE)).relu())
    assert (masked - removed).abs().max() > 0.01


def test_removal_keeps_channels_last_and_the_order_of_channels():
    conv = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    small, _, _ = remove_channels(conv, None, nn.Conv2d(8, 2, 3), torch.tensor([5, 1]))
    assert small.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(small.weight, conv.weight[[1, 5]])


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.6])
def test_our_chain_removal_and_torch_pruning_give_the_same_network(ratio):
    model = vgg()
    by_hand = copy.deepcopy(model)
    for conv, bn, following in [(0, 1, 3), (3, 4, 8)]:
        scores = channel_scores(model[conv])
        keep = scores.argsort(descending=True)[: int(len(scores) * (1 - ratio))]
        chain = by_hand[conv], by_hand[bn], by_hand[following]
        by_hand[conv], by_hand[bn], by_hand[following] = remove_channels(*chain, keep)
    by_group = prune_channels(model, EXAMPLE, ratio, skip=("8",))
    assert by_group[0].out_channels < 12
    assert_same(by_group, by_hand)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_a_chain_is_cut_as_by_the_pruner_of_torch_pruning(ratio):
    model = vgg()
    ours = prune_channels(model, EXAMPLE, ratio, criterion="l1")
    theirs = copy.deepcopy(model)
    torch_pruning.pruner.BasePruner(
        theirs,
        (EXAMPLE,),
        torch_pruning.importance.MagnitudeImportance(1, group_reduction="first", normalizer=None),
        pruning_ratio=ratio,
        ignored_layers=[theirs[10]],
        in_channel_groups={},
        out_channel_groups={},
    ).step()
    assert_same(ours, theirs)


# -- whole networks ------------------------------------------------------------------------------


def keep_first_scores(model):
    """Scores that make the channels with the lowest indices the best."""
    return {
        name: torch.arange(len(layer.weight), 0, -1).float()
        for name, layer in prunable_layers(model).items()
    }


def mask_second_half_(model):
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.weight.data[len(module.weight) // 2 :] = 0
            if module.bias is not None:
                module.bias.data[len(module.bias) // 2 :] = 0


@pytest.mark.parametrize("name", BUILDERS)
def test_pruning_a_network_equals_masking_its_channels(name):
    model = build(name)
    before = copy.deepcopy(model)
    pruned = prune_channels(model, EXAMPLE, 0.5, criterion=keep_first_scores(model))
    assert_same(model, before)
    for layer_name, layer in prunable_layers(pruned).items():
        original = model.get_submodule(layer_name)
        if isinstance(layer, nn.Conv2d):
            assert layer.out_channels == len(layer.weight) == original.out_channels // 2
    masked = copy.deepcopy(model)
    mask_second_half_(masked)
    with torch.no_grad():
        expected = masked(EXAMPLE)
        torch.testing.assert_close(pruned(EXAMPLE), expected, rtol=1e-3, atol=1e-4)
    assert expected.std() > 1e-3  # not a comparison of zeros
    assert count_params(pruned) < 0.36 * count_params(model)
    assert count_macs(pruned, EXAMPLE) < 0.32 * count_macs(model, EXAMPLE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v2"])
def test_a_pruned_network_can_be_copied_stored_exported_and_trained(name):
    model = build(name)
    pruned = prune_channels(model, EXAMPLE, 0.4)
    with torch.no_grad():
        expected = pruned(EXAMPLE)
        torch.testing.assert_close(copy.deepcopy(pruned)(EXAMPLE), expected)
        other = prune_channels(build(name), EXAMPLE, 0.4)
        other.load_state_dict(pruned.state_dict())
        torch.testing.assert_close(other(EXAMPLE), expected)
        batch = {0: torch.export.Dim("batch", min=1, max=64)}
        exported = torch.export.export(pruned, (EXAMPLE,), dynamic_shapes=(batch,), strict=True)
        torch.testing.assert_close(exported.module()(EXAMPLE), expected)
    pruned.train()(EXAMPLE).sum().backward()
    assert all(parameter.grad is not None for parameter in pruned.parameters())


def test_coupled_layers_of_a_resnet_by_hand():
    groups = {frozenset(group) for group in coupled_layers(resnet8(), EXAMPLE)}
    assert groups == {
        frozenset({"conv", "stage1.0.conv2"}),
        frozenset({"stage1.0.conv1"}),
        frozenset({"stage2.0.conv2", "stage2.0.shortcut.0"}),
        frozenset({"stage2.0.conv1"}),
        frozenset({"stage3.0.conv2", "stage3.0.shortcut.0"}),
        frozenset({"stage3.0.conv1"}),
    }


def test_a_group_is_ranked_by_the_mean_of_its_normalised_layers():
    model = build("resnet8")
    first = channel_scores(model.conv)
    second = channel_scores(model.stage1[0].conv2)
    scores = first / first.mean() + second / second.mean()
    keep = scores.argsort(descending=True)[:8].sort().values
    pruned = prune_channels(model, EXAMPLE, 0.5, criterion="l1")
    assert torch.equal(pruned.conv.weight, model.conv.weight[keep])
    assert torch.equal(pruned.bn.running_var, model.bn.running_var[keep])


def test_bn_scale_keeps_the_channels_with_large_scales():
    model = build("resnet8")
    large = torch.tensor([2, 3, 5, 7, 11, 13, 14, 15])
    for bn in (model.bn, model.stage1[0].bn2):
        bn.weight.data.fill_(0.01)
        bn.weight.data[large] = 1.0
    pruned = prune_channels(model, EXAMPLE, 0.5, criterion="bn_scale")
    assert torch.equal(pruned.conv.weight, model.conv.weight[large])


def test_global_scope_takes_the_ratio_of_all_channels_from_where_they_matter_least():
    model = build("resnet8")
    scores = {name: torch.ones(len(m.weight)) for name, m in prunable_layers(model).items()}
    scores["stage3.0.conv1"][:60] = 1e-3  # 60 of 64 channels are worth little
    pruned = prune_channels(model, EXAMPLE, 60 / 224, criterion=scores, scope="global")
    assert pruned.stage3[0].conv1.out_channels == 4
    assert torch.equal(pruned.stage3[0].conv1.weight, model.stage3[0].conv1.weight[60:])
    assert pruned.conv.out_channels == 16 and pruned.stage2[0].conv2.out_channels == 32


def test_global_scope_leaves_one_channel_in_every_layer():
    pruned = prune_channels(build("resnet8"), EXAMPLE, 0.99, scope="global")
    assert min(layer.weight.shape[0] for layer in prunable_layers(pruned).values()) == 1
    assert pruned(EXAMPLE).shape == (2, 10)


def test_round_to_gives_multiples_and_at_least_one_of_them():
    pruned = prune_channels(build("resnet20"), EXAMPLE, 0.3, round_to=8)
    widths = {m.out_channels for m in pruned.modules() if isinstance(m, nn.Conv2d)}
    assert widths == {8, 24, 48}  # 16, 32, 64 times 0.7 are 11.2, 22.4, 44.8
    pruned = prune_channels(build("resnet20"), EXAMPLE, 0.9, round_to=8)
    assert {m.out_channels for m in pruned.modules() if isinstance(m, nn.Conv2d)} == {8}


def test_outputs_and_skipped_layers_keep_their_channels():
    pruned = prune_channels(build("resnet8"), EXAMPLE, 0.5, skip=("conv", "stage2.0.conv1"))
    assert pruned.fc.out_features == 10
    assert pruned.conv.out_channels == pruned.stage1[0].conv2.out_channels == 16  # coupled
    assert pruned.stage2[0].conv1.out_channels == 32
    assert pruned.stage3[0].conv1.out_channels == 32


def test_the_number_kept_is_not_off_by_one_through_rounding_errors():
    model = nn.Sequential(nn.Conv2d(3, 10, 1), nn.Conv2d(10, 5, 1))
    assert 10 * (1 - 0.8) < 2  # 1.9999999999999996
    assert prune_channels(model, EXAMPLE, 0.8)[0].out_channels == 2


def test_an_output_that_is_a_convolution_is_kept():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 6, 1), nn.Flatten())
    pruned = prune_channels(model, EXAMPLE, 0.5)
    assert (pruned[0].out_channels, pruned[2].out_channels) == (4, 6)


def test_mode_memory_format_and_frozen_models():
    model = build("resnet8").to(memory_format=torch.channels_last).requires_grad_(False)
    model.stage1.train()
    with torch.no_grad():
        pruned = prune_channels(model, EXAMPLE, 0.5)
    assert pruned.stage1[0].bn1.training and not pruned.training and not pruned.bn.training
    assert pruned.stage2[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert all(parameter.requires_grad for parameter in pruned.parameters())
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("fraction", [0.75, 0.5, 0.25])
def test_prune_to_macs_arrives_just_below_the_target(fraction, scope):
    model = build("resnet20")
    pruned = prune_to_macs(model, EXAMPLE, fraction, scope=scope)
    reached = count_macs(pruned, EXAMPLE) / count_macs(model, EXAMPLE)
    assert fraction - 0.08 < reached <= fraction


def test_prune_to_macs_takes_the_same_random_scores_in_every_trial():
    model = build("resnet8")
    torch.manual_seed(5)
    scores = {
        name: channel_scores(layer, criterion="random")
        for name, layer in prunable_layers(model).items()
    }
    torch.manual_seed(5)
    assert_same(
        prune_to_macs(model, EXAMPLE, 0.5, criterion="random"),
        prune_to_macs(model, EXAMPLE, 0.5, criterion=scores),
    )


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [[], [0, 0], [8], [-1]])
def test_bad_channel_indices_are_refused(keep):
    conv, following = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)
    for call in (mask_channels, partial(remove_channels, following=following)):
        with pytest.raises(InputError, match="from 0 to 7"):
            call(conv, None, keep=torch.tensor(keep, dtype=torch.int64))


class TwoHeads(nn.Module):
    """Two outputs from one trunk; one of them is the sum of two layers."""

    def __init__(self, pack):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.box, self.score, self.skip = (nn.Conv2d(8, n, 1) for n in (4, 6, 6))
        self.pack = pack

    def forward(self, x):
        x = self.trunk(x)
        return self.pack(self.box(x), (self.score(x) + self.skip(x)).mean((2, 3)))


@pytest.mark.parametrize(
    "pack", [lambda a, b: (a, b), lambda a, b: {"a": a, "b": [b]}, lambda a, b: [b, a]]
)
def test_all_heads_of_a_network_keep_their_outputs(pack):
    model, x = TwoHeads(pack), torch.rand(2, 3, 8, 8)
    assert coupled_layers(model, x) == [["trunk.0"]]
    pruned = prune_channels(model, x, 0.5)
    before, after = (
        [leaf.shape for leaf in torch.utils._pytree.tree_leaves(m(x))] for m in (model, pruned)
    )
    assert before == after and pruned.trunk[0].out_channels == 4


def test_an_output_through_a_linear_layer_and_shape_changes_is_found():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(288, 6), nn.Unflatten(1, (2, 3))
    )
    assert coupled_layers(model, torch.rand(1, 3, 8, 8)) == [["0"]]


def test_a_model_in_training_mode_stays_as_it_is_and_is_cut_alike():
    torch.manual_seed(0)
    block = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5)]
    model = nn.Sequential(*block, nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4)).train()
    model[5].eval()
    before = copy.deepcopy(model)
    x = torch.rand(4, 3, 8, 8)
    pruned = prune_to_macs(model, x, 0.5)
    prune_channels(model, x, 0.5)
    coupled_layers(model, x)
    taylor_scores(nn.Sequential(*model, nn.Flatten()), [(x, torch.arange(4))])
    assert [m.training for m in model.modules()] == [m.training for m in before.modules()]
    assert_same_state(model, before)
    assert [m.training for m in pruned.modules()] == [m.training for m in before.modules()]
    assert_same_state(pruned, prune_to_macs(copy.deepcopy(model).eval(), x, 0.5))


def assert_same_state(model, other):
    state, expected = model.state_dict(), other.state_dict()
    assert all(torch.equal(state[name], value) for name, value in expected.items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_networks_on_a_gpu_are_cut_there():
    model, x = vgg().cuda(), torch.rand(2, 3, 32, 32).cuda()
    scores = taylor_scores(model, [(x, torch.tensor([0, 1]))])
    for pruned in (prune_to_macs(model, x, 0.5), prune_channels(model, x, 0.5, criterion=scores)):
        assert all(weight.is_cuda for weight in pruned.parameters())
        assert pruned(x).shape == model(x).shape


def test_a_convolution_that_reads_other_channels_is_no_chain():
    with pytest.raises(InputError, match="reading the channels of the first"):
        remove_channels(nn.Conv2d(3, 4, 3), None, nn.Conv2d(8, 2, 3), torch.tensor([0]))


def test_a_network_that_cannot_be_cut_is_refused_with_the_place():
    class Reshaping(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 3)

        def forward(self, x):
            x = self.first(x)
            return self.second(x.reshape(len(x), 8, *x.shape[2:]))  # fails with fewer channels

    with pytest.raises(InputError, match="Reshaping cannot be cut in layer 'first'.*skip"):
        prune_channels(Reshaping(), torch.rand(1, 3, 8, 8), 0.5)


def test_chains_that_do_not_fit_are_refused():
    keep = torch.tensor([0, 1])
    for conv, following in [
        (nn.Conv2d(4, 8, 3, groups=2), nn.Conv2d(8, 4, 3)),
        (nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3, groups=8)),
        (nn.Conv2d(4, 8, 3), nn.Conv2d(9, 8, 3)),
        (nn.Conv2d(4, 8, 3), nn.Linear(12, 8)),
    ]:
        with pytest.raises(InputError, match="reading the channels of the first"):
            remove_channels(conv, None, following, keep)


def test_bad_scores_are_refused():
    conv = nn.Conv2d(3, 8, 3)
    with pytest.raises(InputError, match="criterion='l3'"):
        channel_scores(conv, criterion="l3")
    with pytest.raises(InputError, match="expected a batch norm"):
        channel_scores(conv, criterion="bn_scale")
    with pytest.raises(InputError, match="backward"):
        channel_scores(conv, criterion="taylor")
    with pytest.raises(InputError, match="no batch"):
        taylor_scores(vgg(), [])
    conv.weight.data[0] = float("nan")
    with pytest.raises(InputError, match="NaN"):
        channel_scores(conv)


@pytest.mark.parametrize("ratio", [-0.1, 1.0, float("nan")])
def test_a_ratio_outside_its_range_is_refused(ratio):
    with pytest.raises(InputError, match="at least 0 and below 1"):
        prune_channels(resnet8(), EXAMPLE, ratio)


def test_a_layer_without_channels_is_refused():
    with pytest.raises(InputError, match="no channel in a layer of 16"):
        prune_channels(resnet8(), EXAMPLE, 0.95)


def test_other_refusals_of_pruning_networks():
    model = resnet8()
    wrong = {name: torch.ones(3) for name in prunable_layers(model)}
    partly = {"conv": torch.ones(16)}
    for kwargs, message in [
        ({"scope": "local"}, "scope='local'"),
        ({"round_to": 0}, "round_to=0"),
        ({"skip": ("typo",)}, "typo"),
        ({"criterion": "taylor"}, "taylor_scores"),
        ({"criterion": "size"}, "criterion='size'"),
        ({"criterion": wrong}, "16 channels there"),
        ({"criterion": {"typo": torch.ones(3)}}, "'typo'"),
        ({"criterion": {"conv": torch.full((16,), float("nan"))}}, "NaN"),
        ({"criterion": partly}, "no scores for the channels"),
        ({"skip": [name for name in prunable_layers(model) if name != "fc"]}, "nothing to prune"),
    ]:
        with pytest.raises(InputError, match=message):
            prune_channels(model, EXAMPLE, 0.5, **kwargs)
    with pytest.raises(InputError, match="nothing to prune"):
        prune_channels(nn.Sequential(nn.Flatten(), nn.Linear(3072, 2)), EXAMPLE, 0.5)
    with pytest.raises(InputError, match="nothing to prune"):
        prune_channels(nn.ReLU(), EXAMPLE, 0.5)
    model.stage1[0].conv1.weight.data[0] = float("nan")
    with pytest.raises(InputError, match="NaN"):
        prune_channels(model, EXAMPLE, 0.5)


def test_grouped_convolutions_are_refused_by_name_and_can_be_skipped():
    layers = [nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(8, 8, 1)]
    model = nn.Sequential(*layers, nn.Conv2d(8, 4, 1))
    with pytest.raises(InputError, match="not depthwise.*into skip"):
        prune_channels(model, EXAMPLE, 0.5)
    pruned = prune_channels(model, EXAMPLE, 0.5, skip=("0", "1"))
    assert [layer.out_channels for layer in pruned] == [8, 8, 4, 4]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, 2.0, float("nan")])
def test_a_fraction_of_macs_outside_its_range_is_refused(fraction):
    with pytest.raises(InputError, match="between 0 and 1"):
        prune_to_macs(resnet8(), EXAMPLE, fraction)


def test_a_fraction_of_macs_that_cannot_be_reached_is_refused():
    with pytest.raises(InputError, match="MACs are left"):
        prune_to_macs(resnet8(), EXAMPLE, 0.1, skip=("conv", "stage1.0.conv1"))


def test_a_time_limit_is_told_as_such_not_as_a_network_that_cannot_be_cut(monkeypatch):
    def slow(*_, **__):
        raise TimeoutError("not done after 180 s")

    monkeypatch.setattr(torch_pruning.DependencyGraph, "build_dependency", slow)
    with pytest.raises(TimeoutError, match="not done after 180 s"):
        prune_channels(resnet8(), EXAMPLE, 0.5)
