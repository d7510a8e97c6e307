"""Integer convolutional networks with PT2E: export, observe or train, convert.

PT2E ("PyTorch 2 export") works on an exported graph: a quantizer, one for each kind of processor,
marks which values become integers; observers or fake quantizers are put there, fed or trained,
and replaced by quantize and dequantize nodes. `deploying.compile_for_inference` then turns those
patterns into integer kernels; uncompiled, the graph computes in float and is slow.

Weights: `n_bits` bits in int8 tensors, symmetric, as in `affine_params(..., symmetric=True,
signed=True)`. Activations: 8 bits, asymmetric.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference"; torchao's guides to PT2E quantization.
"""

import copy
from collections.abc import Collection, Mapping
from operator import attrgetter

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from tutorial_utils.errors import InputError, check_choice, suggest
from tutorial_utils.quantization.calibration import Calibration, calibration_batches
from tutorial_utils.quantization.conv_bn import (
    find_conv_bn,
    layer_name,
    rebuild,
    unfold_conv_bn,
)
from tutorial_utils.quantization.exporting import export_graph
from tutorial_utils.quantization.quantizers import (
    TrainedFakeQuantize,
    convert_pt2e,
    default_backend,
    make_quantizer,
    prepare_pt2e,
)
from tutorial_utils.quantization.ranges import WEIGHT_RANGES
from tutorial_utils.quantization.requantize import Choice, requantize_

NOTHING = "nothing was quantized: no layer that the backend supports is left to quantize"
ops = torch.ops.aten
WEIGHTED = (ops.conv2d.default, ops.linear.default)
OTHER_WEIGHTED = (
    ops.conv1d.default,
    ops.conv3d.default,
    ops.conv_transpose1d.default,
    ops.conv_transpose2d.input,
    ops.conv_transpose3d.input,
)  # which no quantizer here knows


def quantize_ptq(
    model: nn.Module,
    calibration: Calibration,
    *,
    n_bits: int = 8,
    other_bits: Mapping[str, int] | None = None,
    per_channel: bool = True,
    skip: str | Collection[str] = (),
    backend: str | None = None,
    weight_range: str = "minmax",
    rounding: str = "nearest",
    correct_bias: bool = False,
) -> GraphModule:
    """Post-training quantization: fold batch norms, observe activations, convert.

    The defaults are those of PT2E: at 8 bits they lose next to nothing, and they are the fastest.
    For fewer bits there is `best_ptq`.

    Args:
        model: float model, or its graph from `export_graph`; it is copied and stays as it is, on
            its device.
        calibration: what sets the ranges of the activations, a few hundred images: inputs
            (N, C, H, W), normalised as for the model; a `Split`; or a `DataLoader`, all of which
            is used.
        n_bits: bits of the weights, 2 to 8. Activations have 8.
        other_bits: bits of the weights of some modules, by their name, in the place of `n_bits`.
        per_channel: one weight scale for each output channel, else one for each layer.
        skip: names of modules that stay in float, as in `model.named_modules()`, or one name.
        backend: "x86" or "arm"; None for the one of this processor.
        weight_range: "minmax", or "mse" for the least squared error of the weights.
        rounding: "nearest", or "gptq" for the least squared error of each layer's output on the
            calibration data (`rounding.py`).
        correct_bias: move each bias so that the layer's mean output is that of the float network.

    Returns:
        Quantized graph for any batch size, on the CPU. Its `eval()` and `train()` change nothing.

    Raises:
        InputError: bad n_bits, backend, range, rounding or calibration data, an unknown name in
            `skip` or `other_bits`, a convolution padded with anything but a number of zeros, or
            nothing in the model could be quantized. What else stayed in float, `float_layers`
            tells.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    >>> quantized = quantize_ptq(model, torch.rand(8, 3, 8, 8))
    >>> quantized_layers(quantized), quantized(torch.rand(1, 3, 8, 8)).shape
    (['0'], torch.Size([1, 4, 6, 6]))
    """
    check_choice("weight_range", weight_range, WEIGHT_RANGES)
    check_choice("rounding", rounding, ("nearest", "gptq"))
    batches = calibration_batches(calibration)
    prepared = prepare_graph(
        model,
        batches[0],
        n_bits=n_bits,
        other_bits=other_bits,
        per_channel=per_channel,
        skip=skip,
        backend=backend,
    )
    with torch.no_grad():
        for batch in batches:
            prepared(batch)
    if (weight_range, rounding, correct_bias) == ("minmax", "nearest", False):
        return convert_graph(prepared)
    weights = _observed_weights(prepared)
    converted = convert_graph(prepared)
    choice = Choice(weight_range, rounding, correct_bias)
    requantize_(converted, weights, torch.cat(batches), choice)
    return converted


def best_ptq(
    model: nn.Module,
    calibration: Calibration,
    *,
    n_bits: int = 8,
    other_bits: Mapping[str, int] | None = None,
    skip: str | Collection[str] = (),
    backend: str | None = None,
) -> GraphModule:
    """`quantize_ptq` with all that it can do: the rival of any training below 8 bits.

    Least-squares ranges per channel, GPTQ, corrected biases. It takes some seconds more, and memory
    for one layer's activations of all calibration images. Arguments as in `quantize_ptq`.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    >>> best_ptq(model, torch.rand(8, 3, 8, 8), n_bits=3)(torch.rand(1, 3, 8, 8)).shape
    torch.Size([1, 4, 6, 6])
    """
    return quantize_ptq(
        model,
        calibration,
        n_bits=n_bits,
        other_bits=other_bits,
        skip=skip,
        backend=backend,
        weight_range="mse",
        rounding="gptq",
        correct_bias=True,
    )


def count_quantized(model: GraphModule) -> int:
    """Number of quantize nodes: places where a float tensor becomes integers at run time."""
    return sum(".quantize_per_" in str(node.target) for node in model.graph.nodes)


def quantized_layers(model: GraphModule) -> list[str]:
    """Names of the convolution and linear layers with integer weights, in the order of use."""
    return [layer_name(node) for node in model.graph.nodes if _has_integers(node)]


def per_tensor_layers(model: GraphModule) -> list[str]:
    """Names of those of the `quantized_layers` whose weights share one scale.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3)).eval()
    >>> per_tensor_layers(quantize_ptq(model, torch.rand(8, 3, 8, 8), per_channel=False))
    ['0']
    """
    layers = [node for node in model.graph.nodes if _has_integers(node)]
    return [layer_name(n) for n in layers if ".dequantize_per_tensor" in str(n.args[1].target)]


def float_layers(model: GraphModule) -> list[str]:
    """Names of the modules in which a convolution or linear layer stayed in float.

    Those that were to be skipped, and whatever the quantizer has no pattern for: the projections
    inside `nn.MultiheadAttention`, transposed and one-dimensional convolutions.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 2, 3)).eval()
    >>> float_layers(quantize_ptq(model, torch.rand(8, 3, 8, 8)))
    ['1']
    """
    weighted = [n for n in model.graph.nodes if n.target in (*WEIGHTED, *OTHER_WEIGHTED)]
    return list(dict.fromkeys(layer_name(node) for node in weighted if not _has_integers(node)))


def _has_integers(node: Node) -> bool:
    return node.target in WEIGHTED and ".dequantize_per_" in str(node.args[1].target)


def _observed_weights(prepared: GraphModule) -> dict[str, Tensor]:
    """Float weights, batch norms folded in, of the layers that will be quantized, by name."""
    layers = [node for node in prepared.graph.nodes if node.target in WEIGHTED]
    return {
        layer_name(node): attrgetter(node.args[1].args[0].target)(prepared).detach()
        for node in layers
        if node.args[1].op == "call_module" and node.args[1].args[0].op == "get_attr"
    }


def prepare_graph(
    model: nn.Module,
    example: Tensor,
    *,
    n_bits: int,
    other_bits: Mapping[str, int] | None,
    per_channel: bool,
    skip: str | Collection[str],
    backend: str | None,
    trained: type[TrainedFakeQuantize] | None = None,
) -> GraphModule:
    """Graph of a copy of the model with observers or fake quantizers, for any batch size."""
    skip = {skip} if isinstance(skip, str) else set(skip)
    other_bits = dict(other_bits or {})
    names = {name for name, _ in model.named_modules() if name}
    for argument, given in (("skip", skip), ("other_bits", set(other_bits))):
        for name in sorted(given - names):
            raise InputError(f"{argument}={name!r}: no module of that name{suggest(name, names)}")
    quantizer = make_quantizer(
        backend or default_backend(),
        n_bits,
        other_bits=other_bits,
        per_channel=per_channel,
        skip=skip,
        trained=trained,
    )
    graph = copy.deepcopy(model) if isinstance(model, GraphModule) else export_graph(model, example)
    if not trained:
        return prepare_pt2e(graph, quantizer)
    pairs = find_conv_bn(graph, model)
    return unfold_conv_bn(prepare_pt2e(graph, quantizer), model, pairs)


def convert_graph(prepared: GraphModule) -> GraphModule:
    """Graph with integers in the places of observers or fake quantizers, without float weights."""
    converted = rebuild(convert_pt2e(prepared)).eval()
    if count_quantized(converted) == 0:
        raise InputError(NOTHING)
    return converted
