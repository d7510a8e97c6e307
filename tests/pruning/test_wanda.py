"""Wanda's scores against the inputs that are really multiplied with each weight."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tutorial_utils.errors import InputError
from tutorial_utils.models import resnet8
from tutorial_utils.pruning import magnitude_scores, masks_from_scores, wanda_scores


def squares_by_gradient(conv, x):
    """Sum of squared inputs of each weight: one place of one image at a time, by autograd.

    The output at a place is linear in the weight, so its gradient is the input of each weight.
    """
    total = torch.zeros_like(conv.weight)
    for image in x:
        out = conv(image[None])
        for row in range(out.shape[2]):
            for column in range(out.shape[3]):
                (inputs,) = torch.autograd.grad(
                    out[0, :, row, column].sum(), conv.weight, retain_graph=True
                )
                total += inputs**2
    return total


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": 1, "stride": 2},
        {"padding": (2, 0), "dilation": (2, 1)},
        {"groups": 2, "padding": 1},
        {"groups": 4, "bias": False, "padding": "valid"},
    ],
)
def test_norms_of_a_convolution_are_those_of_what_each_weight_multiplies(options):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 8, (3, 2), **options)
    x = torch.randn(3, 4, 7, 6)
    expected = conv.weight.abs() * squares_by_gradient(conv, x).sqrt()
    found = wanda_scores(nn.Sequential(conv), x, batch_size=2)["0"]
    torch.testing.assert_close(found, expected.detach())


def test_norms_of_a_linear_layer_by_hand_also_for_sequences():
    torch.manual_seed(0)
    linear = nn.Linear(5, 3)
    x = torch.randn(4, 6, 5)
    norms = torch.stack([x[..., i].norm() for i in range(5)])
    expected = linear.weight.detach().abs() * norms
    torch.testing.assert_close(wanda_scores(nn.Sequential(linear), x)["0"], expected)


def test_a_small_weight_on_a_large_input_stays():
    model = nn.Sequential(nn.Linear(4, 1, bias=False))
    model[0].weight.data = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    x = torch.tensor([[100.0, 10.0, 1.0, 0.1]])
    scores = wanda_scores(model, x)
    assert masks_from_scores(scores, 0.5, "output")["0"].tolist() == [[True, True, False, False]]
    by_size = {"0": magnitude_scores(model[0].weight)}
    assert masks_from_scores(by_size, 0.5, "output")["0"].tolist() == [[False, False, True, True]]


def test_within_an_output_wanda_changes_the_output_least():
    """With inputs that are independent, no other choice of half of the weights is better."""
    torch.manual_seed(0)
    linear = nn.Linear(6, 4, bias=False)
    x = torch.diag(torch.tensor([0.1, 2.0, 0.5, 1.0, 3.0, 0.2]))  # orthogonal columns
    kept = masks_from_scores(wanda_scores(nn.Sequential(linear), x), 0.5, "output")["0"]

    def error(mask):
        return ((F.linear(x, linear.weight * mask) - linear(x)) ** 2).sum(0)

    for i in range(6):
        for j in range(6):
            other = kept.clone()
            other[:, [i, j]] = other[:, [j, i]]
            assert (error(kept) <= error(other) + 1e-6).all()


def test_the_model_is_left_as_it_was():
    torch.manual_seed(0)
    model = resnet8(width=4).train()
    before = copy.deepcopy(model.state_dict())
    scores = wanda_scores(model, torch.randn(4, 3, 32, 32))
    assert model.training and not model.conv._forward_pre_hooks
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    shapes = {name: model.get_submodule(name).weight.shape for name in scores}
    assert {name: values.shape for name, values in scores.items()} == shapes


def test_padding_that_is_not_zeros_is_refused():
    conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    with pytest.raises(InputError, match="zeros"):
        wanda_scores(nn.Sequential(conv), torch.randn(1, 3, 8, 8))
