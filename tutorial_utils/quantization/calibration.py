"""Data that sets the ranges of activations, in whatever form it comes."""

from collections.abc import Iterable

from torch import Tensor

from tutorial_utils.data import Split, input_batches
from tutorial_utils.errors import InputError, check_finite

Calibration = Tensor | Split | Iterable[Tensor] | Iterable[tuple[Tensor, Tensor]]


def calibration_batches(calibration: Calibration) -> list[Tensor]:
    """Return batches of inputs on the CPU. They stay in memory: a few hundred images are enough.

    Args:
        calibration: inputs (N, C, H, W), a `Split`, or an iterable of batches such as a
            `DataLoader`, with labels or without.

    Raises:
        InputError: no images, or anything but finite floats of four dimensions.

    >>> import torch
    >>> [len(batch) for batch in calibration_batches(torch.rand(150, 3, 8, 8))]
    [100, 50]
    """
    batches = [batch.cpu() for batch in input_batches(calibration, 100)]
    for batch in batches:
        check_finite("calibration", batch)
        if batch.dim() != 4:
            raise InputError(
                f"calibration has the shape {tuple(batch.shape)}: expected images (N, C, H, W)"
            )
    return batches
