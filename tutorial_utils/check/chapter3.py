"""Oracles and typical mistakes for the exercises of chapter 3."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_weights

from tutorial_utils import quantization
from tutorial_utils.check.bugs_measuring import ACTIVATION_RANGE
from tutorial_utils.check.byte_budget import KEEP_IN_FLOAT
from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.check.graphs import PACK_INT4, WEIGHT_BITS
from tutorial_utils.check.scored_networks import QUANTIZE_TO_BUDGET

Folded = tuple[Tensor, Tensor]


def _fold_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def case(what: str, *shape: int, **changed: object) -> Case:
        args = {
            "weight": torch.randn(*shape, generator=generator),
            "bias": torch.randn(shape[0], generator=generator),
            "mean": torch.randn(shape[0], generator=generator),
            "var": torch.rand(shape[0], generator=generator) + 0.5,
            "gamma": torch.rand(shape[0], generator=generator) + 0.5,
            "beta": torch.randn(shape[0], generator=generator),
            "eps": 1e-5,
        }
        return Case(what, args | changed)

    zeros = torch.zeros(2)
    return [
        case("no bias, no mean, no shift", 2, 3, 1, 1, bias=zeros, mean=zeros, beta=zeros),
        case("all statistics at work", 4, 3, 3, 3),
        case("as many outputs as inputs", 3, 3, 1, 1),
        case("a variance that is nearly 0, where eps counts", 2, 3, 1, 1, var=zeros + 1e-6),
    ]


def _right_fold(weight, bias, mean, var, gamma, beta, eps) -> Folded:
    weight, bias = fuse_conv_bn_weights(weight, bias, mean, var, eps, gamma, beta)
    return weight.detach(), bias.detach()


def _factor(weight: Tensor, var: Tensor, gamma: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    factor = gamma / torch.sqrt(var + eps)
    return factor, weight * factor.reshape(-1, 1, 1, 1)


def _variance_not_rooted(weight, bias, mean, var, gamma, beta, eps) -> Folded:
    factor = gamma / (var + eps)
    return weight * factor.reshape(-1, 1, 1, 1), (bias - mean) * factor + beta


def _eps_left_out(weight, bias, mean, var, gamma, beta, eps) -> Folded:
    return _right_fold(weight, bias, mean, var, gamma, beta, 0.0)


def _mean_not_scaled(weight, bias, mean, var, gamma, beta, eps) -> Folded:
    return _factor(weight, var, gamma, eps)[1], bias - mean + beta


def _bias_not_scaled(weight, bias, mean, var, gamma, beta, eps) -> Folded:
    factor, folded = _factor(weight, var, gamma, eps)
    return folded, bias - mean * factor + beta


def _bias_left_out(weight, bias, mean, var, gamma, beta, eps) -> Folded:
    factor, folded = _factor(weight, var, gamma, eps)
    return folded, beta - mean * factor


def _inputs_scaled(weight, bias, mean, var, gamma, beta, eps) -> Folded:
    factor, _ = _factor(weight, var, gamma, eps)
    return weight * factor.reshape(1, -1, 1, 1), (bias - mean) * factor + beta


def _channel_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(1)

    def weight(*shape: int) -> Tensor:
        w = torch.randn(*shape, generator=generator)
        rows = w.reshape(shape[0], -1)
        largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
        signs = (-1.0) ** torch.arange(shape[0])[:, None]
        sizes = torch.logspace(-2, 1, shape[0])[:, None]
        # The largest magnitude of one channel is above 0, of the next below.
        return (rows * largest.sign() * signs * sizes).reshape(shape)

    return [
        Case("a linear layer, 8 bits", {"weight": weight(2, 5), "n_bits": 8}),
        Case("channels of very different size, 4 bits", {"weight": weight(4, 6), "n_bits": 4}),
        Case("a convolution, 3 bits", {"weight": weight(3, 3, 2, 2), "n_bits": 3}),
    ]


def _right_channels(weight: Tensor, n_bits: int, axis: int | None = 0) -> Tensor:
    low, high = quantization.minmax_range(weight, axis)
    params = quantization.affine_params(low, high, n_bits, symmetric=True, signed=True)
    return quantization.fake_quantize(weight, *params, *quantization.int_range(n_bits, True), axis)


def _without_ties(function: Callable, weight: Tensor, n_bits: int) -> object:
    """The answer but for weights exactly between the two last integers, which may go either way."""
    answer = function(weight, n_bits)
    rows = weight.flatten(1)
    tied = (rows == -rows.abs().amax(1, keepdim=True)).reshape(weight.shape)
    same = isinstance(answer, Tensor) and answer.shape == weight.shape
    return answer.masked_fill(tied, 0) if same and answer.is_floating_point() else answer


def _largest_without_sign(weight: Tensor, n_bits: int) -> Tensor:
    scale = weight.flatten(1).amax(1) / ((2**n_bits - 1) / 2)
    scale = scale.reshape(-1, *[1] * (weight.dim() - 1))
    qmin, qmax = quantization.int_range(n_bits, True)
    return torch.round(weight / scale).clamp(qmin, qmax) * scale


def _channels_not_clamped(weight: Tensor, n_bits: int) -> Tensor:
    scale = weight.flatten(1).abs().amax(1) / ((2**n_bits - 1) / 2)
    scale = scale.reshape(-1, *[1] * (weight.dim() - 1))
    return torch.round(weight / scale) * scale


EXERCISES = (
    Exercise(
        3,
        "fold_batch_norm",
        _fold_cases,
        _right_fold,
        (
            (_variance_not_rooted, "batch norm divides by the standard deviation: take the root"),
            (_eps_left_out, "eps belongs under the root, beside the variance"),
            (_mean_not_scaled, "the mean is subtracted before batch norm scales: scale it, too"),
            (_bias_not_scaled, "batch norm scales all of the convolution's output, its bias too"),
            (_bias_left_out, "the convolution's own bias is lost"),
            (_inputs_scaled, "batch norm scales output channels: dimension 0 of the weight"),
        ),
        after="In practice every converter does this before it quantizes, and channels that batch "
        "norm scaled differently are then of different width: one reason for scales per channel.",
    ),
    Exercise(
        3,
        "quantize_per_channel",
        _channel_cases,
        _right_channels,
        (
            (
                lambda weight, n_bits: _right_channels(weight, n_bits, None),
                "that is one scale for the whole tensor: take the largest value of each channel",
            ),
            (
                lambda weight, n_bits: _right_channels(weight, n_bits, 1),
                "that is a scale for each input channel: output channels are dimension 0",
            ),
            (
                _channels_not_clamped,
                "the largest weight is rounded beyond qmax: clamp the integers",
            ),
            (
                _largest_without_sign,
                "the largest magnitude of a channel may be below 0: take absolute values first",
            ),
        ),
        observe=_without_ties,
        after="In practice weights always get a scale for each output channel: it costs a few "
        "floats, and integer kernels ask for it.",
    ),
    KEEP_IN_FLOAT,
    ACTIVATION_RANGE,
    PACK_INT4,
    WEIGHT_BITS,
    QUANTIZE_TO_BUDGET,
)
