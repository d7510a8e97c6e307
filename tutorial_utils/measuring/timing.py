"""How long one call of a model takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import torch

from tutorial_utils.logs import errors_only

with errors_only("torch.utils.cpp_extension"):  # which notes that there is no GPU, of no use to us
    from torch.utils.benchmark import Timer


@dataclass(frozen=True)
class Latency:
    """Time of one call in milliseconds: the median of many, and their interquartile range."""

    median_ms: float
    iqr_ms: float

    @classmethod
    def of(cls, times_ms: torch.Tensor) -> "Latency":
        """Median and interquartile range of single times, a row of `time_in_turns`.

        >>> Latency.of(torch.tensor([1.0, 2.0, 3.0, 4.0, 9.0]))
        Latency(median_ms=3.0, iqr_ms=2.0)
        """
        first, median, third = times_ms.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
        return cls(median, third - first)


def measure_latency(
    run: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor, *, seconds: float = 0.4
) -> Latency:
    """Median and interquartile range of the time of ``run(inputs)``, after a warm-up.

    PyTorch's own benchmark timer does the timing. It repeats the call for at least ``seconds``
    and waits for a GPU to finish. Its default is one thread; here it uses as many as the
    process does, since that is what a user of the model gets.

    Args:
        run: a model, a compiled model, or any callable that takes ``inputs``.
        inputs: one batch, ``(N, C, H, W)``.
        seconds: for how long to repeat the call.

    >>> latency = measure_latency(torch.nn.Identity(), torch.zeros(1, 3, 32, 32), seconds=0.01)
    >>> latency.median_ms < 10
    True
    """
    with torch.inference_mode():
        for _ in range(3):  # the first calls compile, allocate memory and choose kernels
            run(inputs)
        timer = Timer(
            "run(inputs)",
            globals={"run": run, "inputs": inputs},
            num_threads=torch.get_num_threads(),
        )
        result = timer.blocked_autorange(min_run_time=seconds)
    return Latency(result.median * 1e3, result.iqr * 1e3)


def time_in_turns(
    runs: Sequence[Callable[[torch.Tensor], torch.Tensor]],
    inputs: torch.Tensor,
    *,
    n_rounds: int = 15,
) -> torch.Tensor:
    """Time one call of each model after the other, again and again, to compare them.

    What else the machine does slows all the calls of a round, so that their ratio stays. Take the
    median over the rounds of a ratio, or of the times. Of two calls of a model the second counts:
    the first brings its weights back into the caches, where a model that is used all the time has
    them.

    Args:
        runs: models, compiled models, or any callables that take ``inputs``; on the CPU.
        inputs: one batch, ``(N, C, H, W)``.
        n_rounds: how often to call each.

    Returns:
        milliseconds, ``(n_runs, n_rounds)``.

    >>> time_in_turns([torch.nn.Identity(), torch.nn.ReLU()], torch.zeros(1), n_rounds=3).shape
    torch.Size([2, 3])
    """
    rounds = []
    with torch.inference_mode():
        for n in range(-3, n_rounds):  # three rounds to warm up
            times = []
            for run in runs:
                run(inputs)
                start = perf_counter()
                run(inputs)
                times.append(1e3 * (perf_counter() - start))
            if n >= 0:
                rounds.append(times)
    return torch.tensor(rounds).T
