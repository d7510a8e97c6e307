"""Storing a pruned weight: what zeros save once they are not written down one by one.

A tensor with zeros takes as many bytes as one without. Three ways to save them: one bit per
weight that says whether it is there (bitmask), the column of each weight that is there (CSR), or
a general compressor (zlib).
"""

import warnings
import zlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_utils.errors import InputError
from tutorial_utils.pruning.masks import prunable_layers


class Bitmask(NamedTuple):
    """A tensor as one bit for each element (1: not zero) and the values that are not zero."""

    bits: Tensor
    values: Tensor
    shape: torch.Size


def bitmask_encode(weight: Tensor) -> Bitmask:
    """Write a tensor of n elements as ceil(n / 8) bytes of bits and its non-zero values.

    >>> code = bitmask_encode(torch.tensor([0.0, 5.0, 0.0, 7.0]))
    >>> f"{code.bits.item():08b}", code.values
    ('01010000', tensor([5., 7.]))
    """
    flat = weight.detach().cpu().flatten()
    kept = flat != 0
    return Bitmask(torch.from_numpy(np.packbits(kept.numpy())), flat[kept], weight.shape)


def bitmask_decode(code: Bitmask) -> Tensor:
    """The tensor that `bitmask_encode` was given.

    >>> weight = torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    >>> torch.equal(bitmask_decode(bitmask_encode(weight)), weight)
    True
    """
    n_elements = code.shape.numel()
    kept = torch.from_numpy(np.unpackbits(code.bits.numpy(), count=n_elements)).bool()
    flat = torch.zeros(n_elements, dtype=code.values.dtype)
    flat[kept] = code.values
    return flat.view(code.shape)


def to_csr(weight: Tensor) -> Tensor:
    """A weight as a sparse CSR matrix (outputs, inputs x kernel) with 32-bit indices.

    ``to_csr(weight) @ columns`` equals ``weight.flatten(1) @ columns``.

    >>> to_csr(torch.tensor([[0.0, 2.0], [3.0, 4.0]])).col_indices()
    tensor([1, 0, 1], dtype=torch.int32)
    """
    with warnings.catch_warnings():
        # Torch announces with the first CSR tensor that its interface may still change.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        csr = weight.detach().flatten(1).to_sparse_csr()
        rows, columns = csr.crow_indices().int(), csr.col_indices().int()
        return torch.sparse_csr_tensor(
            rows, columns, csr.values(), csr.shape, check_invariants=True
        )


def storage_bytes(weight: Tensor | nn.Module, format: str) -> int:
    """Bytes of a tensor, or of all tensors of a model, in one of four formats.

    - "dense": each value, zero or not;
    - "bitmask": 1 bit per element, and the non-zero values;
    - "csr": the non-zero values, a 4-byte column for each, a 4-byte pointer for each row, and one;
    - "zlib": the dense bytes, compressed at level 9.

    For a model this is the sum over its state dict, where only the weights of convolutions and
    linear layers take the format; biases and batch norm stay dense.

    Raises:
        InputError: another format, or a model without convolution or linear layer.

    >>> weight = torch.zeros(4, 100)
    >>> weight[:, :10] = 1.0
    >>> [storage_bytes(weight, format) for format in ("dense", "bitmask", "csr")]
    [1600, 210, 340]
    """
    if format not in FORMATS:
        raise InputError(f"format={format!r}: expected one of {', '.join(FORMATS)}")
    if isinstance(weight, Tensor):
        return FORMATS[format](weight.detach().cpu())
    sparse = {f"{name}.weight" for name in prunable_layers(weight)}
    return sum(
        FORMATS[format if name in sparse else "dense"](tensor)
        for name, tensor in weight.state_dict().items()
    )


def _bitmask_bytes(weight):
    code = bitmask_encode(weight)
    return code.bits.nbytes + code.values.nbytes


def _csr_bytes(weight):
    n_values = int(weight.count_nonzero())
    return n_values * (weight.element_size() + 4) + (weight.shape[0] + 1) * 4


def _zlib_bytes(weight):
    content = weight.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    return len(zlib.compress(content, 9))


FORMATS = {
    "dense": lambda weight: weight.nbytes,
    "bitmask": _bitmask_bytes,
    "csr": _csr_bytes,
    "zlib": _zlib_bytes,
}
