"""Oracle and typical mistakes for the exercise in which a teacher's answers are stored."""

from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_utils.check.examine import Case, Exercise


def _cases() -> list[Case]:
    def case(what: str, n: int, n_classes: int, temperature: float, k: int) -> Case:
        generator = torch.Generator().manual_seed(10 * n_classes + k)
        logits = 3 * torch.randn(n, n_classes, generator=generator)
        return Case(what, {"logits": logits, "temperature": temperature, "k": k})

    return [
        case("temperature 1, the largest of four", 1, 4, 1.0, 1),
        case("a high temperature, two of five", 3, 5, 4.0, 2),
        case("a low temperature, as many images as classes", 6, 6, 0.5, 3),
        case("all but one are kept", 2, 4, 2.0, 3),
        case("all are kept: nothing is left to share", 2, 3, 2.0, 3),
    ]


def _at(logits: Tensor, temperature: float) -> Tensor:
    return (logits / temperature).softmax(1)


def _kept(probabilities: Tensor, k: int, *, shared_by: int | None = None) -> Tensor:
    """The k largest as they are, and the rest shared by so many classes."""
    top = probabilities.topk(k, dim=1)
    left = 1 - top.values.sum(1, keepdim=True)
    n_others = probabilities.shape[1] - k if shared_by is None else shared_by
    others = (left / max(n_others, 1)).expand_as(probabilities)
    return others.scatter(1, top.indices, top.values)


def _zeros(logits: Tensor, temperature: float, k: int) -> Tensor:
    top = _at(logits, temperature).topk(k, dim=1)
    return torch.zeros_like(logits).scatter(1, top.indices, top.values)


def _renormalized(logits: Tensor, temperature: float, k: int) -> Tensor:
    kept = _zeros(logits, temperature, k)
    return kept / kept.sum(1, keepdim=True)


def _with(soften: Callable[[Tensor, float], Tensor]) -> Callable:
    return lambda logits, temperature, k: _kept(soften(logits, temperature), k)


TOP_ANSWERS = Exercise(
    7,
    "top_answers",
    _cases,
    lambda logits, temperature, k: _kept(_at(logits, temperature), k),
    (
        (
            _zeros,
            "these do not add up to 1: what the others had is theirs, in equal shares",
        ),
        (
            _renormalized,
            "that makes the teacher surer than it is: leave the kept ones as they are, and share "
            "out what is left",
        ),
        (
            lambda logits, temperature, k: _kept(
                _at(logits, temperature), k, shared_by=logits.shape[1]
            ),
            "what is left is shared by those that were not kept, n_classes - k of them",
        ),
        (
            _with(lambda logits, temperature: (logits * temperature).softmax(1)),
            "a higher temperature makes the probabilities more equal: divide by it",
        ),
        (
            _with(lambda logits, temperature: logits.softmax(1)),
            "the temperature is missing: it divides the logits",
        ),
        (
            _with(lambda logits, temperature: (logits / temperature).softmax(0)),
            "the classes are dimension 1: each row adds up to 1",
        ),
    ),
    after="Zeros would tell the student that the others are impossible, and the loss would push "
    "them down for ever. In practice the teacher of a language model has a vocabulary of many "
    "thousands, and a few dozen of its answers are stored.",
)
