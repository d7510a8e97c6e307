"""Which range of values to cover with the integers: min-max, percentile, least squares.

Source: Nagel et al. 2021, "A White Paper on Neural Network Quantization", section 2.2.
"""

import torch
from torch import Tensor

from tutorial_utils.errors import InputError, check_finite
from tutorial_utils.quantization.affine import (
    _round,
    affine_params,
    int_range,
)


def minmax_range(x: Tensor, axis: int | None = None) -> tuple[Tensor, Tensor]:
    """Smallest and largest value, of the tensor or of each channel along `axis`.

    >>> minmax_range(torch.tensor([[1.0, 5.0], [-2.0, 0.0]]), axis=0)
    (tensor([ 1., -2.]), tensor([5., 0.]))
    """
    check_finite("x", x)
    if axis is None:
        return x.min(), x.max()
    rows = x.movedim(axis, 0).flatten(1) if x.dim() > 1 else x.unsqueeze(1)
    return rows.amin(1), rows.amax(1)


def least_squares_range(x: Tensor, n_bits: int, axis: int | None = None) -> tuple[Tensor, Tensor]:
    """Symmetric clipping range with the least squared quantization error, of each channel.

    Tries 100 fractions of the largest absolute value. Unlike `histogram_range` it sees each value
    itself, and all channels at once: for weights, of which there are few.

    Args:
        x: float tensor of any shape.
        n_bits: 2 to 8.
        axis: the channel dimension; None for one range.

    Returns:
        low = -high and high, shape () or (n_channels,).

    >>> [round(v.item(), 2) for v in least_squares_range(torch.tensor([1.0] * 7 + [4.0]), 2)]
    [-2.08, 2.08]
    """
    check_finite("x", x)
    qmin, qmax = int_range(n_bits, signed=True)
    rows = x.detach().reshape(1, -1) if axis is None else x.detach().movedim(axis, 0).flatten(1)
    largest = rows.abs().amax(1)
    best, least = largest, torch.full_like(largest, torch.inf)
    for kept in torch.linspace(1, 0.01, 100):  # 1 first, so that a tie keeps the full range
        scale = affine_params(-kept * largest, kept * largest, n_bits, symmetric=True, signed=True)
        scale = scale[0][:, None]
        error = (_round(rows, scale, 0).clamp(qmin, qmax) * scale - rows).square().sum(1)
        best, least = torch.where(error < least, kept * largest, best), torch.minimum(error, least)
    high = best[0] if axis is None else best
    return -high, high


def percentile_range(x: Tensor, percent: float) -> tuple[Tensor, Tensor]:
    """Range that holds the central `percent` percent of the values, half of the rest cut each side.

    A few outliers no longer stretch the scale; 100 gives `minmax_range`.

    >>> percentile_range(torch.arange(101.0), 90)
    (tensor(5.), tensor(95.))
    """
    check_finite("x", x)
    if not 0 < percent <= 100:
        raise InputError(f"percent is {percent}, expected more than 0 and at most 100")
    n_cut = int((100 - percent) / 200 * (x.numel() - 1))
    flat = x.flatten()
    return flat.kthvalue(n_cut + 1).values, flat.kthvalue(x.numel() - n_cut).values


def histogram_range(
    x: Tensor, n_bits: int, *, symmetric: bool = False, n_bins: int = 1024
) -> tuple[Tensor, Tensor]:
    """Clipping range with the least mean squared quantization error, searched over a histogram.

    Clipping a little costs much for few values and sharpens the grid for all others. Both ends are
    tried at 64 fractions of their min-max value, alone and together. Torch's `HistogramObserver`
    minimises the same error with another search, so the two are near but not equal.

    Args:
        x: float tensor of any shape.
        n_bits: 2 to 8.
        symmetric: search the ranges from -t to t only.
        n_bins: bins of the histogram.

    Returns:
        low and high, scalars, containing 0.

    >>> x = torch.linspace(-1, 1, 999) ** 5             # most values near 0, few in the tails
    >>> [round(v.item(), 2) for v in histogram_range(x, 3, symmetric=True)]
    [-0.86, 0.86]
    """
    low, high = (v.float() for v in minmax_range(x))
    low, high = low.clamp(max=0), high.clamp(min=0)
    if low == high:
        return low, high
    counts, edges = torch.histogram(
        x.detach().float().flatten().cpu(), n_bins, range=(low.item(), high.item())
    )
    centers = (edges[1:] + edges[:-1]) / 2
    kept = torch.linspace(1, 1 / 64, 64)  # 1 first, so that a tie keeps the full range
    if symmetric:
        highs = torch.maximum(-low, high) * kept
        lows = -highs
    else:
        lows, highs = torch.cartesian_prod(low * kept if low < 0 else low[None], high * kept).T
    best = torch.stack(
        [
            _clipping_error(centers, counts, part_low, part_high, n_bits, symmetric)
            for part_low, part_high in zip(lows.split(64), highs.split(64), strict=True)
        ]
    )
    return lows[best.argmin()], highs[best.argmin()]


WEIGHT_RANGES = ("minmax", "mse")


def weight_scale(weight: Tensor, n_bits: int, axis: int | None, weight_range: str) -> Tensor:
    """Scale of a symmetric weight, shape () or (n_channels,), from one of `WEIGHT_RANGES`."""
    if weight_range == "mse":
        found = least_squares_range(weight, n_bits, axis)
    else:
        found = minmax_range(weight, axis)
    return affine_params(*found, n_bits, symmetric=True, signed=True)[0]


def _clipping_error(centers, counts, lows, highs, n_bits, symmetric):
    """Summed squared error of the histogram for each candidate range, shape (n_candidates,)."""
    scale, zero_point = affine_params(lows, highs, n_bits, symmetric=symmetric, signed=symmetric)
    grid = centers.expand(len(lows), -1)
    q = _round(grid, scale[:, None], zero_point[:, None]).clamp(*int_range(n_bits, symmetric))
    error = grid - (q - zero_point[:, None]) * scale[:, None]
    return (counts * error**2).sum(1)
