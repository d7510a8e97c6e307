"""How large a model is and how much it computes, counted with torch alone."""

import io
import zlib
from collections.abc import Callable, Iterator

import torch
from torch.utils.flop_counter import FlopCounterMode

# Entries of a state dict that describe weights or activations but are not weights themselves.
_BOOKKEEPING = ("running_mean", "running_var", "num_batches_tracked", "scale", "zero_point")


def stored_weights(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    """The weights and biases of a model as they are stored: float, or the integers themselves."""
    for name, value in model.state_dict().items():
        if name.rsplit(".", 1)[-1].strip("_").rstrip("_0123456789") in _BOOKKEEPING:
            continue
        for tensor in value if isinstance(value, tuple) else (value,):  # eager int8 Linear: a pair
            if isinstance(tensor, torch.Tensor):
                yield tensor.int_repr() if tensor.is_quantized else tensor


def count_params(model: torch.nn.Module) -> int:
    """Number of stored weights and biases, zeros included.

    >>> count_params(torch.nn.Linear(3, 2))
    8
    """
    return sum(weight.numel() for weight in stored_weights(model))


def count_nonzero(model: torch.nn.Module) -> int:
    """Number of stored weights and biases that are not zero."""
    return sum(int(weight.count_nonzero()) for weight in stored_weights(model))


def saved_bytes(model: torch.nn.Module) -> bytes:
    """What ``torch.save(model.state_dict(), file)`` writes."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.getvalue()


def size_bytes(model: torch.nn.Module) -> int:
    """Size of the model's file in bytes."""
    return len(saved_bytes(model))


def compressed_bytes(model: torch.nn.Module) -> int:
    """Size of the model's file in bytes after DEFLATE (zlib level 9, what zip uses)."""
    return len(zlib.compress(saved_bytes(model), 9))


def count_macs(model: Callable, example: torch.Tensor) -> int:
    """Multiply-accumulates of one call on ``example``, by PyTorch's own flop counter.

    The counter reports two floating-point operations for each multiply-accumulate, and counts
    convolutions and matrix products only.

    >>> count_macs(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    6
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(example)
    return counter.get_total_flops() // 2


def count_by_layer(
    model: torch.nn.Module, example: torch.Tensor
) -> tuple[dict[str, int], dict[str, int]]:
    """Weights and MACs of every convolution and linear layer, by the layer's name.

    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    >>> count_by_layer(model, torch.zeros(1, 3))
    ({'0': 6}, {'0': 6})
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(example)
    root = type(model).__name__
    flops = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    }
    weights = {name: layer.weight.numel() for name, layer in layers.items()}
    return weights, {name: flops.get(f"{root}.{name}", 0) // 2 for name in layers}
