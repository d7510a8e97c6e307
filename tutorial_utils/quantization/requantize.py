"""The weights of a converted graph, chosen once more: better ranges, rounding and biases.

`convert_pt2e` rounds each weight to the nearest integer of a min-max range. Here one pass over
some images goes through the graph in the order of use, with two values for each node, what the
float network computes and what the integers compute so far. At each layer the weights get new
integers, and the scales and the bias that go with them, so that the second value comes near the
first.

Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction", appendix (empirical bias correction); Li et al. 2025, "GPTAQ: Efficient
Finetuning-Free Quantization for Asymmetric Calibration" (the float network's output as target).
"""

from dataclasses import dataclass
from operator import attrgetter

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.node import map_aggregate

from tutorial_utils.quantization.affine import dequantize as dequantize_values
from tutorial_utils.quantization.affine import int_range, quantize
from tutorial_utils.quantization.conv_bn import layer_name
from tutorial_utils.quantization.ranges import weight_scale
from tutorial_utils.quantization.rounding import columns, damped, gptq

ops = torch.ops.aten


@dataclass(frozen=True)
class Choice:
    """How the weights of a graph become integers; the fields are arguments of `quantize_ptq`."""

    weight_range: str
    rounding: str
    correct_bias: bool


@dataclass(frozen=True)
class Pair:
    """What the float network computes at a node, and what the integers compute."""

    exact: object
    rounded: object


@torch.no_grad()
def requantize_(
    graph_module: GraphModule, weights: dict[str, Tensor], images: Tensor, choice: Choice
) -> None:
    """Give every quantized layer of a converted graph new integers, scales and a new bias.

    Args:
        graph_module: what `convert_pt2e` returned; changed in place.
        weights: float weights with the batch norms folded in, by layer.
        images: calibration inputs (N, C, H, W), all at once.
        choice: what to do.
    """
    _Requantizer(graph_module, weights, choice).run(Pair(images, images))
    graph_module.recompile()


class _Requantizer(Interpreter):
    def __init__(self, graph_module: GraphModule, weights: dict[str, Tensor], choice: Choice):
        super().__init__(graph_module)
        self.weights, self.choice = weights, choice

    def run_node(self, node: Node) -> Pair:
        """Both values of a node, after its layer was quantized anew."""
        if node.op in ("placeholder", "output"):
            return super().run_node(node)
        if node.op == "get_attr":
            value = attrgetter(node.target)(self.module)
            return Pair(value, value)
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        if node.op == "call_function" and "quantize_per_" in str(node.target):
            rounded = node.target(*_pick(args, "rounded"), **kwargs)
            return Pair(args[0].exact, rounded)  # the float network has no such node
        if _has_constant_integers(node) and layer_name(node) in self.weights:
            args = self._requantize(node, args)
        function = node.target if node.op == "call_function" else self.fetch_attr(node.target)
        both = [function(*_pick(args, side), **kwargs) for side in ("exact", "rounded")]
        return Pair(*both)

    def _requantize(self, node: Node, args: tuple) -> tuple:
        """New arguments of a layer, after its integers, scales and bias were changed."""
        name, dequantize = layer_name(node), node.args[1]
        exact, n_bits = self.weights[name], _n_bits(dequantize)
        axis = 0 if isinstance(dequantize.args[1], Node) else None
        scale = weight_scale(exact, n_bits, axis, self.choice.weight_range)
        conv = _settings(args) if node.target is ops.conv2d.default else None
        if self.choice.rounding == "gptq":
            codes = _gptq_layer(exact, args[0], scale, n_bits, conv)
        else:
            codes = quantize(exact, scale, 0, *int_range(n_bits, signed=True), axis)
        self._store(dequantize, codes, scale)
        weight = Pair(exact, dequantize_values(codes, scale, 0, axis))
        bias = args[2] if len(args) > 2 else None
        if self.choice.correct_bias and isinstance(bias, Pair):
            without = (args[0], weight, None, *args[3:])
            left, right = (node.target(*_pick(without, side)) for side in ("exact", "rounded"))
            over = (0, 2, 3) if conv else tuple(range(left.dim() - 1))
            bias = Pair(bias.exact.clone(), bias.rounded.add_((left - right).mean(over)))
        return (args[0], weight, bias, *args[3:])

    def _store(self, dequantize: Node, codes: Tensor, scale: Tensor) -> None:
        """Put the integers and their scale where the graph keeps them."""
        integers, where, *others = dequantize.args
        attrgetter(integers.target)(self.module).copy_(codes)
        if isinstance(where, Node):
            attrgetter(where.target)(self.module).copy_(scale)
        else:
            dequantize.args = (integers, scale.item(), *others)


def _gptq_layer(
    weight: Tensor, inputs: Pair, scale: Tensor, n_bits: int, conv: tuple | None
) -> Tensor:
    """Integers of a layer whose inputs differ between the float and the integer network."""
    moments = crossed = 0
    for exact, rounded in zip(inputs.exact.split(16), inputs.rounded.split(16), strict=True):
        x = columns(rounded, weight, conv)
        moments = moments + (x @ x.mT).double()
        crossed = crossed + (columns(exact, weight, conv) @ x.mT).double()
    rows = weight.reshape(len(moments), -1, moments.shape[-1])
    # The weights that bring the integer network's inputs nearest to the float network's output.
    h = damped(moments)
    target = torch.linalg.solve(h, (rows.double() @ (crossed + h - moments)).mT).mT
    scales = scale.expand(len(weight)).reshape(rows.shape[:-1])
    return gptq(target, moments, scales, n_bits).reshape(weight.shape)


def _n_bits(dequantize: Node) -> int:
    low, high = dequantize.args[-3:-1]
    return (high - low).bit_length()


def _settings(args: tuple) -> tuple:
    """Stride, padding, dilation and groups of a convolution with these arguments."""
    given = args[3:]
    return (*given, *([1, 1], [0, 0], [1, 1], 1)[len(given) :])


def _pick(args: tuple, side: str) -> tuple:
    return map_aggregate(args, lambda a: getattr(a, side) if isinstance(a, Pair) else a)


def _has_constant_integers(node: Node) -> bool:
    if node.target not in (ops.conv2d.default, ops.linear.default):
        return False
    weight = node.args[1]
    return ".dequantize_per_" in str(weight.target) and weight.args[0].op == "get_attr"
