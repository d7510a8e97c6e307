"""Oracles and typical mistakes for the exercises of chapter 4."""

import torch
from torch import Tensor

from tutorial_utils.check.bugs_training import TRAIN_ROUNDED
from tutorial_utils.check.conversion import CONVERT
from tutorial_utils.check.examine import Case, Exercise


def _step_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def case(what: str, n: int, n_in: int, scale: float, lr: float) -> Case:
        shapes = {"weight": (n_in,), "inputs": (n, n_in), "targets": (n,)}
        args = {name: torch.randn(*s, generator=generator) for name, s in shapes.items()}
        return Case(what, args | {"scale": scale, "lr": lr})

    return [
        case("coarse rounding", 8, 3, 0.5, 0.1),
        case("a step too small to reach the next mark", 6, 2, 1.0, 0.001),
        case("finer rounding", 5, 4, 0.1, 0.05),
    ]


def _step(
    weight: Tensor, inputs: Tensor, targets: Tensor, scale: float, lr: float, *, at: str = "rounded"
) -> Tensor:
    seen = torch.round(weight / scale) * scale if at == "rounded" else weight
    return weight - lr * 2 / len(targets) * inputs.T @ (inputs @ seen - targets)


def _step_from_rounded(
    weight: Tensor, inputs: Tensor, targets: Tensor, scale: float, lr: float
) -> Tensor:
    rounded = torch.round(weight / scale) * scale
    return _step(rounded, inputs, targets, scale, lr)


def _rounding_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(3)

    def case(what: str, n_in: int, n_bits: int, beyond: float = 0) -> Case:
        qmin, qmax = -(2 ** (n_bits - 1)), 2 ** (n_bits - 1) - 1
        # The inputs follow a few common causes, each with a strength and a sign of its own: which
        # errors add up, and which cancel, shows in the inputs alone.
        spread = (qmax - qmin + 2 * beyond) * torch.rand(n_in, generator=generator)
        weight = 0.1 * (qmin - beyond + spread)
        causes = torch.randn(64, 2, generator=generator) + 1
        inputs = causes @ torch.randn(2, n_in, generator=generator)
        inputs += 0.1 * torch.randn(64, n_in, generator=generator)
        args = {"weight": weight, "inputs": inputs, "scale": 0.1, "qmin": qmin, "qmax": qmax}
        return Case(what, args)

    return [
        case("8 weights of 3 bits", 8, 3),
        case("16 weights of 4 bits", 16, 4),
        case("12 weights of 2 bits", 12, 2),
        case("some weights beyond the last integers", 12, 3, beyond=1),
    ]


def _loss(q: Tensor, weight: Tensor, inputs: Tensor, scale: float) -> float:
    return float((inputs @ (q * scale - weight)).square().mean())


def _nearest(weight: Tensor, inputs: Tensor, scale: float, qmin: int, qmax: int) -> Tensor:
    return torch.round(weight / scale).clamp(qmin, qmax).int()


def _judge_rounding(
    answer: Tensor, weight: Tensor, inputs: Tensor, scale: float, qmin: int, qmax: int
) -> tuple[str, str] | None:
    if answer.min() < qmin or answer.max() > qmax:
        return f"integers from {qmin} to {qmax}", "clamp after each step, or at least at the end"
    nearest = _nearest(weight, inputs, scale, qmin, qmax)
    plain, yours = _loss(nearest, weight, inputs, scale), _loss(answer, weight, inputs, scale)
    if yours <= 0.7 * plain:
        return None
    expected = f"a loss of at most {0.7 * plain:.4g}; the nearest integers give {plain:.4g}, yours "
    expected += f"{yours:.4g}"
    if torch.equal(answer.long(), nearest.long()):
        return expected, "these are the nearest integers: let the inputs decide which way to round"
    if torch.equal(answer.long(), torch.floor(weight / scale).clamp(qmin, qmax).long()):
        return expected, "all are rounded down: let the inputs decide which way to round each"
    if yours > plain:
        return expected, "worse than the nearest integers: start there, keep the best that you saw"
    return expected, "the right direction; take more steps, or more starts, and keep the best"


EXERCISES = (
    Exercise(
        4,
        "qat_step",
        _step_cases,
        _step,
        (
            (
                _step_from_rounded,
                "the step is taken from the rounded weight, so small steps are lost at the next "
                "rounding: step from the float weight",
            ),
            (
                lambda *args: _step(*args, at="float"),
                "the loss must see the rounded weight; the float weight only adds them up",
            ),
            (
                lambda weight, *args: weight,
                "nothing moved: the gradient has to pass straight through the rounding",
            ),
            (
                lambda weight, *args: 2 * weight - _step(weight, *args),
                "the loss would grow: step against the gradient",
            ),
        ),
        after="The optimizer keeps the float weight, the loss sees the rounded one. In practice "
        "small steps add up in the first until the second jumps to the next mark.",
    ),
    CONVERT,
    Exercise(
        4,
        "round_with_data",
        _rounding_cases,
        _nearest,
        judge=_judge_rounding,
        after="No label was used, and no gradient of the network. In practice GPTQ and AdaRound do "
        "this layer by layer, and bring weights to 4 bits without training.",
    ),
    TRAIN_ROUNDED,
)
