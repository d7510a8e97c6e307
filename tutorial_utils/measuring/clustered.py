"""How sure an accuracy is when some images are alike: intervals by sources instead of images.

Ten scenes of one handwritten digit are not ten independent trials: a model that fails on one of
them fails on the others more often, too. So the sources are drawn anew, not the images.
"""

import numpy as np
from torch import Tensor

from tutorial_utils.errors import InputError
from tutorial_utils.measuring.statistics import Difference, wilson_interval

N_DRAWS = 10_000


def accuracy_interval(correct: Tensor, source: Tensor | None = None) -> tuple[float, float]:
    """95 % confidence interval of an accuracy.

    Without sources it is the Wilson interval (`wilson_interval`), which takes the images for
    independent. With sources it is a bootstrap over them. That one has no width where all answers
    are right, or all wrong; then it is Wilson's for as many trials as there are sources.

    Args:
        correct: bool (N,), whether each answer was right, as from `correct_answers`.
        source: int (N,), what each image was made from, as in `Split.source`.

    Raises:
        InputError: if there is no image, or not one source for each.

    Source: Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8.

    >>> import torch
    >>> ten_alike = torch.arange(20).repeat_interleave(10)
    >>> correct = ten_alike >= 2
    >>> [round(value, 2) for value in accuracy_interval(correct)]
    [0.85, 0.93]
    >>> [round(value, 2) for value in accuracy_interval(correct, ten_alike)]
    [0.75, 1.0]
    """
    totals, sizes = _by_source(correct.double(), source)
    if source is None:
        return wilson_interval(int(totals.sum()), len(correct))
    if not 0 < totals.sum() < sizes.sum():
        return wilson_interval(len(totals) if totals.any() else 0, len(totals))
    return _bootstrap(totals, sizes)


def paired_accuracy(
    correct_a: Tensor, correct_b: Tensor, source: Tensor | None = None
) -> Difference:
    """Accuracy of a minus accuracy of b on the same images, with its 95 % interval.

    The images that both get right, or both wrong, say nothing about the difference. So it is known
    better than either accuracy.

    Args:
        correct_a, correct_b: bool (N,), of both models, as from `correct_answers`.
        source: as for `accuracy_interval`.

    Returns:
        the `Difference`; its interval is a bootstrap over the sources, and has no width where both
        models are right on the same images.

    Raises:
        InputError: if both have not as many images, or there are no images.

    >>> import torch
    >>> a, b = torch.arange(100) < 90, torch.arange(100) < 84
    >>> difference = paired_accuracy(a, b)
    >>> [round(value, 2) for value in difference], difference.verdict
    ([0.06, 0.02, 0.11], 'better')
    """
    if correct_a.shape != correct_b.shape:
        raise InputError(
            f"answers to {tuple(correct_a.shape)} and {tuple(correct_b.shape)} images: expected "
            "those of two models to the same images"
        )
    differences, sizes = _by_source(correct_a.double() - correct_b.double(), source)
    return Difference(float(differences.sum() / sizes.sum()), *_bootstrap(differences, sizes))


def _by_source(values: Tensor, source: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the values of each source, and how many there are."""
    if values.dim() != 1 or not len(values):
        raise InputError(f"answers of shape {tuple(values.shape)}: expected (N,), at least one")
    if source is None:
        return values.numpy(), np.ones(len(values))
    if source.shape != values.shape:
        raise InputError(
            f"{len(values)} answers and sources of shape {tuple(source.shape)}: expected one "
            "source for each image"
        )
    _, index = source.unique(return_inverse=True)
    return np.bincount(index, values.numpy()), np.bincount(index)


def _bootstrap(totals: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """Percentile interval of the mean, when as many sources are drawn anew, with replacement."""
    # Sources that are alike in both are counted, not drawn one by one.
    kinds, counts = np.unique(np.stack([totals, sizes]), axis=1, return_counts=True)
    n = counts.sum()
    drawn = np.random.default_rng(0).multinomial(n, counts / n, size=N_DRAWS)
    low, high = np.percentile(drawn @ kinds[0] / (drawn @ kinds[1]), [2.5, 97.5])
    return float(low), float(high)
