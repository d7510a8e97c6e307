"""How long one call of a model takes, and whether the machine had time for it."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from tutorial_utils.logs import errors_only
from tutorial_utils.modes import device_of, in_eval_mode

with errors_only("torch.utils.cpp_extension"):  # which notes that there is no GPU, of no use to us
    from torch.utils.benchmark import Timer, timer  # `timer()` waits for a GPU, then reads a clock

__all__ = [
    "Latency",
    "SpeedUp",
    "Timer",
    "fastest_ms",
    "measure_latency",
    "speed_up",
    "time_in_turns",
]

STEADY = 1.3
WARM_UP = 3  # rounds
ATTEMPTS = 3
PATIENCE_S = 10  # no further attempt begins after this
BLOCK_S = 0.002  # short calls are repeated until they take as long as this, and the mean counts
BUSY = "the machine was busy while this was timed"


@dataclass(frozen=True)
class Latency:
    """Times of one call in milliseconds, one for each round of `time_in_turns`.

    They are steady if three quarters of them are within 30 % of the shortest. On a machine that
    has nothing else to do they are within 15 %; where another process takes a core now and then,
    some calls take twice as long as others, and neither the times nor their ratios mean much.

    >>> Latency((1.0, 1.1, 1.1, 1.2, 9.0)).steady, Latency((1.0, 1.1, 1.9, 2.0, 9.0)).steady
    (True, False)
    """

    times_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """Median of the times."""
        return float(np.median(self.times_ms))

    @property
    def iqr_ms(self) -> float:
        """Interquartile range of the times."""
        return float(np.subtract(*np.percentile(self.times_ms, [75, 25])))

    @property
    def spread(self) -> float:
        """Upper quartile of the times by the shortest: 1 if all are alike."""
        return float(np.percentile(self.times_ms, 75)) / min(self.times_ms)

    @property
    def steady(self) -> bool:
        """Whether the rounds agree, so that the times can be trusted."""
        return self.spread <= STEADY


class SpeedUp(NamedTuple):
    """How many times as fast one model is as another; `skip` says why not to believe it, if so.

    Made for ``claim("int8 is twice as fast", speed.ratio, at_least=2, skip=speed.skip)``.
    """

    ratio: float
    skip: str | None


def speed_up(before: Latency, after: Latency) -> SpeedUp:
    """Time before by time after: the median over the rounds of their ratio, as in a table.

    What slows a whole round slows both, and their ratio stays. Latencies with different numbers of
    rounds were not timed in turns; then it is the ratio of their medians.

    >>> speed_up(Latency((2.0, 2.2, 2.1)), Latency((1.0, 1.1, 1.0)))
    SpeedUp(ratio=2.0, skip=None)
    """
    skip = None if before.steady and after.steady else BUSY
    if len(before.times_ms) != len(after.times_ms):
        return SpeedUp(before.median_ms / after.median_ms, skip)
    return SpeedUp(float(np.median(np.divide(before.times_ms, after.times_ms))), skip)


def measure_latency(
    run: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor, *, n_rounds: int = 15
) -> Latency:
    """Time the calls of one model (see `time_in_turns`, which is for several).

    >>> measure_latency(torch.nn.Identity(), torch.zeros(1, 3, 32, 32), n_rounds=5).median_ms < 10
    True
    """
    return time_in_turns([run], inputs, n_rounds=n_rounds)[0]


def fastest_ms(
    run: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor, *, n_calls: int = 8
) -> float:
    """The shortest of some calls in milliseconds: what a call costs when nothing comes between.

    It is for the cost of a single layer. What a user waits for is the median (`measure_latency`).

    >>> fastest_ms(torch.nn.Identity(), torch.zeros(1)) < 10
    True
    """
    with in_eval_mode(run) as call, torch.inference_mode():
        return 1e3 * min(_time(call, inputs) for _ in range(n_calls))


def time_in_turns(
    runs: Sequence[Callable[[torch.Tensor], torch.Tensor]],
    inputs: torch.Tensor,
    *,
    n_rounds: int = 15,
) -> list[Latency]:
    """Time one call of each model after the other, again and again, to compare them.

    What else the machine does slows all the calls of a round, so that their ratio stays. Before
    each time there is a call that does not count: it brings the model's weights back into the
    caches, where a model that is used all the time has them. If the rounds disagree, because the
    machine is busy, all are timed again, up to three times within about ten seconds, and the
    steadiest rounds are kept.

    All threads of the process are used, and a GPU is waited for. Modules run in eval mode and stay
    as they are.

    Args:
        runs: models, compiled models, or any callables that take ``inputs``.
        inputs: one batch, ``(N, C, H, W)``; a model on another device gets a copy there.
        n_rounds: how often to time each.

    Returns:
        for each run its times; `Latency.steady` says whether to trust them.

    >>> [len(latency.times_ms) for latency in time_in_turns([abs, torch.relu], torch.zeros(1))]
    [15, 15]
    """
    with ExitStack() as stack:
        calls = [
            (stack.enter_context(in_eval_mode(run)), inputs.to(device=device_of(run)))
            for run in runs
        ]
        stack.enter_context(torch.inference_mode())
        warm_up = [[_time(*call) for call in calls] for _ in range(WARM_UP)]
        n_calls = [math.ceil(BLOCK_S / max(last, 1e-6)) for last in warm_up[-1]]
        attempts, began = [], timer()
        while len(attempts) < ATTEMPTS:
            rounds = [
                [1e3 * _time(*call, n) for call, n in zip(calls, n_calls, strict=True)]
                for _ in range(n_rounds)
            ]
            attempts.append([Latency(times) for times in zip(*rounds, strict=True)])
            if all(latency.steady for latency in attempts[-1]) or timer() > began + PATIENCE_S:
                break
    return min(attempts, key=lambda latencies: max(latency.spread for latency in latencies))


def _time(run: Callable, inputs: torch.Tensor, n_calls: int = 1) -> float:
    """Seconds of a call, the mean of some, after one that does not count."""
    run(inputs)
    start = timer()
    for _ in range(n_calls):
        run(inputs)
    return (timer() - start) / n_calls
