"""Channels rescaled between two layers: the same function, other ranges."""

import pytest
import torch
from torch import nn

from tutorial_utils.errors import InputError
from tutorial_utils.quantization import equalize_, rescale_channels_

FACTORS = torch.tensor([0.01, 0.5, 1.0, 3.0, 20.0, 100.0])


def pair(second: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), second).double()


@pytest.mark.parametrize(
    "second",
    [nn.Conv2d(6, 4, 3), nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 6, 1)],
    ids=["ordinary", "depthwise", "square"],
)
def test_rescaling_and_equalizing_keep_the_function(second):
    net, images = pair(second), torch.randn(2, 3, 8, 8).double()
    before = net(images)
    ranges = net[0].weight.detach().abs().amax((1, 2, 3))
    rescale_channels_(net[0], net[2], FACTORS.double())
    torch.testing.assert_close(net[0].weight.abs().amax((1, 2, 3)), ranges / FACTORS.double())
    torch.testing.assert_close(net(images), before)
    equalize_(net[0], net[2])
    torch.testing.assert_close(net(images), before)
    axis = 0 if net[2].groups > 1 else 1
    others = [i for i in range(4) if i != axis]
    torch.testing.assert_close(
        net[0].weight.abs().amax((1, 2, 3)), net[2].weight.abs().amax(others)
    )


def test_equalizing_undoes_what_rescaling_did():
    one, other = pair(nn.Conv2d(6, 4, 3)), pair(nn.Conv2d(6, 4, 3))
    other.load_state_dict(one.state_dict())
    rescale_channels_(other[0], other[2], FACTORS.double())
    for net in (one, other):
        equalize_(net[0], net[2])
    torch.testing.assert_close(one[0].weight, other[0].weight)


def test_a_channel_without_weights_stays():
    first, second = nn.Linear(2, 3), nn.Linear(3, 2)
    nn.init.zeros_(first.weight)
    before = second.weight.clone()
    equalize_(first, second)
    assert torch.equal(second.weight, before) and first.bias.isfinite().all()


@pytest.mark.parametrize("factors", [torch.ones(5), torch.tensor([1, 1, 1, 1, 1, 0.0])])
def test_bad_factors_are_refused(factors):
    net = pair(nn.Conv2d(6, 4, 3))
    with pytest.raises(InputError, match="6 positive"):
        rescale_channels_(net[0], net[2], factors.double())


def test_layers_that_do_not_fit_are_refused_untouched():
    first = nn.Conv2d(3, 6, 3)
    before = first.weight.clone()
    with pytest.raises(InputError, match="reads 6 channels"):
        rescale_channels_(first, nn.Conv2d(6, 6, 3, groups=2), FACTORS)
    assert torch.equal(first.weight, before)
