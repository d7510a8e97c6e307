"""Learned step size quantization (LSQ): the scale of the weights is trained with them.

Source: Esser et al. 2020, "Learned Step Size Quantization", section 2. There one scale serves a
whole layer, here one each output channel.
"""

import math

import torch
from torch import Tensor

from tutorial_utils.errors import check_finite
from tutorial_utils.quantization.affine import EPS, _check_range, _columns, affine_params, int_range


def learned_fake_quantize(
    x: Tensor, scale: Tensor, qmin: int, qmax: int, axis: int | None = None
) -> Tensor:
    """`fake_quantize` with zero point 0, whose scale has a gradient, too.

    Straight through the rounding, the derivative of the result by the scale is
    `round(x / scale) - x / scale` inside the range, and `qmin` or `qmax` outside (equation 3).

    Args:
        x: float tensor of any shape.
        scale: shape (), or (x.shape[axis],); greater than 0.
        qmin, qmax: integer range, from `int_range`.
        axis: the channel dimension when each channel has its own scale.

    Returns:
        Tensor of the shape of x.

    Raises:
        InputError: as for `fake_quantize`.

    >>> x, scale = torch.tensor([0.3, 0.6, 9.0]), torch.tensor(0.5, requires_grad=True)
    >>> y = learned_fake_quantize(x, scale, -4, 3)
    >>> y.sum().backward()
    >>> y.detach(), round(scale.grad.item(), 4)          # (1 - 0.6) + (1 - 1.2) + 3
    (tensor([0.5000, 0.5000, 1.5000]), 3.2)
    """
    check_finite("x", x)
    _check_range(qmin, qmax, 0)
    scale, _ = _columns(x, scale, 0, axis)
    free = x * (1 / scale)
    integer = free.detach().round().clamp(qmin, qmax)
    free = torch.where(free.detach().round() == integer, free, integer)  # clamped: no gradient
    return (free + (integer - free).detach()) * scale  # the sum in brackets is exact


def first_scale(channels: Tensor, n_bits: int) -> Tensor:
    """Scales to start from: the paper's 2 mean(abs(w)) / sqrt(qmax), but no coarser than min-max.

    With many bits the paper's is coarser than a scale that clips nothing.

    Args:
        channels: (n_channels, n_weights).
        n_bits: 2 to 8.

    Returns:
        (n_channels,), greater than 0.

    >>> first_scale(torch.tensor([[1.0, -3.0, 0.5, 0.1]]), 2)     # min-max: 3 / 1.5
    tensor([2.])
    >>> first_scale(torch.tensor([[1.0, -3.0, 0.0, 0.0]]), 3)     # 2 * 1 / sqrt(3), 3 / 3.5
    tensor([0.8571])
    """
    _, qmax = int_range(n_bits, signed=True)
    papers = 2 * channels.abs().mean(1) / math.sqrt(qmax)
    low, high = channels.amin(1), channels.amax(1)
    minmax, _ = affine_params(low, high, n_bits, symmetric=True, signed=True)
    return torch.minimum(papers, minmax).clamp(min=EPS)
