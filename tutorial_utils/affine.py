"""The affine quantizer from scratch: real numbers to small integers and back.

A real number x is stored as the integer q = clamp(round(x / scale) + zero_point, qmin, qmax) and
read back as (q - zero_point) * scale. Everything here is a function on tensors; torch is used
for arithmetic only, and the tests hold each result against torch's own quantizer, bit by bit.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", section 2.1; Nagel et al. 2021, "A White Paper on Neural
Network Quantization", section 2.
"""

import copy
from collections.abc import Collection

import torch
from torch import Tensor, nn

from tutorial_utils.errors import InputError

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
    `quantization.py`. Note the symmetric scale: it is `max(abs(x)) / ((qmax - qmin) / 2)`, not
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
    _check_values(low, "low")
    _check_values(high, "high")
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
    _check_values(x, "x")
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
    _check_values(x, "x")
    _check_range(qmin, qmax, zero_point)
    scale, zero_point = _columns(x, scale, zero_point, axis)
    with torch.no_grad():
        free = _round(x, scale, zero_point)
        value = (free.clamp(qmin, qmax) - zero_point) * scale
        inside = (free >= qmin) & (free <= qmax)
    # inside * (x - x.detach()) is exactly 0, so the value is untouched, and its gradient is 1.
    return value + inside * (x - x.detach())


def minmax_range(x: Tensor, axis: int | None = None) -> tuple[Tensor, Tensor]:
    """Smallest and largest value, of the tensor or of each channel along `axis`.

    >>> minmax_range(torch.tensor([[1.0, 5.0], [-2.0, 0.0]]), axis=0)
    (tensor([ 1., -2.]), tensor([5., 0.]))
    """
    _check_values(x, "x")
    if axis is None:
        return x.min(), x.max()
    rows = x.movedim(axis, 0).flatten(1) if x.dim() > 1 else x.unsqueeze(1)
    return rows.amin(1), rows.amax(1)


def percentile_range(x: Tensor, percent: float) -> tuple[Tensor, Tensor]:
    """Range that holds the central `percent` percent of the values, half of the rest cut each side.

    A few outliers no longer stretch the scale; 100 gives `minmax_range`.

    >>> percentile_range(torch.arange(101.0), 90)
    (tensor(5.), tensor(95.))
    """
    _check_values(x, "x")
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


def quantize_weights(
    model: nn.Module, n_bits: int, *, per_channel: bool = True, only: Collection[str] | None = None
) -> nn.Module:
    """Copy of `model` whose convolution and linear weights went through `n_bits` and back.

    Symmetric, min-max range, activations left in float: a quick answer to "how much does this
    layer mind?" without any export. Batch norms are not folded into the weights first, as
    `quantization.quantize_ptq` does, so the accuracies are close but not equal.

    Args:
        model: any module with `nn.Conv2d` or `nn.Linear` inside.
        n_bits: 2 to 8.
        per_channel: one scale for each output channel, else one for the whole weight.
        only: names of the layers to quantize, as in `model.named_modules()`; None for all.

    Raises:
        InputError: bad n_bits, NaN weights, a name that is no convolution or linear layer.

    >>> linear = nn.Linear(8, 4)
    >>> quantize_weights(nn.Sequential(linear), 2)[0].weight.unique().numel() <= 4 * 4
    True
    """
    qmin, qmax = int_range(n_bits, signed=True)
    quantized = copy.deepcopy(model)
    layers = {
        name: m for name, m in quantized.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    }
    unknown = sorted(set(only or ()) - set(layers))
    if unknown or not layers:
        raise InputError(
            f"no convolution or linear layer is called {unknown}; known: {sorted(layers)}"
        )
    axis = 0 if per_channel else None
    with torch.no_grad():
        for layer in layers.values() if only is None else (layers[name] for name in only):
            scale, zero_point = affine_params(
                *minmax_range(layer.weight, axis), n_bits, symmetric=True, signed=True
            )
            layer.weight.copy_(fake_quantize(layer.weight, scale, zero_point, qmin, qmax, axis))
    return quantized


def _round(x, scale, zero_point):
    return torch.round(x * (1 / scale)) + zero_point


def _clipping_error(centers, counts, lows, highs, n_bits, symmetric):
    """Summed squared error of the histogram for each candidate range, shape (n_candidates,)."""
    scale, zero_point = affine_params(lows, highs, n_bits, symmetric=symmetric, signed=symmetric)
    grid = centers.expand(len(lows), -1)
    q = _round(grid, scale[:, None], zero_point[:, None]).clamp(*int_range(n_bits, symmetric))
    error = grid - (q - zero_point[:, None]) * scale[:, None]
    return (counts * error**2).sum(1)


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


def _check_values(x, name):
    if x.numel() == 0:
        raise InputError(f"{name} is empty, expected at least one value")
    if not x.is_floating_point() or not torch.isfinite(x).all():
        n_bad = int((~torch.isfinite(x)).sum())
        raise InputError(
            f"{name} is {x.dtype} with {n_bad} NaN or infinite values, expected finite floats"
        )


def _check_range(qmin, qmax, zero_point):
    if not (-128 <= qmin < qmax <= 127 or 0 <= qmin < qmax <= 255):
        raise InputError(f"the range {qmin} to {qmax} does not fit into 8 bits")
    zero_point = torch.as_tensor(zero_point)
    if (zero_point < qmin).any() or (zero_point > qmax).any():
        raise InputError(f"zero_point must lie between qmin={qmin} and qmax={qmax}")
