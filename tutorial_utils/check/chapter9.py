"""Oracles and typical mistakes for the exercises of chapter 9."""

from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_utils.check.bugs_deploying import ANSWERS_OF_FILE
from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.check.scored_files import SHIP


def _risk_cases() -> list[Case]:
    def case(what: str, logits: list, tolerance: float) -> Case:
        return Case(what, {"logits": torch.tensor(logits), "tolerance": tolerance})

    generator = torch.Generator().manual_seed(0)
    many = (4 * torch.randn(50, 10, generator=generator)).tolist()
    return [
        case("two classes, a wide and a narrow margin", [[5.0, 0.0], [1.0, 1.25]], 0.25),
        case("one logit falls and the other rises", [[0.0, 3.0, 1.5], [9.0, 1.0, 2.0]], 1.0),
        case("a margin of just twice the tolerance: a tie", [[2.0, 1.0], [3.0, 1.5]], 0.5),
        case("loud logits: the tolerance is none of their size", [[90.0, 89.0, 9.0]], 0.125),
        case("the largest are below 0", [[-1.0, -4.0, -3.5], [-7.0, -7.5, -8.0]], 0.5),
        case("the runner-up is the first class", [[4.0, 2.0, 5.0], [9.0, 2.0, 1.0]], 0.75),
        case("many images, ten classes", many, 0.6),
    ]


def _margins(logits: Tensor) -> Tensor:
    top = logits.topk(2, dim=1).values
    return top[:, 0] - top[:, 1]


def _n_at_risk(logits: Tensor, tolerance: float) -> int:
    return int((_margins(logits) <= 2 * tolerance).sum())


def _one_sided(logits: Tensor, tolerance: float) -> int:
    return int((_margins(logits) <= tolerance).sum())


def _ties_are_safe(logits: Tensor, tolerance: float) -> int:
    return int((_margins(logits) < 2 * tolerance).sum())


def _relative(logits: Tensor, tolerance: float) -> int:
    return int((_margins(logits) <= 2 * tolerance * logits.abs().amax(1)).sum())


def _to_the_smallest(logits: Tensor, tolerance: float) -> int:
    return int((logits.amax(1) - logits.amin(1) <= 2 * tolerance).sum())


def _any_two(logits: Tensor, tolerance: float) -> int:
    gaps = logits.sort(dim=1).values.diff(dim=1)
    return int((gaps <= 2 * tolerance).any(1).sum())


def _server_cases() -> list[Case]:
    def case(what: str, arrival_s: list[float], max_batch: int, call_s: Callable) -> Case:
        return Case(what, {"arrival_s": arrival_s, "call_s": call_s, "max_batch": max_batch})

    def same(n: int) -> float:
        return 1.0

    def growing(n: int) -> float:
        return 0.5 + 0.25 * n

    crowd = [0.1 * n**0.5 for n in range(30)]
    return [
        case("one at a time, with pauses between", [0.0, 2.0, 5.5], 1, same),
        case("the second has to wait for the first", [0.0, 0.25, 4.0], 1, same),
        case("those that wait go together", [0.0, 0.25, 0.5, 0.75], 8, same),
        case("more wait than a call may take", [0.0, 0.25, 0.5, 0.625, 0.75], 2, growing),
        case("one arrives just as the server is free", [0.0, 0.75, 1.0, 3.0], 4, same),
        case("a crowd", crowd, 8, growing),
    ]


def _served(
    arrival_s: list[float],
    call_s: Callable[[int], float],
    max_batch: int,
    *,
    idle: bool = True,
    full: bool = False,
    since: str = "arrival",
    late: bool = True,
) -> list[float]:
    """Seconds from arrival to answer, with one rule changed."""
    waits, free, first = [], 0.0, 0
    while first < len(arrival_s):
        start = max(free, arrival_s[first]) if idle else free
        if full:
            last = min(first + max_batch, len(arrival_s))
            start = max(start, arrival_s[last - 1])
        else:
            there = [t for t in arrival_s if t < start or (late and t == start)]
            last = min(max(len(there), first + 1), first + max_batch)
        free = start + call_s(last - first)
        begins = {"arrival": arrival_s[first:last], "call": [start] * (last - first)}
        waits += [free - begin for begin in begins[since]]
        first = last
    return waits


def _without_limit(arrival_s: list[float], call_s: Callable, max_batch: int) -> list[float]:
    return _served(arrival_s, call_s, len(arrival_s))


def _one_by_one(arrival_s: list[float], call_s: Callable, max_batch: int) -> list[float]:
    return _served(arrival_s, call_s, 1)


EXERCISES = (
    Exercise(
        9,
        "n_at_risk",
        _risk_cases,
        _n_at_risk,
        (
            (
                _one_sided,
                "the first may fall and the second rise, each by the tolerance: twice as much",
            ),
            (
                _ties_are_safe,
                "a tie is no safe answer: a margin of just twice the tolerance counts",
            ),
            (_relative, "the tolerance is in the units of the logits, however loud they are"),
            (
                _to_the_smallest,
                "the answer changes when the second largest overtakes, not the last",
            ),
            (_any_two, "only the two largest matter: what is further down may change places"),
        ),
        after="A tolerance means something when the margins are known: where no image is at risk, "
        "no answer changes. In practice compare logits with it, count the answers that differ, "
        "and look at each of them.",
    ),
    Exercise(
        9,
        "time_to_answer",
        _server_cases,
        _served,
        (
            (
                lambda *args: _served(*args, since="call"),
                "from arrival to answer: that a request waited for the server counts",
            ),
            (
                lambda *args: _served(*args, idle=False),
                "a call begins when the server is free and somebody has come, not earlier",
            ),
            (
                lambda *args: _served(*args, full=True),
                "the server does not wait for a full batch: it takes those who are there",
            ),
            (_without_limit, "a call takes at most max_batch requests"),
            (_one_by_one, "all that wait go in one call, up to max_batch"),
            (
                lambda *args: _served(*args, late=False),
                "who arrives just as the call begins goes with it",
            ),
        ),
        after="Timing each call alone leaves out the queue, which is most of what the unlucky "
        "ones wait. In practice load is made by a program of its own, which sends on schedule and "
        "does not wait for answers, and p50 and p99 are read from many requests.",
    ),
    ANSWERS_OF_FILE,
    SHIP,
)
