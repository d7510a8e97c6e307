"""Statistics of batch norm against the mean and variance of what reaches it."""

import copy

import pytest
import torch
from torch import nn

from tutorial_utils.errors import InputError
from tutorial_utils.models import resnet8
from tutorial_utils.pruning import apply_masks_, make_masks, reestimate_batch_norm_


@pytest.fixture
def model():
    torch.manual_seed(0)
    return resnet8(width=4).eval()


def test_the_first_batch_norm_has_the_mean_and_variance_of_its_inputs(model):
    x = torch.randn(96, 3, 32, 32)
    apply_masks_(model, make_masks(model, 0.5))
    reestimate_batch_norm_(model, x, batch_size=96)
    with torch.no_grad():
        reaches = model.conv(x).transpose(0, 1).flatten(1)
    torch.testing.assert_close(model.bn.running_mean, reaches.mean(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.bn.running_var, reaches.var(1), rtol=1e-4, atol=1e-5)


def test_with_one_batch_it_answers_as_in_train_mode(model):
    """Up to the factor n / (n - 1) between the two variances, which vanishes for many places."""
    x = torch.randn(64, 3, 32, 32)
    with torch.no_grad():
        expected = copy.deepcopy(model).train()(x)
        reestimate_batch_norm_(model, x, batch_size=64)
        torch.testing.assert_close(model(x), expected, rtol=1e-2, atol=1e-3)


def test_batches_count_alike(model):
    first, second = torch.randn(8, 3, 32, 32), 3 * torch.randn(8, 3, 32, 32)
    reestimate_batch_norm_(model, [first])
    one = model.bn.running_mean.clone()
    reestimate_batch_norm_(model, [second])
    other = model.bn.running_mean.clone()
    reestimate_batch_norm_(model, torch.cat([first, second]), batch_size=8)
    torch.testing.assert_close(model.bn.running_mean, (one + other) / 2)


def test_nothing_but_the_statistics_changes(model):
    model.stage1.train()  # some modules in train mode
    before = copy.deepcopy(model.state_dict())
    modes = {name: module.training for name, module in model.named_modules()}
    momentum = model.bn.momentum
    reestimate_batch_norm_(model, torch.randn(8, 3, 32, 32))
    after = model.state_dict()
    changed = {key.split(".")[-1] for key in before if not torch.equal(before[key], after[key])}
    assert changed <= {"running_mean", "running_var", "num_batches_tracked"}
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert model.bn.momentum == momentum
    assert all(weight.grad is None for weight in model.parameters())


def test_it_brings_back_what_other_statistics_broke(model):
    """A network with the statistics of another scale answers as before once they are its own."""
    x = torch.randn(64, 3, 32, 32)
    reestimate_batch_norm_(model, x)
    expected = model(x)
    with torch.no_grad():
        model.stage1[0].conv1.weight.mul_(0.1)
    assert not torch.allclose(model(x), expected, atol=0.05)
    reestimate_batch_norm_(model, x)
    torch.testing.assert_close(model(x), expected, rtol=1e-2, atol=1e-2)


def test_dropout_stays_off():
    model = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(1)).train()
    reestimate_batch_norm_(model, torch.full((16, 1), 2.0))
    assert model[1].running_mean.item() == pytest.approx(2.0) and model[0].training


def test_a_model_without_statistics_is_refused():
    for model in (nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)):
        with pytest.raises(InputError, match="no batch norm"):
            reestimate_batch_norm_(model, torch.ones(4, 2))
