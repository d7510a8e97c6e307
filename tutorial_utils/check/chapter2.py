"""Oracles and typical mistakes for the exercises of chapter 2."""

import torch
from torch import Tensor

from tutorial_utils import quantization
from tutorial_utils.check.bugs_measuring import INT8_PRODUCT
from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.check.integer_layer import INTEGER_LAYER


def _quantize_cases() -> list[Case]:
    def case(what: str, x: list, scale: float, zero_point: int, qmin: int, qmax: int) -> Case:
        args = {"x": torch.tensor(x), "scale": scale, "zero_point": zero_point}
        return Case(what, args | {"qmin": qmin, "qmax": qmax})

    return [
        case("values on the marks of the ruler", [-1.0, 0.0, 0.5, 1.5], 0.5, 0, -8, 7),
        case("values between two marks", [-0.7, 0.3, 0.45, 1.4], 0.5, 0, -8, 7),
        case("a zero point that is not 0", [-0.4, 0.0, 0.9, 2.0], 0.25, 3, 0, 15),
        case("values outside the range", [-9.0, -0.2, 0.7, 9.0], 0.5, 0, -8, 7),
        case("outside the range, with a zero point", [[-2.0, 1.1], [4.2, 0.4]], 0.25, 5, 0, 15),
    ]


def _right_quantize(x: Tensor, scale: float, zero_point: int, qmin: int, qmax: int) -> Tensor:
    return quantization.quantize(x, scale, zero_point, qmin, qmax).int()


def _not_clamped(x: Tensor, scale: float, zero_point: int, qmin: int, qmax: int) -> Tensor:
    return (torch.round(x / scale) + zero_point).int()


def _truncated(x: Tensor, scale: float, zero_point: int, qmin: int, qmax: int) -> Tensor:
    return ((x / scale).int() + zero_point).clamp(qmin, qmax)


def _floored(x: Tensor, scale: float, zero_point: int, qmin: int, qmax: int) -> Tensor:
    return (torch.floor(x / scale).int() + zero_point).clamp(qmin, qmax)


def _clamped_too_early(x: Tensor, scale: float, zero_point: int, qmin: int, qmax: int) -> Tensor:
    return torch.round(x / scale).clamp(qmin, qmax).int() + zero_point


def _without_zero_point(x: Tensor, scale: float, zero_point: int, qmin: int, qmax: int) -> Tensor:
    return torch.round(x / scale).clamp(qmin, qmax).int()


def _params_cases() -> list[Case]:
    def case(what: str, low: float, high: float, n_bits: int) -> Case:
        return Case(what, {"low": low, "high": high, "n_bits": n_bits})

    return [
        case("a range that begins at 0", 0.0, 3.0, 2),
        case("a range on both sides of 0", -1.0, 3.0, 4),
        case("8 bits", -2.0, 0.5, 8),
        case("a range that does not contain 0", 1.0, 3.0, 4),
        case("a range below 0", -4.0, -1.0, 3),
    ]


def _right_params(low: float, high: float, n_bits: int) -> tuple[float, int]:
    scale, zero_point = quantization.affine_params(low, high, n_bits, symmetric=False, signed=False)
    return scale.item(), zero_point.item()


def _zero_left_out(low: float, high: float, n_bits: int) -> tuple[float, int]:
    scale = (high - low) / (2**n_bits - 1)
    return scale, round(-low / scale)


def _one_step_too_many(low: float, high: float, n_bits: int) -> tuple[float, int]:
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 2**n_bits
    return scale, round(-low / scale)


def _zero_point_positive(low: float, high: float, n_bits: int) -> tuple[float, int]:
    scale, zero_point = _right_params(low, high, n_bits)
    return scale, -zero_point


def _symmetric(low: float, high: float, n_bits: int) -> tuple[float, int]:
    return 2 * max(abs(low), abs(high)) / (2**n_bits - 1), 2 ** (n_bits - 1)


def _range_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    bell = torch.randn(4000, generator=generator)
    flat = torch.linspace(-1, 1, 401)
    return [
        Case("a bell and two outliers, 4 bits", {"x": _joined(bell, 12.0, -10.0), "n_bits": 4}),
        Case("positive values, one outlier", {"x": _joined(bell.abs(), 15.0), "n_bits": 4}),
        Case("evenly spread, no outlier: nothing to cut", {"x": flat, "n_bits": 4}),
        Case("a bell without outliers, 3 bits", {"x": bell, "n_bits": 3}),
    ]


def _joined(x: Tensor, *outliers: float) -> Tensor:
    return torch.cat([x, torch.tensor(outliers, dtype=torch.float32)])


def _error(x: Tensor, low: object, high: object, n_bits: int) -> float:
    low, high = (torch.as_tensor(value, dtype=torch.float32) for value in (low, high))
    params = quantization.affine_params(low, high, n_bits, symmetric=False, signed=False)
    quantized = quantization.fake_quantize(
        x, *params, *quantization.int_range(n_bits, signed=False)
    )
    return float((x - quantized).square().mean())


def _judge_range(answer: tuple, x: Tensor, n_bits: int) -> tuple[str, str] | None:
    low, high = (float(value) for value in answer)
    if low > high:
        return "low <= high", "the smaller end comes first"
    widest = _error(x, *quantization.minmax_range(x), n_bits)
    best = _error(x, *quantization.histogram_range(x, n_bits), n_bits)
    yours, allowed = _error(x, low, high, n_bits), 1.2 * best
    if yours <= allowed:
        return None
    expected = (
        f"a mean squared error of at most {allowed:.4g}; smallest to largest value gives "
        f"{widest:.4g}, yours {yours:.4g}"
    )
    if 0.99 * widest <= yours <= 1.01 * widest:
        return expected, "the outermost values stretch the scale for all others: cut them off"
    if yours > widest:
        return expected, "too much is cut off: weigh the values you clip against the finer scale"
    return expected, "the right direction; try more ranges, and keep the one with the least error"


EXERCISES = (
    Exercise(
        2,
        "quantize",
        _quantize_cases,
        _right_quantize,
        (
            (_not_clamped, "integers beyond qmin or qmax cannot be stored: clamp them"),
            (_truncated, "converting to int cuts the fraction off: round to the nearest first"),
            (_floored, "floor always rounds down: round to the nearest"),
            (_clamped_too_early, "qmin and qmax hold for the stored integer: clamp at the end"),
            (_without_zero_point, "the zero point is the integer that stands for 0: add it"),
        ),
        after="Every part was there for an input: rounding for values between the marks, the zero "
        "point for ranges beside 0, clamping at the end for what lies outside. In practice this is "
        "one call of torch, and what you choose are scale and zero point.",
    ),
    Exercise(
        2,
        "scale_and_zero_point",
        _params_cases,
        _right_params,
        (
            (_zero_left_out, "0 must have an integer of its own: widen the range to contain it"),
            (_one_step_too_many, "2**n_bits integers have one gap less between them"),
            (_zero_point_positive, "low maps to the integer 0: watch the sign of the zero point"),
            (_symmetric, "that is symmetric around 0: cover low to high, and no more"),
        ),
        after="2**b integers have 2**b - 1 gaps. In practice activations get this asymmetric "
        "range, and weights a symmetric one, whose zero point of 0 costs nothing in a product.",
    ),
    Exercise(
        2,
        "choose_range",
        _range_cases,
        quantization.histogram_range,
        judge=_judge_range,
        after="The fewer the bits, the more it pays to clip. In practice a histogram is enough, "
        "and the range is chosen for each channel of a weight.",
    ),
    INT8_PRODUCT,
    INTEGER_LAYER,
)
