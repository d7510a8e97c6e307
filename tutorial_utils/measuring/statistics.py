"""What figures prove: intervals, paired differences, and comparisons beyond accuracy."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from tutorial_utils.errors import InputError


def wilson_interval(n_correct: int, n: int) -> tuple[float, float]:
    """95 % confidence interval of an accuracy of ``n_correct`` out of ``n``.

    Raises:
        InputError: if ``n`` is not positive or ``n_correct`` is not between 0 and ``n``.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference.

    >>> low, high = wilson_interval(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    if n < 1 or not 0 <= n_correct <= n:
        raise InputError(f"{n_correct} correct out of {n}: expected 0 <= n_correct <= n, n >= 1")
    interval = stats.binomtest(n_correct, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def agreement(logits_a: Tensor, logits_b: Tensor) -> float:
    """Fraction of images for which two models give the same answer, right or wrong.

    >>> agreement(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([[9.0, 1.0], [5.0, 3.0]]))
    0.5
    """
    return (logits_a.argmax(1) == logits_b.argmax(1)).float().mean().item()


def calibration_error(logits: Tensor, labels: Tensor, n_bins: int = 15) -> float:
    """Expected calibration error: how far confidence is from accuracy, on average.

    The images are put into bins of equal width by the probability of their answer; the result is
    the mean over the images of the difference between their bin's mean probability and accuracy.

    Args:
        logits: (N, n_classes).
        labels: (N,), int64.

    Returns:
        between 0 (calibrated) and 1.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.

    >>> calibration_error(torch.tensor([[100.0, 0.0], [100.0, 0.0]]), torch.tensor([0, 1]))
    0.5
    """
    if len(logits) != len(labels) or not len(labels) or n_bins < 1:
        raise InputError(
            f"{len(logits)} logits, {len(labels)} labels, n_bins={n_bins}: expected as many "
            "labels as logits, and at least one of each"
        )
    confidence, answer = logits.double().softmax(1).max(1)
    excess = confidence - (answer == labels).double()
    # Bin m holds the confidences in ((m - 1) / n_bins, m / n_bins].
    bins = (confidence * n_bins).ceil().long() - 1
    return torch.zeros(n_bins).double().index_add(0, bins, excess).abs().sum().item() / len(labels)


def pareto_front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Which models no other beats: none costs at most as much and is worth at least as much.

    Args:
        costs: of each model, less is better: bytes, milliseconds.
        values: of each model, more is better: accuracy.

    Returns:
        indices, from the cheapest to the dearest. Of two models alike in both, the first counts.

    >>> pareto_front([3, 1, 2, 2], [0.9, 0.7, 0.6, 0.8])
    [1, 3, 0]
    """
    if len(costs) != len(values):
        raise InputError(f"{len(costs)} costs, {len(values)} values: expected one of each a model")
    front: list[int] = []
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], -values[i], i)):
        if not front or values[i] > values[front[-1]]:
            front.append(i)
    return front


class Difference(NamedTuple):
    """Mean of paired differences and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What the interval allows to say: "better", "worse", or "inconclusive" if it has a 0.

        >>> Difference(0.02, -0.01, 0.05).verdict
        'inconclusive'
        """
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "inconclusive"


def paired_difference(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Mean of a - b over pairs (the same seed in both) with its 95 % t interval.

    If the interval contains 0, the comparison is inconclusive (`Difference.verdict`).

    Raises:
        InputError: fewer than two pairs, or different numbers of values.

    Source: Student 1908; any textbook under "paired t test".

    >>> [round(value, 3) for value in paired_difference([0.5, 0.7, 0.9], [0.4, 0.5, 0.6])]
    [0.2, -0.048, 0.448]
    """
    if len(a) != len(b) or len(a) < 2:
        raise InputError(f"{len(a)} and {len(b)} values: expected pairs, at least two")
    differences = np.subtract(a, b)
    mean = float(differences.mean())
    if np.allclose(differences, mean, rtol=1e-9, atol=0):  # alike up to rounding: no test for these
        return Difference(mean, mean, mean)
    interval = stats.ttest_rel(a, b).confidence_interval()
    return Difference(mean, float(interval.low), float(interval.high))
