"""The affine quantizer from scratch: real numbers to small integers and back.

A real number x is stored as the integer q = clamp(round(x / scale) + zero_point, qmin, qmax) and
read back as (q - zero_point) * scale. Everything here is a function on tensors; torch is used
for arithmetic only, and the tests hold each result against torch's own quantizer, bit by bit.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", section 2.1; Nagel et al. 2021, "A White Paper on Neural
Network Quantization", section 2.
"""

import torch
from torch import Tensor

from tutorial_utils.errors import InputError, check_finite

# The smallest scale torch's observers give: a tensor of zeros must not divide by zero.
EPS = torch.finfo(torch.float32).eps


def int_range(n_bits: int, signed: bool) -> tuple[int, int]:
    """Smallest and largest integer of `n_bits` bits (2 to 8), in two's complement if `signed`.

    >>> int_range(8, signed=True), int_range(4, signed=False)
    ((-128, 127), (0, 15))
    """
    if isinstance(n_bits, bool) or not isinstance(n_bits, int) or not 2 <= n_bits <= 8:
        raise InputError(f"n_bits is {n_bits!r}, expected a whole number from 2 to 8")
    if signed:
        return -(2 ** (n_bits - 1)), 2 ** (n_bits - 1) - 1
    return 0, 2**n_bits - 1


def affine_params(
    low: Tensor | float, high: Tensor | float, n_bits: int, *, symmetric: bool, signed: bool
) -> tuple[Tensor, Tensor]:
    """Scale and zero point that cover the range from `low` to `high`, widened to contain 0.

    Equal to the bit to `calculate_qparams` of torch's `MinMaxObserver` (scalars) and
    `PerChannelMinMaxObserver` (vectors) with the same `quant_min`, `quant_max` and `qscheme`,
    without `reduce_range` and with their default `eps`: the scheme of the weights in
    `quantizers.py`. Note the symmetric scale: it is `max(abs(x)) / ((qmax - qmin) / 2)`, not
    `max(abs(x)) / qmax`.

    Args:
        low, high: range of the values, float or Tensor of shape () or (n_channels,).
        n_bits: 2 to 8.
        symmetric: centre the range on 0, so that the zero point is fixed (0 if signed).
        signed: integers below 0 are allowed.

    Returns:
        scale (float32, > 0) and zero_point (int32), in the shape of `low`.

    Raises:
        InputError: n_bits out of range, NaN or infinity, empty tensors, low > high.

    >>> scale, zero_point = affine_params(-1.0, 3.0, 2, symmetric=False, signed=False)
    >>> round(scale.item(), 4), zero_point.item()       # 4 levels: 0, 1, 2, 3
    (1.3333, 1)
    """
    qmin, qmax = int_range(n_bits, signed)
    low, high = (torch.as_tensor(v, dtype=torch.float32) for v in (low, high))
    check_finite("low", low)
    check_finite("high", high)
    if low.shape != high.shape or (low > high).any():
        raise InputError("low and high need the same shape, and low <= high in every channel")
    low, high = low.clamp(max=0), high.clamp(min=0)  # 0 must stay exact: padding, ReLU
    if symmetric:
        scale = torch.maximum(-low, high) / ((qmax - qmin) / 2)
        zero_point = torch.full_like(scale, 0 if signed else (qmin + qmax) // 2)
        return scale.clamp(min=EPS), zero_point.int()
    scale = ((high - low) / (qmax - qmin)).clamp(min=EPS)
    zero_point = (qmin - torch.round(low / scale)).clamp(qmin, qmax)
    return scale, zero_point.int()


def quantize(
    x: Tensor,
    scale: Tensor | float,
    zero_point: Tensor | int,
    qmin: int,
    qmax: int,
    axis: int | None = None,
) -> Tensor:
    """Integers that stand for `x`, rounded to the nearest, a tie to the even neighbour.

    Equal to the bit to `torch.quantize_per_tensor` and `torch.quantize_per_channel`, which
    multiply by 1 / scale (a division can round a tie the other way).

    Args:
        x: float tensor of any shape.
        scale, zero_point: scalars, or vectors of shape (x.shape[axis],).
        qmin, qmax: integer range, from `int_range`.
        axis: the channel dimension when each channel has its own scale.

    Returns:
        Tensor of the shape of x, int8 if qmin < 0 else uint8.

    Raises:
        InputError: NaN or infinite or no values, scale <= 0, a scale that does not fit `axis`,
            or a range that 8 bits cannot hold.

    >>> quantize(torch.tensor([-9.0, 0.5, 1.5, 2.4]), 1.0, 0, -8, 7)
    tensor([-8,  0,  2,  2], dtype=torch.int8)
    """
    check_finite("x", x)
    _check_range(qmin, qmax, zero_point)
    q = _round(x, *_columns(x, scale, zero_point, axis)).clamp(qmin, qmax)
    return q.to(torch.int8 if qmin < 0 else torch.uint8)


def dequantize(
    q: Tensor, scale: Tensor | float, zero_point: Tensor | int, axis: int | None = None
) -> Tensor:
    """The real numbers that the integers `q` stand for: (q - zero_point) * scale, float32.

    >>> dequantize(torch.tensor([0, 2, 3], dtype=torch.uint8), 0.5, 2)
    tensor([-1.0000,  0.0000,  0.5000])
    """
    scale, zero_point = _columns(q, scale, zero_point, axis)
    return (q.float() - zero_point) * scale  # float first: int8 - zero_point can overflow


def fake_quantize(
    x: Tensor,
    scale: Tensor | float,
    zero_point: Tensor | int,
    qmin: int,
    qmax: int,
    axis: int | None = None,
) -> Tensor:
    """`dequantize(quantize(x))` with a gradient: what a layer sees during training.

    Rounding has gradient 0 almost everywhere, so nothing could be learned through it. The
    straight-through estimator passes the gradient as if rounding were the identity, and stops it
    where the integer was clamped. Values and gradients equal those of
    `torch.fake_quantize_per_tensor_affine` and `..._per_channel_affine`. Arguments as in
    `quantize`; the scale gets no gradient.

    Source: Bengio, Léonard and Courville 2013, section 4; Jacob et al. 2018, section 3.

    >>> x = torch.tensor([0.3, 0.6, 9.0], requires_grad=True)
    >>> y = fake_quantize(x, 0.5, 0, -4, 3)
    >>> y.sum().backward()
    >>> y.detach(), x.grad
    (tensor([0.5000, 0.5000, 1.5000]), tensor([1., 1., 0.]))
    """
    check_finite("x", x)
    _check_range(qmin, qmax, zero_point)
    scale, zero_point = _columns(x, scale, zero_point, axis)
    with torch.no_grad():
        free = _round(x, scale, zero_point)
        value = (free.clamp(qmin, qmax) - zero_point) * scale
        inside = (free >= qmin) & (free <= qmax)
    # inside * (x - x.detach()) is exactly 0, so the value is untouched, and its gradient is 1.
    return value + inside * (x - x.detach())


def _round(x, scale, zero_point):
    return torch.round(x * (1 / scale)) + zero_point


def _columns(x, scale, zero_point, axis):
    """Scale and zero point as tensors that broadcast along `axis` of x, checked."""
    scale = torch.as_tensor(scale, dtype=torch.float32, device=x.device)
    zero_point = torch.as_tensor(zero_point, device=x.device)
    if not (scale > 0).all() or not torch.isfinite(scale).all():
        raise InputError("scale must be finite and greater than 0")
    n_scales = 1 if axis is None else x.shape[axis]
    if scale.numel() != n_scales or zero_point.numel() not in (1, n_scales):
        raise InputError(
            f"{scale.numel()} scales and {zero_point.numel()} zero points for {n_scales} channels "
            f"(axis={axis})"
        )
    if axis is None:
        return scale.reshape(()), zero_point.reshape(())
    shape = [1] * x.dim()
    shape[axis] = -1
    return scale.reshape(shape), zero_point.reshape(shape)


def _check_range(qmin, qmax, zero_point):
    if not (-128 <= qmin < qmax <= 127 or 0 <= qmin < qmax <= 255):
        raise InputError(f"the range {qmin} to {qmax} does not fit into 8 bits")
    zero_point = torch.as_tensor(zero_point)
    if (zero_point < qmin).any() or (zero_point > qmax).any():
        raise InputError(f"zero_point must lie between qmin={qmin} and qmax={qmax}")
