"""Oracles and typical mistakes for the exercises of chapter 3."""

from itertools import combinations

import torch
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_weights

from tutorial_utils import quantization
from tutorial_utils.check.examine import Case, Exercise

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
        largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))  # made positive: no ties at
        sizes = torch.logspace(-2, 1, shape[0])[:, None]  # the lower end of the range
        return (rows * largest.sign() * sizes).reshape(shape)

    return [
        Case("a linear layer, 8 bits", {"weight": weight(2, 5), "n_bits": 8}),
        Case("channels of very different size, 4 bits", {"weight": weight(4, 6), "n_bits": 4}),
        Case("a convolution, 3 bits", {"weight": weight(3, 3, 2, 2), "n_bits": 3}),
    ]


def _right_channels(weight: Tensor, n_bits: int, axis: int | None = 0) -> Tensor:
    low, high = quantization.minmax_range(weight, axis)
    params = quantization.affine_params(low, high, n_bits, symmetric=True, signed=True)
    return quantization.fake_quantize(weight, *params, *quantization.int_range(n_bits, True), axis)


def _channels_not_clamped(weight: Tensor, n_bits: int) -> Tensor:
    scale = weight.flatten(1).abs().amax(1) / ((2**n_bits - 1) / 2)
    scale = scale.reshape(-1, *[1] * (weight.dim() - 1))
    return torch.round(weight / scale) * scale


def _budget_cases() -> list[Case]:
    def case(what: str, budget: int, **layers: tuple[float, int]) -> Case:
        points = {name: value[0] for name, value in layers.items()}
        sizes = {name: value[1] for name, value in layers.items()}
        return Case(what, {"points_lost": points, "size_bytes": sizes, "budget": budget})

    layers = {"first": (9.0, 400), "middle": (3.0, 9000), "wide": (6.0, 36000), "last": (2.0, 650)}
    return [
        case("everything fits", 99_000, **layers),
        case("room for the small layers only", 1_200, **layers),
        case(
            "two layers that together gain more",
            9_500,
            a=(5, 9400),
            b=(4, 4500),
            c=(3, 4600),
        ),
        case("quantizing a layer even helped", 800, up=(-0.5, 100), down=(1.0, 700)),
        case("no room at all", 50, **layers),
    ]


def _by_worth(points_lost: dict, size_bytes: dict, budget: int) -> list[str]:
    return _greedy(points_lost, size_bytes, budget, lambda n: points_lost[n] / size_bytes[n])


def _by_points(points_lost: dict, size_bytes: dict, budget: int) -> list[str]:
    return _greedy(points_lost, size_bytes, budget, lambda n: points_lost[n])


def _greedy(points_lost: dict, size_bytes: dict, budget: int, worth) -> list[str]:
    chosen = []
    for name in sorted(points_lost, key=worth, reverse=True):
        if points_lost[name] > 0 and size_bytes[name] <= budget:
            chosen.append(name)
            budget -= size_bytes[name]
    return chosen


def _judge_budget(
    answer: list, points_lost: dict, size_bytes: dict, budget: int
) -> tuple[str, str] | None:
    if not set(answer) <= set(points_lost) or len(set(answer)) != len(answer):
        return f"names among {list(points_lost)}, each at most once", "return names of layers"
    used, gained = (sum(table[name] for name in answer) for table in (size_bytes, points_lost))
    if used > budget:
        return f"at most {budget} bytes, yours are {used}", "add up the bytes as you choose"
    possible = [
        sum(points_lost[name] for name in names)
        for n in range(len(points_lost) + 1)
        for names in combinations(points_lost, n)
        if sum(size_bytes[name] for name in names) <= budget
    ]
    if gained >= 0.9 * max(possible):
        return None
    expected = f"at least {0.9 * max(possible):.4g} points, yours {gained:.4g}"
    if sorted(answer) == sorted(_by_points(points_lost, size_bytes, budget)):
        return (
            expected,
            "the layer that loses most may be the largest: rank by points per byte",
        )
    if any(points_lost[name] <= 0 for name in answer):
        return expected, "a layer that loses nothing need not stay in float"
    return expected, "there is room for more; a layer that does not fit should not end the search"


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
        ),
    ),
    Exercise(3, "keep_in_float", _budget_cases, _by_worth, judge=_judge_budget),
)
