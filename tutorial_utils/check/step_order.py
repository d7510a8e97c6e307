"""An exercise in which the steps of a combination run in the wrong order."""

import torch
from torch import Tensor

from tutorial_utils.check.examine import Case, Exercise


def _cases() -> list[Case]:
    def case(what: str, n_in: int, sparsity: float, n_bits: int, seed: int) -> Case:
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(40, 3, generator=generator) @ torch.randn(3, n_in, generator=generator)
        inputs += 0.3 * torch.randn(40, n_in, generator=generator)
        args = {"weight": torch.randn(n_in, generator=generator), "inputs": inputs}
        return Case(what, args | {"sparsity": sparsity, "n_bits": n_bits})

    return [
        case("nothing removed, 8 bits", 6, 0.0, 8, 0),
        case("half removed, 8 bits", 8, 0.5, 8, 1),
        case("half removed, 3 bits", 17, 0.45, 3, 2),
        case("most removed, 4 bits", 20, 0.78, 4, 3),
    ]


def _steps(
    weight: Tensor,
    inputs: Tensor,
    sparsity: float,
    n_bits: int,
    *,
    rank: str = "weight",
    scale: str = "last",
    fit: bool = True,
) -> tuple[Tensor, Tensor]:
    """Prune, fit the rest anew, quantize; or with one of the steps in another place."""
    qmax = 2 ** (n_bits - 1) - 1
    early = weight.abs().max() / qmax
    ranked = torch.round(weight / early) if rank == "integers" else weight
    kept = ranked.abs().argsort()[round(sparsity * len(weight)) :]
    left = torch.zeros_like(weight)
    left[kept] = weight[kept]
    if fit:
        left[kept] = torch.linalg.pinv(inputs[:, kept]) @ (inputs @ weight)
    late = left.abs().max() / qmax
    used = early if scale == "first" else late
    return torch.round(left / used).int(), used


PRUNE_AND_QUANTIZE = Exercise(
    8,
    "prune_and_quantize",
    _cases,
    _steps,
    (
        (
            lambda *args: _steps(*args, rank="integers", scale="first"),
            "the weight is quantized first: then many integers are equal, so what is removed is "
            "chance, and the scale is that of weights which are gone",
        ),
        (
            lambda *args: _steps(*args, rank="integers"),
            "many integers are equal: rank the weights before they are rounded",
        ),
        (
            lambda *args: _steps(*args, scale="first"),
            "the scale is that of the weights before the fit: take it from those that are stored",
        ),
        (
            lambda *args: _steps(*args, fit=False),
            "the weights that are left have to make up for the others: fit them before you round",
        ),
    ),
    after="Rounding comes last, because whatever changes a weight afterwards takes it off its "
    "marks. In practice: architecture first (teacher, channels), then zeros, then training, and "
    "at the end the ranges are calibrated and the integers made.",
)
