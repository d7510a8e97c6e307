"""Quantized networks in files as small as their bits: two 4-bit weights to a byte.

torch has no tensor of 4-bit integers, so a graph of PT2E keeps each weight in a byte of its own and
only its `dequantize` node says how many bits that weight has. In a file those bits stand side by
side.
"""

import copy
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from tutorial_utils.errors import InputError
from tutorial_utils.storage.tensors import read_tensors, write_tensors

STEPS = "quantize_nodes."  # what begins the names of the constants inside a graph


def pack_bits(codes: Tensor, n_bits: int) -> Tensor:
    """The `n_bits` low bits of each integer, side by side in bytes, the first value lowest.

    Args:
        codes: integers from 0 to 2^n_bits - 1, of any shape.
        n_bits: 1 to 8.

    Returns:
        uint8 tensor of shape (ceil(codes.numel() * n_bits / 8),).

    Raises:
        InputError: bad n_bits, or a code that does not fit into them.

    >>> pack_bits(torch.tensor([1, 2, 15]), 4)         # 2 * 16 + 1, 0 * 16 + 15
    tensor([33, 15], dtype=torch.uint8)
    """
    _check_bits(n_bits)
    values = codes.flatten().cpu().numpy()
    if values.size and (values.min() < 0 or values.max() >= 2**n_bits):
        raise InputError(
            f"codes from {values.min()} to {values.max()}: expected 0 to {2**n_bits - 1} "
            f"for {n_bits} bits"
        )
    bits = np.unpackbits(values.astype(np.uint8)[:, None], axis=1, bitorder="little")[:, :n_bits]
    return torch.from_numpy(np.packbits(bits, bitorder="little"))


def unpack_bits(packed: Tensor, n_bits: int, n_codes: int) -> Tensor:
    """The first `n_codes` integers that `pack_bits` packed, uint8, shape (n_codes,).

    >>> unpack_bits(torch.tensor([33, 15], dtype=torch.uint8), 4, 3)
    tensor([ 1,  2, 15], dtype=torch.uint8)
    """
    _check_bits(n_bits)
    if len(packed) != -(-n_codes * n_bits // 8):
        raise InputError(f"{len(packed)} bytes do not hold {n_codes} integers of {n_bits} bits")
    bits = np.unpackbits(packed.cpu().numpy(), count=n_codes * n_bits, bitorder="little")
    return torch.from_numpy(np.packbits(bits.reshape(-1, n_bits), axis=1, bitorder="little")[:, 0])


def integer_weights(graph_module: GraphModule) -> Iterator[tuple[str, int, int]]:
    """Name, bits and smallest integer of each constant that a PT2E graph turns into floats."""
    for node in graph_module.graph.find_nodes(op="get_attr"):
        for user in node.users:
            if _is_step(user) and user.args[0] is node:
                low, high = user.args[-3:-1]
                yield node.target, (high - low).bit_length(), low
                break


def stored_tensors(model: nn.Module) -> dict[str, Tensor]:
    """All that a file of the model has to hold, by name: its state, the integer weights packed.

    A graph of PT2E has its activations' scales inside its nodes; here they are tensors. Zero
    points of symmetric weights are all 0 and are left out.
    """
    tensors = dict(model.state_dict())
    for path, module in model.named_modules():
        if not isinstance(module, GraphModule) or not any(map(_is_step, module.graph.nodes)):
            continue
        prefix = f"{path}." if path else ""
        for name, n_bits, low in integer_weights(module):
            codes = attrgetter(name)(module).int() - low
            tensors[prefix + name] = pack_bits(codes, n_bits)
        for name in _zero_points(module):
            if not tensors[prefix + name].any():
                del tensors[prefix + name]
        scales, integers = zip(*map(_constants, _steps(module)), strict=True)
        tensors[f"{prefix}{STEPS}scale"] = torch.tensor(scales, dtype=torch.float32)
        tensors[f"{prefix}{STEPS}zero_point_and_range"] = torch.tensor(integers, dtype=torch.int16)
    return tensors


def save_packed(model: GraphModule, path: Path) -> None:
    """Write a graph of `quantize_ptq` or `finish_qat` to a file that its bits really fill.

    Raises:
        InputError: a model without integer weights, or a file that cannot be written.
    """
    if not isinstance(model, GraphModule) or not any(integer_weights(model)):
        raise InputError(f"this {type(model).__name__} has no integer weights: quantize it first")
    write_tensors(Path(path), stored_tensors(model))


def load_packed(path: Path, template: GraphModule) -> GraphModule:
    """A copy of `template` with the weights, bits and scales of a file: the same answers.

    Args:
        path: from `save_packed`.
        template: a graph of the same network, quantized in the same way from any weights and any
            calibration images. Its weights may have other numbers of bits.

    Raises:
        InputError: the file is damaged, or was made from another network.
    """
    tensors, model = read_tensors(Path(path)), copy.deepcopy(template)
    steps = list(_steps(model))
    try:
        scales = tensors.pop(f"{STEPS}scale").tolist()
        integers = tensors.pop(f"{STEPS}zero_point_and_range").tolist()
        for node, scale, (zero_point, low, high) in zip(steps, scales, integers, strict=True):
            literals = (scale, zero_point) if _has_literals(node) else node.args[1:3]
            node.args = (node.args[0], *literals, *node.args[3:-3], low, high, node.args[-1])
        for name, n_bits, low in integer_weights(model):
            shape = attrgetter(name)(model).shape
            codes = unpack_bits(tensors[name], n_bits, shape.numel())
            tensors[name] = (codes.int() + low).to(torch.int8).reshape(shape)
        zeros = {name: torch.zeros_like(attrgetter(name)(model)) for name in _zero_points(model)}
        model.load_state_dict(zeros | tensors)
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path}: not of the network of the template: expected a graph of the same network, "
            "quantized with the same backend and the same layers in float"
        ) from error
    model.recompile()
    return model


def _is_step(node: Node) -> bool:
    return str(node.target).startswith(("quantized_decomposed.q", "quantized_decomposed.dequ"))


def _steps(graph_module: GraphModule) -> Iterator[Node]:
    return filter(_is_step, graph_module.graph.nodes)


def _has_literals(node: Node) -> bool:
    return not isinstance(node.args[1], Node)


def _constants(node: Node) -> tuple[float, tuple[int, int, int]]:
    """Scale, zero point and range in a node; 0 for a scale and a zero point that are tensors."""
    scale, zero_point = node.args[1:3] if _has_literals(node) else (0.0, 0)
    return scale, (zero_point, *node.args[-3:-1])


def _zero_points(graph_module: GraphModule) -> list[str]:
    found = [node.args[2].target for node in _steps(graph_module) if not _has_literals(node)]
    return list(dict.fromkeys(found))


def _check_bits(n_bits: int) -> None:
    if isinstance(n_bits, bool) or not isinstance(n_bits, int) or not 1 <= n_bits <= 8:
        raise InputError(f"n_bits is {n_bits!r}, expected a whole number from 1 to 8")
