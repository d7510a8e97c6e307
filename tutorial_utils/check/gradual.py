"""The exercise of chapter 5 on one step of gradual pruning."""

import torch
from torch import Tensor

from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.pruning.schedules import cubic_sparsity


def _gradual_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(5, 8, generator=generator)
    grown = weight.clone()
    # Removed before; since the optimizer's step some of them are large.
    grown[0] = torch.tensor([5.0, 0.01, -6.0, 0.02, 7.0, 0.03, 8.0, -0.04])
    known = torch.ones(5, 8, dtype=torch.bool)
    known[0] = False

    def case(what: str, step: int, weight: Tensor, mask: Tensor, final: float = 0.8) -> Case:
        schedule = {"step": step, "start": 10, "end": 50, "final": final}
        return Case(what, {"weight": weight, "mask": mask} | schedule)

    everything = torch.ones_like(known)
    return [
        case("the first step of the schedule", 10, weight, everything),
        case("a quarter of the way, nothing removed so far", 20, weight, everything),
        case("a removed weight has grown", 30, grown, known),
        case("removed weights have grown, near the end", 45, grown, known, 0.5),
        case("after the schedule", 70, grown, known),
        case("before the schedule", 3, weight, everything),
        case("more is removed than the schedule asks for", 11, grown, known),
    ]


def _gradual(
    weight: Tensor, mask: Tensor, step: int, start: int, end: int, final: float, target=None
) -> Tensor:
    sparsity = (target or cubic_sparsity)(step, start, end, final)
    n_removed = round(sparsity * weight.numel())
    # Scores are at least 0, and what is gone stays first in line.
    scores = weight.abs().masked_fill(~mask, -1)
    removed = scores.flatten().argsort()[:n_removed]
    return mask.flatten().scatter(0, removed, False).view_as(mask)


def _linear(step: int, start: int, end: int, final: float) -> float:
    return final * min(max((step - start) / (end - start), 0.0), 1.0)


def _slow_first(step: int, start: int, end: int, final: float) -> float:
    return final * min(max((step - start) / (end - start), 0.0), 1.0) ** 3


def _what_is_left(step: int, start: int, end: int, final: float) -> float:
    return final - cubic_sparsity(step, start, end, final)


def _unclamped(step: int, start: int, end: int, final: float) -> float:
    return final * (1 - (1 - (step - start) / (end - start)) ** 3)


def _forgotten(weight: Tensor, mask: Tensor, *schedule: float) -> Tensor:
    return _gradual(weight, torch.ones_like(mask), *schedule)


def _ranked_again(weight: Tensor, mask: Tensor, *schedule: float) -> Tensor:
    return mask & _forgotten(weight, mask, *schedule)


def _only_the_schedule(weight: Tensor, mask: Tensor, *schedule: float) -> Tensor:
    return _forgotten(weight.abs().masked_fill(~mask, 0), mask, *schedule)


def _in_addition(weight: Tensor, mask: Tensor, *schedule: float) -> Tensor:
    n_removed = round(cubic_sparsity(*schedule) * weight.numel()) + int((~mask).sum())
    scores = weight.abs().masked_fill(~mask, -1)
    removed = scores.flatten().argsort()[:n_removed]
    return mask.flatten().scatter(0, removed, False).view_as(mask)


GRADUAL_MASK = Exercise(
    5,
    "gradual_mask",
    _gradual_cases,
    _gradual,
    (
        (
            _forgotten,
            "a removed weight that grew in the optimizer's step wins its place back: what is "
            "removed stays removed",
        ),
        (
            _ranked_again,
            "a removed weight that has grown is not counted: it is gone, so it goes first",
        ),
        (
            _only_the_schedule,
            "where more is gone than the schedule asks for: removed stays removed",
        ),
        (
            _in_addition,
            "the schedule counts all weights that are gone, not those that go now",
        ),
        (
            lambda *args: _gradual(*args, target=_linear),
            "that is a straight line: raise what is left to do to the third power",
        ),
        (
            lambda *args: _gradual(*args, target=_slow_first),
            "that is slow first and fast at the end: the schedule is the other way round",
        ),
        (
            lambda *args: _gradual(*args, target=_what_is_left),
            "that is what is left to prune: subtract it from the final sparsity",
        ),
        (
            lambda *args: _gradual(*args, target=_unclamped),
            "before start and after end the sparsity stays where it is: clamp",
        ),
    ),
    after="In practice the schedule ends well before the training does, so that the weights "
    "that stay can recover, and a weight that is gone never comes back by accident.",
)
