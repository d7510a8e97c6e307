"""Pruning masks against torch.nn.utils.prune, by hand, and under training."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torchvision.models import mobilenet_v2

from tutorial_utils.data import Dataset, Split
from tutorial_utils.errors import InputError
from tutorial_utils.models import resnet8
from tutorial_utils.pruning import (
    apply_masks_,
    cubic_sparsity,
    keep_masked,
    magnitude_scores,
    make_masks,
    mask_from_scores,
    masks_from_scores,
    prunable_layers,
    prune_gradually,
    random_scores,
    scan_sensitivity,
    sparsity_of,
    storage_bytes,
)
from tutorial_utils.training import fit


@pytest.fixture
def model():
    torch.manual_seed(0)
    return resnet8(width=4)


def random_data(n_images=128):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (n_images, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(10, (n_images,), generator=generator)
    split = Split(images, labels, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return Dataset("random", tuple("0123456789"), split, split, split, flip=False, key="random")


def masked_weights(model, masks):
    return torch.cat([layer.weight[~masks[name]] for name, layer in prunable_layers(model).items()])


# -- scores and masks ----------------------------------------------------------------------------


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 1 / 3, 0.5, 0.505, 0.8, 0.99])
@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (10, 7), (5,)])
def test_magnitude_mask_equals_torch_l1_unstructured(shape, sparsity):
    torch.manual_seed(1)
    weight = torch.randn(shape)
    layer = nn.Module()
    layer.register_parameter("weight", nn.Parameter(weight.clone()))
    prune.l1_unstructured(layer, "weight", amount=sparsity)
    mask = mask_from_scores(magnitude_scores(weight), sparsity)
    assert torch.equal(mask, layer.weight_mask.bool())


@pytest.mark.parametrize("n", [1, 3, 10, 64, 577])
@pytest.mark.parametrize("sparsity", [0.0, 0.25, 0.5, 0.9, 0.999])
def test_number_kept_is_exact_even_when_all_scores_are_equal(n, sparsity):
    assert mask_from_scores(torch.ones(n), sparsity).sum() == n - round(sparsity * n)


def test_ties_are_removed_in_memory_order():
    mask = mask_from_scores(torch.tensor([1.0, 0.0, 1.0, 1.0, 2.0, 1.0]), 0.5)
    assert mask.tolist() == [False, False, False, True, True, True]


def test_random_scores_follow_the_generator_and_ignore_the_weight():
    first = random_scores(torch.zeros(4, 5), torch.Generator().manual_seed(3))
    again = random_scores(torch.ones(4, 5), torch.Generator().manual_seed(3))
    other = random_scores(torch.zeros(4, 5), torch.Generator().manual_seed(4))
    assert first.shape == (4, 5) and torch.equal(first, again) and not torch.equal(first, other)


def test_random_masks_hit_large_and_small_weights_alike():
    weight = torch.cat([torch.full((5000,), 1e-3), torch.full((5000,), 10.0)])
    mask = mask_from_scores(random_scores(weight, torch.Generator().manual_seed(0)), 0.5)
    assert abs(mask[:5000].float().mean() - 0.5) < 0.03  # 4 standard errors


# -- models --------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [resnet8, partial(mobilenet_v2, weights=None)])
def test_global_masks_equal_torch_global_unstructured(build):
    torch.manual_seed(0)
    model = build()
    masks = make_masks(model, 0.8, scope="global")
    pruned = copy.deepcopy(model)
    layers = prunable_layers(pruned)
    prune.global_unstructured(
        [(layer, "weight") for layer in layers.values()],
        pruning_method=prune.L1Unstructured,
        amount=0.8,
    )
    assert all(torch.equal(masks[name], m.weight_mask.bool()) for name, m in layers.items())


def test_global_and_layer_scope_remove_the_same_number_in_different_places(model):
    with torch.no_grad():
        model.fc.weight.mul_(100)
    by_layer = make_masks(model, 0.6, scope="layer")
    across = make_masks(model, 0.6, scope="global")
    assert sparsity_of(by_layer) == pytest.approx(0.6, abs=5e-3)
    assert sparsity_of(across) == pytest.approx(0.6, abs=1e-4)
    for mask in by_layer.values():
        assert sparsity_of({"": mask}) == pytest.approx(0.6, abs=0.05)
    assert across["fc"].all()


def test_within_outputs_each_loses_the_same_number(model):
    masks = make_masks(model, 0.6, scope="output")
    for name, layer in prunable_layers(model).items():
        assert masks[name].shape == layer.weight.shape
        for row, mask in zip(layer.weight, masks[name], strict=True):
            assert torch.equal(mask, mask_from_scores(row.abs(), 0.6))


def test_masks_from_scores_are_those_of_the_scores_and_not_of_the_weights(model):
    scores = {name: -layer.weight.abs() for name, layer in prunable_layers(model).items()}
    for scope in ("global", "layer", "output"):
        smallest = masks_from_scores(scores, 0.5, scope)
        assert torch.equal(smallest["fc"], ~make_masks(model, 0.5, scope=scope)["fc"])


def test_only_convolution_and_linear_weights_are_pruned(model):
    names = set(make_masks(model, 0.5, skip=("conv", "fc")))
    assert names == {
        "stage1.0.conv1", "stage1.0.conv2", "stage2.0.conv1", "stage2.0.conv2",
        "stage2.0.shortcut.0", "stage3.0.conv1", "stage3.0.conv2", "stage3.0.shortcut.0",
    }  # fmt: skip
    before = copy.deepcopy(model.state_dict())
    apply_masks_(model, make_masks(model, 0.5))
    after = model.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {name + ".weight" for name in names | {"conv", "fc"}}


def test_apply_masks_zeroes_the_masked_and_nothing_else(model):
    model.to(memory_format=torch.channels_last)
    original = copy.deepcopy(model)
    masks = make_masks(model, 0.7)
    apply_masks_(model, masks)
    assert not masked_weights(model, masks).any()
    for name, layer in prunable_layers(model).items():
        weight = original.get_submodule(name).weight
        assert torch.equal(layer.weight[masks[name]], weight[masks[name]])
    assert model.stage1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert sparsity_of(model) == pytest.approx(0.7, abs=1e-4)


def test_making_masks_changes_nothing(model):
    before = copy.deepcopy(model.state_dict())
    make_masks(model, 0.9)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_random_masks_of_a_model_are_reproducible(model):
    def masks(seed):
        score = partial(random_scores, generator=torch.Generator().manual_seed(seed))
        return make_masks(model, 0.5, score=score)

    assert all(torch.equal(mask, masks(0)[name]) for name, mask in masks(0).items())
    assert not torch.equal(masks(0)["fc"], masks(1)["fc"])


def test_mobilenet_is_pruned_too():
    model = mobilenet_v2(weights=None)
    apply_masks_(model, make_masks(model, 0.8))
    assert sparsity_of(model) == pytest.approx(0.8, abs=1e-4)
    assert model.eval()(torch.randn(1, 3, 32, 32)).isfinite().all()


def test_mobilenet_is_pruned_while_training_and_stored_small():
    torch.manual_seed(0)
    model = mobilenet_v2(weights=None)
    on_step = prune_gradually(0.8, every=1)
    fit(model, random_data(16), epochs=1, batch_size=8, lr=0.01, on_step=on_step, show=False)
    assert sparsity_of(model) == pytest.approx(0.8, abs=1e-4)
    assert storage_bytes(model, "bitmask") < 0.3 * storage_bytes(model, "dense")
    assert model(torch.randn(1, 3, 32, 32)).isfinite().all()


def test_sensitivity_scan_prunes_one_layer_at_a_time_and_restores(model):
    before = copy.deepcopy(model.state_dict())
    n_weights = sum(layer.weight.numel() for layer in prunable_layers(model).values())
    results = scan_sensitivity(model, [0.0, 0.5], lambda m: sparsity_of(m) * n_weights)
    for name, layer in prunable_layers(model).items():
        expected = [0, round(0.5 * layer.weight.numel())]
        assert results[name] == pytest.approx(expected, abs=1e-6)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_sensitivity_scan_restores_after_an_error(model):
    before = model.conv.weight.detach().clone()
    with pytest.raises(ZeroDivisionError):
        scan_sensitivity(model, [0.5], lambda m: 1 / 0)
    assert torch.equal(model.conv.weight, before)


# -- schedules -----------------------------------------------------------------------------------


def test_cubic_schedule_by_hand():
    # Zhu and Gupta, equation 1, with s_i = 0.2, s_f = 0.9, t_0 = 100, n * delta_t = 200.
    assert cubic_sparsity(100, 100, 300, 0.9, 0.2) == pytest.approx(0.2)
    assert cubic_sparsity(150, 100, 300, 0.9, 0.2) == pytest.approx(0.9 - 0.7 * 0.75**3)
    assert cubic_sparsity(200, 100, 300, 0.9, 0.2) == pytest.approx(0.9 - 0.7 / 8)
    assert cubic_sparsity(300, 100, 300, 0.9, 0.2) == 0.9
    assert cubic_sparsity(0, 100, 300, 0.9, 0.2) == pytest.approx(0.2)
    assert cubic_sparsity(9999, 100, 300, 0.9, 0.2) == 0.9


def test_masked_weights_stay_zero_through_fit_and_the_others_move(model):
    masks = make_masks(model, 0.8)
    apply_masks_(model, masks)
    before = copy.deepcopy(model.state_dict())
    fit(model, random_data(), epochs=3, batch_size=64, on_step=keep_masked(masks), show=False)
    assert not masked_weights(model, masks).any()
    assert sparsity_of(model) == pytest.approx(0.8, abs=1e-4)
    assert all(
        not torch.equal(before[name + ".weight"], layer.weight)
        for name, layer in prunable_layers(model).items()
        if masks[name].any()
    )


def test_without_the_callback_fit_fills_the_zeros_again(model):
    masks = make_masks(model, 0.8)
    apply_masks_(model, masks)
    fit(model, random_data(), epochs=1, batch_size=64, show=False)
    assert masked_weights(model, masks).any()


def test_gradual_pruning_follows_the_schedule_and_zeros_never_return(model):
    seen, zeros = [], []
    prune_step = prune_gradually(0.9, start=0.1, end=0.7, every=2)

    def on_step(step, n_steps, model):
        prune_step(step, n_steps, model)
        seen.append(sparsity_of(model))
        zeros.append({name: m.weight == 0 for name, m in prunable_layers(model).items()})

    fit(model, random_data(), epochs=10, batch_size=64, on_step=on_step, show=False)
    assert len(seen) == 20
    assert seen[:3] == pytest.approx([0, 0, 0], abs=1e-9)  # starts at step 2, first update at 4
    for step in (4, 6, 8, 10, 12, 14):
        assert seen[step - 1] == pytest.approx(cubic_sparsity(step, 2, 14, 0.9), abs=1e-3)
    assert seen[4] == seen[3]  # between two updates
    assert seen[13:] == pytest.approx([0.9] * 7, abs=1e-4)
    for old, new in zip(zeros, zeros[1:], strict=False):
        assert all((new[name] | ~old[name]).all() for name in old)


def test_a_schedule_starts_anew_with_each_training():
    on_step = prune_gradually(0.5, every=1)
    for seed in (0, 1):  # weights that differ, and so do the masks
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(8, 8))
        first = net[0].weight.detach().clone()
        for step in range(1, 9):
            on_step(step, 8, net)
        kept = mask_from_scores(first.abs(), 0.5)
        assert torch.equal(net[0].weight != 0, kept)


@pytest.mark.parametrize("end", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("n_steps", [1, 2, 3, 7])
def test_gradual_pruning_arrives_however_short_the_training(model, n_steps, end):
    on_step = prune_gradually(0.5, end=end, every=100)
    for step in range(1, n_steps + 1):
        on_step(step, n_steps, model)
    assert sparsity_of(model) == pytest.approx(0.5, abs=1e-3)


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan")])
def test_sparsity_outside_its_range_is_refused(model, sparsity):
    for call in (
        lambda: mask_from_scores(torch.ones(4), sparsity),
        lambda: make_masks(model, sparsity),
        lambda: prune_gradually(sparsity),
        lambda: cubic_sparsity(1, 0, 2, sparsity),
        lambda: scan_sensitivity(model, [sparsity], sparsity_of),
    ):
        with pytest.raises(InputError, match="at least 0 and below 1"):
            call()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(model, bad):
    model.stage2[0].conv1.weight.data[0, 0, 0, 0] = bad
    for scope in ("layer", "global"):
        with pytest.raises(InputError, match="stage2.0.conv1"):
            make_masks(model, 0.5, scope=scope)


def test_other_refusals(model):
    with pytest.raises(InputError, match="nothing to prune"):
        make_masks(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), 0.5)
    with pytest.raises(InputError, match="nothing to prune"):
        prunable_layers(nn.Sequential(nn.Linear(2, 2)), skip=("0",))
    with pytest.raises(InputError, match="typo"):
        make_masks(model, 0.5, skip=("typo",))
    with pytest.raises(InputError, match="scope='all'"):
        make_masks(model, 0.5, scope="all")
    with pytest.raises(InputError, match="no weight"):
        apply_masks_(model, {"missing": torch.ones(2, dtype=torch.bool)})
    with pytest.raises(InputError, match=r"shape \(10, 16\)"):
        apply_masks_(model, {"fc": torch.ones(2, dtype=torch.bool)})
    with pytest.raises(InputError, match="start before end"):
        cubic_sparsity(1, 5, 5, 0.5)
    for start, end, every in [(0.5, 0.5, 1), (-0.1, 0.5, 1), (0, 1.1, 1), (0, 1, 0)]:
        with pytest.raises(InputError, match="0 <= start < end <= 1"):
            prune_gradually(0.5, start=start, end=end, every=every)
