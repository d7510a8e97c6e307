"""Deep Compression: shared weights, short distances, and a Huffman code for both.

A pruned layer is written down as two streams of small integers: which shared value each remaining
weight has, and how many zeros stand before it. `pack` writes a whole model, `unpack_` reads it.

Source: Han et al. 2016, "Deep Compression", sections 2 to 4.
"""

import io
import struct
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_utils.errors import InputError, check_finite
from tutorial_utils.pruning.huffman import (
    Stream,
    huffman_decode,
    huffman_encode,
    positions,
    zero_runs,
)
from tutorial_utils.pruning.masks import prunable_layers


def share_weights(values: Tensor, n_bits: int, n_iterations: int = 20) -> tuple[Tensor, Tensor]:
    """K-means with 2**n_bits clusters on a line, from evenly spaced starts.

    Args:
        values: any shape, at least one, finite.
        n_bits: bits of an index, 1 to 8.
        n_iterations: how often values are assigned and means are taken.

    Returns:
        codebook: (2**n_bits,), rising.
        index: int64 in the shape of `values`; ``codebook[index]`` is the nearest shared value.

    Source: Han et al. 2016, section 3.1, with the linear initialisation of section 3.2.

    >>> codebook, index = share_weights(torch.tensor([0.0, 0.2, 1.0, 1.2]), 1)
    >>> codebook[index]
    tensor([0.1000, 0.1000, 1.1000, 1.1000])
    """
    if isinstance(n_bits, bool) or not isinstance(n_bits, int) or not 1 <= n_bits <= 8:
        raise InputError(f"n_bits={n_bits!r}: expected a whole number from 1 to 8")
    check_finite("values", values)
    flat = values.detach().flatten().double()
    codebook = torch.linspace(flat.min(), flat.max(), 2**n_bits, dtype=torch.float64)
    for _ in range(n_iterations):
        index = _nearest(flat, codebook)
        counts = index.bincount(minlength=len(codebook))
        means = flat.new_zeros(len(codebook)).index_add_(0, index, flat) / counts
        codebook = torch.where(counts > 0, means, codebook)  # an empty cluster stays where it is
    codebook = codebook.to(values.dtype)
    return codebook, _nearest(values.detach().flatten(), codebook).view(values.shape)


def _nearest(flat: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest entry of a rising codebook: count the midpoints below each value."""
    return torch.bucketize(flat, (codebook[1:] + codebook[:-1]) / 2)


@torch.no_grad()
def simplify_batch_norm_(model: nn.Module) -> None:
    """Give each batch norm mean 0 and variance 1: what remains is a scale and a shift.

    In eval mode the model computes the same, and half of the numbers need not be stored.

    >>> bn = nn.BatchNorm2d(1).eval()
    >>> _ = bn.running_mean.fill_(3.0)
    >>> simplify_batch_norm_(bn)
    >>> round(bn.bias.item(), 3), bn.running_mean.item()
    (-3.0, 0.0)
    """
    for bn in model.modules():
        if isinstance(bn, nn.BatchNorm2d):
            scale = bn.weight / (bn.running_var + bn.eps).sqrt()
            bn.bias -= bn.running_mean * scale
            bn.weight.copy_(scale)
            bn.running_mean.zero_()
            bn.running_var.fill_(1 - bn.eps)


@torch.no_grad()
def share_weights_(model: nn.Module, n_bits: int) -> None:
    """Replace the weights of each convolution and linear layer by `share_weights` of them.

    Zeros stay zeros and take no part. So a layer is left with 2**n_bits values and zero.
    """
    for layer in prunable_layers(model).values():
        kept = layer.weight != 0
        codebook, index = share_weights(layer.weight[kept], n_bits)
        layer.weight[kept] = codebook[index]


def fixed_bytes(model: nn.Module, *, run_bits: int, value_bits: int | None = None) -> int:
    """Bytes of a pruned model without an entropy code, each symbol with its full number of bits.

    Args:
        model: pruned, its batch norms simplified.
        run_bits: bits of a symbol of `zero_runs`.
        value_bits: None for a float32 for each weight, else the bits of an index, with a codebook
            for each layer.
    """
    total = 2 * len(_others(model))
    for layer in prunable_layers(model).values():
        kept = layer.weight.detach() != 0
        n_kept, n_runs = int(kept.sum()), len(zero_runs(kept, run_bits))
        codebook_bytes = 0 if value_bits is None else 4 * 2**value_bits
        total += -(-n_runs * run_bits // 8) - (-n_kept * (value_bits or 32) // 8) + codebook_bytes
    return total


def pack(model: nn.Module, *, value_bits: int, run_bits: int) -> bytes:
    """Write a model whose weights are pruned and shared as one string of bytes.

    For each convolution and linear layer: the codebook, then the values and the distances in a
    Huffman code each. All that remains (scales, shifts, biases) follows as float16.

    Args:
        model: after pruning, `simplify_batch_norm_` and `share_weights_`.
        value_bits: as given to `share_weights_`.
        run_bits: bits of a symbol of `zero_runs`.

    Raises:
        InputError: a layer with more than 2**value_bits values besides zero; a batch norm with
            statistics of its own, which are not written.
    """
    for name, bn in _batch_norms(model).items():
        if bn.running_mean.any() or not torch.allclose(bn.running_var + bn.eps, torch.ones(1)):
            raise InputError(f"batch norm {name!r} has statistics: call simplify_batch_norm_ first")
    parts = [struct.pack("<BB", value_bits, run_bits)]
    for name, layer in prunable_layers(model).items():
        weight = layer.weight.detach().cpu()
        codebook, index = weight[weight != 0].unique(return_inverse=True)
        if len(codebook) > 2**value_bits:
            raise InputError(
                f"layer {name!r} has {len(codebook)} values: expected at most {2**value_bits}; "
                "call share_weights_ first"
            )
        parts += [struct.pack("<H", len(codebook)), codebook.float().numpy().tobytes()]
        runs = zero_runs(weight != 0, run_bits)
        for symbols, n_kinds in ((index.numpy(), 2**value_bits), (runs, 2**run_bits)):
            stream = huffman_encode(symbols, n_kinds)
            head = struct.pack("<II", stream.n_symbols, len(stream.bits))
            parts += [stream.lengths.astype(np.uint8).tobytes(), head, stream.bits]
    return b"".join([*parts, _others(model).half().numpy().tobytes()])


@torch.no_grad()
def unpack_(content: bytes, model: nn.Module) -> None:
    """Fill a model of the same architecture with what `pack` wrote, and put it in eval mode.

    Raises:
        InputError: bytes that are not those of such a model; it is not changed then.
    """
    layers, others = list(prunable_layers(model).values()), _others(model)
    try:
        weights, rest = _read_weights(content, [layer.weight for layer in layers])
        numbers = torch.from_numpy(np.frombuffer(rest, np.float16).astype(np.float32))
        numbers = numbers.view(others.shape)
    except (struct.error, ValueError, IndexError, RuntimeError) as error:
        raise InputError(
            f"these {len(content)} bytes are not a packed {type(model).__name__} ({error}): they "
            "are damaged, or of another architecture"
        ) from error
    for layer, weight in zip(layers, weights, strict=True):
        layer.weight.copy_(weight)
    device = next(model.parameters()).device
    nn.utils.vector_to_parameters(numbers.to(device), _other_parameters(model))
    for bn in _batch_norms(model).values():
        bn.running_mean.zero_()
        bn.running_var.fill_(1 - bn.eps)
    model.eval()


def _read_weights(content: bytes, weights: list[Tensor]) -> tuple[list[Tensor], bytes]:
    """The weights in the shapes of those given, and the bytes that follow them."""
    stream = io.BytesIO(content)

    def take(n_bytes: int) -> bytes:
        if len(part := stream.read(n_bytes)) < n_bytes:
            raise ValueError("they end too early")
        return part

    value_bits, run_bits = struct.unpack("<BB", take(2))
    found = []
    for weight in weights:
        codebook = np.frombuffer(take(4 * struct.unpack("<H", take(2))[0]), np.float32)
        values, runs = (_read_stream(take, 2**n_bits) for n_bits in (value_bits, run_bits))
        flat = torch.zeros(weight.numel())
        flat[positions(runs, run_bits)] = torch.from_numpy(codebook[values])
        found.append(flat.view(weight.shape))
    return found, stream.read()


def _read_stream(take: Callable[[int], bytes], n_kinds: int) -> np.ndarray:
    lengths = np.frombuffer(take(n_kinds), np.uint8)
    n_symbols, n_bytes = struct.unpack("<II", take(8))
    return huffman_decode(Stream(lengths, n_symbols, take(n_bytes)))


def _batch_norms(model: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}


def _other_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Everything but the weights of convolutions and linear layers."""
    weights = {id(layer.weight) for layer in prunable_layers(model).values()}
    return [value for value in model.parameters() if id(value) not in weights]


def _others(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(_other_parameters(model)).detach().cpu()
