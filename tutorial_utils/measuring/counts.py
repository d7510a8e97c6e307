"""How large a model is and how much it computes: what a file holds, what torch counts."""

import inspect
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.utils.flop_counter import FlopCounterMode

from tutorial_utils.modes import device_of, in_eval_mode
from tutorial_utils.storage import integer_weights, stored_tensors, tensor_bytes


def stored_weights(model: torch.nn.Module) -> list[torch.Tensor]:
    """The weights and biases of a model as they are stored: floats, or the integers themselves.

    These are its parameters, and what quantization put in their places. Buffers are no weights:
    statistics of batch norms, scales, zero points, masks. Tied weights come once.
    """
    found = [*model.parameters()]
    for module in model.modules():
        if isinstance(module, GraphModule):
            found += [attrgetter(name)(module) for name, _, _ in integer_weights(module)]
        else:
            found += _packed(module)
    return [tensor.int_repr() if tensor.is_quantized else tensor for tensor in _once(found)]


def _once(tensors: Iterable[Tensor]) -> Iterable[Tensor]:
    """Tensors at one address are one; those of the meta device have none."""
    return {(t.data_ptr() or id(t), t.numel()): t for t in tensors}.values()


def _packed(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    """What an eager int8 layer holds: there, `weight` and `bias` are methods that unpack them."""
    for name in ("weight", "bias"):
        if inspect.isfunction(getattr(type(module), name, None)):
            if (tensor := getattr(module, name)()) is not None:
                yield tensor


def count_params(model: torch.nn.Module) -> int:
    """Number of stored weights and biases, zeros included; tied ones count once.

    >>> count_params(torch.nn.Linear(3, 2))
    8
    """
    return sum(weight.numel() for weight in stored_weights(model))


def count_nonzero(model: torch.nn.Module) -> int:
    """Number of stored weights and biases that are not zero."""
    return sum(int(weight.count_nonzero()) for weight in stored_weights(model))


def saved_bytes(model: torch.nn.Module) -> bytes:
    """A file of the model's weights and buffers, tied ones once.

    Integer weights of a PT2E graph are packed: `storage.save_packed` writes these bytes. A float
    model is written in the same format (safetensors), an int8 model of the older kind, whose state
    is more than tensors, by `torch.save`.
    """
    tensors = stored_tensors(model)
    if all(isinstance(t, Tensor) and t.layout == torch.strided for t in tensors.values()):
        if not any(tensor.is_quantized for tensor in tensors.values()):
            names = {id(tensor): name for name, tensor in tensors.items()}
            once = _once(tensors.values())
            return tensor_bytes({names[id(tensor)]: tensor for tensor in once})
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.getvalue()


def size_bytes(model: torch.nn.Module) -> int:
    """Size of the model's file in bytes: a weight of b bits takes b / 8 of them.

    >>> size_bytes(torch.nn.Linear(1000, 8)) - 4 * 8008 < 300         # the file's header
    True
    """
    return len(saved_bytes(model))


def compressed_bytes(model: torch.nn.Module) -> int:
    """Size of the model's file in bytes after DEFLATE (zlib level 9, what zip uses)."""
    return len(zlib.compress(saved_bytes(model), 9))


def count_macs(model: Callable, example: torch.Tensor) -> int:
    """Multiply-accumulates of one call on ``example`` in eval mode, by PyTorch's own flop counter.

    The counter reports two floating-point operations for each multiply-accumulate, and counts
    convolutions and matrix products only. The model stays as it is.

    >>> count_macs(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    6
    """
    return _count_flops(model, example).get_total_flops() // 2


def count_by_layer(
    model: torch.nn.Module, example: torch.Tensor
) -> tuple[dict[str, int], dict[str, int]]:
    """Weights and MACs of every convolution and linear layer, by the layer's name.

    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    >>> count_by_layer(model, torch.zeros(1, 3))
    ({'0': 6}, {'0': 6})
    """
    root = type(model).__name__
    counts = _count_flops(model, example).get_flop_counts()
    flops = {name: sum(operators.values()) for name, operators in counts.items()}
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    }
    weights = {name: layer.weight.numel() for name, layer in layers.items()}
    return weights, {name: flops.get(f"{root}.{name}", 0) // 2 for name in layers}


def _count_flops(model: Callable, example: torch.Tensor) -> FlopCounterMode:
    with in_eval_mode(model) as run, torch.no_grad(), FlopCounterMode(display=False) as counter:
        run(example.to(device=device_of(model)))
    return counter
