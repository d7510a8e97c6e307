"""Oracle and typical mistakes for the exercise in which a layer computes in integers."""

import torch
from torch import Tensor

from tutorial_utils.check.examine import Case, Exercise


def _cases() -> list[Case]:
    def case(what: str, n_in: int, n_out: int, x_zero: int, y_zero: int, y_scale: float) -> Case:
        generator = torch.Generator().manual_seed(n_in)
        w_scale = 0.004 + 0.02 * torch.rand(n_out, generator=generator)
        return Case(
            what,
            {
                "x": torch.randint(256, (3, n_in), generator=generator, dtype=torch.uint8),
                "w": torch.randint(-128, 128, (n_out, n_in), generator=generator).to(torch.int8),
                "bias": torch.randint(-2000, 2000, (n_out,), generator=generator).int(),
                "x_scale": 0.013,
                "x_zero": x_zero,
                "w_scale": w_scale,
                "y_scale": y_scale,
                "y_zero": y_zero,
            },
        )

    return [
        case("zero points of 0, a coarse output", 3, 2, 0, 0, 0.7),
        case("a zero point of the input", 5, 3, 131, 0, 0.11),
        case("a zero point of the output", 6, 4, 90, 77, 0.17),
        case("as many outputs as inputs", 4, 4, 100, 128, 0.09),
        case("sums that leave the range of the output", 40, 4, 128, 120, 0.05),
    ]


def _layer(
    x: Tensor,
    w: Tensor,
    bias: Tensor,
    x_scale: float,
    x_zero: int,
    w_scale: Tensor,
    y_scale: float,
    y_zero: int,
    *,
    offset: bool = True,
    biased: bool = True,
    nearest: bool = True,
    clamp: str = "end",
) -> Tensor:
    """The layer, with a part left out or in another place."""
    total = (x.long() - x_zero * offset) @ w.long().T + bias * biased
    y = total * (x_scale * w_scale.double() / y_scale)
    y = y.round() if nearest else y.trunc()
    if clamp == "end":
        return (y + y_zero).clamp(0, 255).int()
    return (y.clamp(0, 255) + y_zero if clamp == "early" else (y + y_zero) % 256).int()


def _bias_in_real_units(x, w, bias, x_scale, x_zero, w_scale, y_scale, y_zero) -> Tensor:
    """As if the bias stood for itself, and not for multiples of x_scale * w_scale."""
    total = (x.long() - x_zero) @ w.long().T
    y = ((total * x_scale * w_scale.double() + bias) / y_scale).round() + y_zero
    return y.clamp(0, 255).int()


INTEGER_LAYER = Exercise(
    2,
    "integer_layer",
    _cases,
    _layer,
    (
        (lambda *args: _layer(*args, offset=False), "x stands for x - x_zero, times x_scale"),
        (
            lambda *args: _layer(*args, clamp="none"),
            "beyond 255 uint8 starts at 0 again: clamp before you convert",
        ),
        (
            lambda *args: _layer(*args, clamp="early"),
            "0 to 255 holds for what is stored: add the zero point first, then clamp",
        ),
        (
            lambda *args: _layer(*args, nearest=False),
            "converting to an integer cuts the fraction off: round to the nearest first",
        ),
        (lambda *args: _layer(*args, biased=False), "the bias is missing"),
        (
            _bias_in_real_units,
            "the bias counts in units of x_scale * w_scale, as the sum does: add it to the sum",
        ),
    ),
    after="The simulation in float gives the same integers: that is why one may trust its "
    "accuracies. In practice the three scales are one number for each channel, known before the "
    "first image, and the bias is stored in 32 bits.",
)
