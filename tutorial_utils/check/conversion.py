"""Oracle and typical mistakes for the exercise in which a trained layer is converted."""

import torch
from torch import Tensor, nn

from tutorial_utils.check.examine import Case, Exercise


def _ruler(weight: Tensor, qmin: int, qmax: int) -> Tensor:
    """The scale of each channel that a converter computes from the largest weight."""
    return weight.abs().amax(1) / ((qmax - qmin) / 2)


def _factor(norm: nn.BatchNorm1d) -> Tensor:
    return norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)


def _cases() -> list[Case]:
    # Not just the ruler of a converter, on which the largest weight is between two integers.
    def case(what: str, n_bits: int, *, moved: bool, learned: float = 1.003, sign: int = 1) -> Case:
        generator = torch.Generator().manual_seed(n_bits)
        weight, norm = torch.randn(4, 6, generator=generator), nn.BatchNorm1d(4)
        if moved:
            nn.init.uniform_(norm.weight, 0.5, 2.0, generator=generator)
            norm.weight.data[0] *= sign
            norm.bias.data = torch.randn(4, generator=generator)
            norm.running_mean = torch.randn(4, generator=generator)
            norm.running_var = 0.01 + 0.2 * torch.rand(4, generator=generator)
        qmin, qmax = -(2 ** (n_bits - 1)), 2 ** (n_bits - 1) - 1
        scale = learned * _ruler(weight * _factor(norm)[:, None], qmin, qmax)
        args = {"weight": weight, "norm": norm, "scale": scale}
        return Case(what, args | {"qmin": qmin, "qmax": qmax})

    return [
        case("a batch norm that changes nothing", 8, moved=False),
        case("a batch norm that scales and shifts", 8, moved=True),
        case("a batch norm that turns the sign of a channel", 7, moved=True, sign=-1),
        case("a learned scale, 4 bits", 4, moved=True, learned=0.8),
        case("a learned scale, 2 bits: some weights are clamped", 2, moved=True, learned=0.55),
    ]


def _convert(
    weight: Tensor,
    norm: nn.BatchNorm1d,
    scale: Tensor,
    qmin: int,
    qmax: int,
    *,
    fold: bool = True,
    again: bool = False,
    clamp: bool = True,
    shift: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Integers, scale and bias, with a part left out, or the scale computed again."""
    factor = _factor(norm)
    folded = weight * factor[:, None] if fold else weight
    scale = _ruler(folded, qmin, qmax) if again else scale
    q = torch.round(folded / scale[:, None])
    q = q.clamp(qmin, qmax) if clamp else q
    bias = norm.bias.detach() - norm.running_mean * factor * shift
    return q.int(), scale, bias


def _quantized_before(weight, norm, scale, qmin, qmax) -> tuple[Tensor, Tensor, Tensor]:
    """The weight rounded first, and batch norm folded into the scale."""
    factor = _factor(norm)
    q = torch.round(weight / scale[:, None]).clamp(qmin, qmax).int()
    return q, scale * factor, norm.bias.detach() - norm.running_mean * factor


CONVERT = Exercise(
    4,
    "convert",
    _cases,
    _convert,
    (
        (
            lambda *args: _convert(*args, again=True),
            "the scale is computed again from the largest weight: training had another one, and "
            "the integers are those of another model",
        ),
        (
            lambda *args: _convert(*args, fold=False),
            "training rounded the weight that batch norm had scaled: fold first, then round",
        ),
        (_quantized_before, "the scale belongs to the folded weight: fold first, then round"),
        (
            lambda *args: _convert(*args, clamp=False),
            "integers beyond qmin or qmax cannot be stored, and training did not see them: clamp",
        ),
        (
            lambda *args: _convert(*args, shift=False),
            "batch norm subtracts the mean first: the bias is its shift minus mean times factor",
        ),
    ),
    after="The model before and the model after are the same function, so they agree on every "
    "image. In practice evaluate both, always: a difference is a bug in the conversion, and more "
    "training does not mend it.",
)
