"""Rounding with the output in mind: GPTQ, for one layer.

Rounding each weight to the nearest mark is best for the weights and not for the output: the errors
of the weights add up there, and one error can undo another. GPTQ rounds one column after the other
and lets the columns that are not rounded yet make up for the error.

Source: Frantar et al. 2023, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", algorithm 1, without its blocks; Frantar and Alistarh 2022, "Optimal Brain
Compression", section 5.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_utils.errors import InputError
from tutorial_utils.quantization.affine import int_range

DAMPING = 0.01  # of the mean of the diagonal, as in the paper: makes the moments invertible


def gptq(weight: Tensor, moments: Tensor, scale: Tensor, n_bits: int) -> Tensor:
    """Integers for `weight`, rounded so that weight @ x changes little.

    Args:
        weight: float tensor of shape (..., n_out, n_in).
        moments: sum or mean of x @ x.T over the inputs x of the layer, shape (..., n_in, n_in).
        scale: of each row, shape (..., n_out), or one for all.
        n_bits: 2 to 8; the grid is symmetric and signed.

    Returns:
        int8 tensor of the shape of `weight`.

    Raises:
        InputError: shapes that do not fit, or bad n_bits.

    >>> moments = torch.tensor([[1.0, 0.9], [0.9, 1.0]])            # the two inputs rise together
    >>> gptq(torch.tensor([[0.4, 0.4]]), moments, torch.tensor(1.0), 4)      # their sum is 0.8
    tensor([[0, 1]], dtype=torch.int8)
    """
    qmin, qmax = int_range(n_bits, signed=True)
    n = weight.shape[-1]
    if moments.shape != (*weight.shape[:-2], n, n):
        raise InputError(
            f"moments of shape {tuple(moments.shape)}, expected {(*weight.shape[:-2], n, n)}"
        )
    w, h = weight.double().clone(), damped(moments.double())
    scale = scale.double().expand(w.shape[:-1])
    # Row i of this factor says how the later columns make up for an error of column i.
    factor = torch.linalg.cholesky(torch.linalg.inv(h)).mT
    codes = torch.empty_like(w)
    for i in range(n):
        codes[..., i] = (w[..., i] / scale).round().clamp(qmin, qmax)
        error = (w[..., i] - codes[..., i] * scale) / factor[..., i, i, None]
        w[..., i + 1 :] -= error[..., None] * factor[..., i, None, i + 1 :]
    return codes.to(torch.int8)


def damped(moments: Tensor) -> Tensor:
    """Moments with a little more on the diagonal; an input that is always 0 counts as 1."""
    diagonal = moments.diagonal(dim1=-2, dim2=-1)
    ridge = DAMPING * diagonal.mean(-1, keepdim=True) + (diagonal == 0)
    return moments + torch.diag_embed(ridge)


def columns(x: Tensor, weight: Tensor, conv: tuple | None) -> Tensor:
    """What a layer's weights are multiplied with, shape (n_groups, n_in, n_columns).

    Args:
        x: inputs (N, C, H, W) of a convolution, or (..., C) of a linear layer.
        weight: its weight.
        conv: stride, padding, dilation, groups; None for a linear layer.

    >>> x, weight = torch.rand(2, 4, 5, 5), torch.rand(6, 2, 3, 3)
    >>> columns(x, weight, ((1, 1), (0, 0), (1, 1), 2)).shape          # 2 * 9, 2 images * 3 * 3
    torch.Size([2, 18, 18])
    """
    if conv is None:
        return x.reshape(1, -1, x.shape[-1]).mT
    stride, padding, dilation, groups = conv
    patches = F.unfold(x, weight.shape[2:], dilation, padding, stride)
    return patches.unflatten(1, (groups, -1)).permute(1, 2, 0, 3).flatten(2)
