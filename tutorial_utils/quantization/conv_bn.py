"""Convolution and batch norm trained as one quantized layer, as they will be deployed.

In a converted model the batch norm is folded into the convolution, so the folded weight is what
must be quantized during training too. torchao has its own rewriting of the graph for this, which
needs minutes for a large model, fixes the eps of every batch norm and fails on layers kept in
float (torchao 0.18), and whose sums differ from those of the converted model in the last bit, so
that a value on a tie can round the other way. One module does the same with neither.

Source: Jacob et al. 2018, section 3.2; Krishnamoorthi 2018, section 4.2 (the division by the
folded scale before the batch norm, which keeps the statistics those of the float model).
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from tutorial_utils.errors import InputError
from tutorial_utils.quantization.quantizers import LearnedFakeQuantize

ops = torch.ops.aten


class ConvBN(nn.Module):
    """A convolution with its batch norm folded in and the folded weight fake-quantized.

    In training mode the batch norm uses and updates batch statistics; in eval mode, or once
    `frozen`, the layer computes exactly what the converted model will compute.

    Args:
        conv, bn: the layers to combine; they are copied.
        weight_fake_quant: applied to the folded weight.
    """

    def __init__(self, conv: nn.Conv2d, bn: nn.BatchNorm2d, weight_fake_quant: nn.Module):
        super().__init__()
        self.conv, self.bn = copy.deepcopy(conv), copy.deepcopy(bn)
        self.weight_fake_quant = weight_fake_quant
        self.frozen = False

    def forward(self, x: Tensor) -> Tensor:
        """Convolution and batch norm of inputs (N, C, H, W)."""
        conv, bn = self.conv, self.bn
        shared = (conv.stride, conv.padding, conv.dilation, conv.groups)
        if not self.training or self.frozen:
            return F.conv2d(x, self.rounded_weight(), self.folded_bias(), *shared)
        if self.learns_scales():
            # The scale of a weight without its factor: both then learn at one rate, and the scale
            # need not follow the factor, which moves with the statistics. (ResNet-8, 2 bits, seed
            # 0, validation: 94.7 % after an epoch, 96.0 after five; with the scale of the folded
            # weight 93.6, and then worse from epoch to epoch, up to divergence.)
            sign = torch.where(self.factor().detach() < 0, -1.0, 1.0).reshape(-1, 1, 1, 1)
            weight = self.weight_fake_quant(conv.weight * sign) * sign
            return bn(F.conv2d(x, weight, conv.bias, *shared))
        # The factor goes into the weight and out again; straight through the rounding between the
        # two their gradients cancel, so neither is computed.
        factor = self.factor().detach()
        smallest = torch.finfo(factor.dtype).tiny  # below it, 1 / factor is infinite
        factor = torch.where(factor.abs() < smallest, 1, factor)  # batch norm ends that channel
        weight = self.weight_fake_quant(conv.weight * factor.reshape(-1, 1, 1, 1))
        out = F.conv2d(x, weight, None, *shared) * (1 / factor).reshape(1, -1, 1, 1)
        return bn(out if conv.bias is None else out + conv.bias.reshape(1, -1, 1, 1))

    def learns_scales(self) -> bool:
        """Whether each channel has a scale of its own that is trained."""
        quantizer = self.weight_fake_quant
        return isinstance(quantizer, LearnedFakeQuantize) and quantizer.is_per_channel

    def rounded_weight(self) -> Tensor:
        """Weight with the batch norm folded in, fake-quantized."""
        if self.learns_scales():
            return self.weight_fake_quant(self.folded_weight(), self.factor().abs())
        return self.weight_fake_quant(self.folded_weight())

    def factor(self) -> Tensor:
        """What batch norm multiplies each channel with, shape (n_channels,)."""
        return self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)

    def folded_weight(self) -> Tensor:
        """Weight of the convolution that includes the batch norm."""
        return self.conv.weight * self.factor().reshape(-1, 1, 1, 1)

    def folded_bias(self) -> Tensor:
        """Bias of the convolution that includes the batch norm."""
        bias = 0 if self.conv.bias is None else self.conv.bias
        return (bias - self.bn.running_mean) * self.factor() + self.bn.bias


def layer_name(node: Node) -> str:
    """Name of the innermost module that a node of an exported graph comes from."""
    return list(node.meta["nn_module_stack"].values())[-1][0].removeprefix("L['self'].")


def find_conv_bn(graph_module: GraphModule, model: nn.Module) -> dict[str, str]:
    """Names of the convolutions that only a batch norm uses, each with the name of that.

    Args:
        graph_module: exported graph of `model`.

    Raises:
        InputError: a layer that is called twice, which would get two sets of trained weights.
    """
    pairs = {}
    for node in graph_module.graph.nodes:
        if node.target is not ops.batch_norm.default or len(node.args[0].users) > 1:
            continue
        names = [layer_name(n) for n in (node.args[0], node) if "nn_module_stack" in n.meta]
        layers = tuple(type(model.get_submodule(name)) for name in names)
        if layers != (nn.Conv2d, nn.BatchNorm2d) or not model.get_submodule(names[1]).affine:
            continue
        if names[0] in pairs or names[1] in pairs.values():
            raise InputError(f"{names[0]} and {names[1]}: a layer is used twice, expected once")
        pairs[names[0]] = names[1]
    return pairs


def unfold_conv_bn(
    graph_module: GraphModule, model: nn.Module, pairs: dict[str, str]
) -> GraphModule:
    """Put trainable modules in the places of folded convolutions and of dropout.

    Args:
        graph_module: prepared graph of `model`, batch norms folded.
        model: the float model, which still has them.
        pairs: from `find_conv_bn`, before folding.
    """
    graph = graph_module.graph
    for node in list(graph.nodes):
        if node.target is ops.conv2d.default and layer_name(node) in pairs:
            name, x, weight = layer_name(node), node.args[0], node.args[1]
            fake_quant = nn.Identity()  # a layer that stays in float
            if weight.op == "call_module":
                fake_quant = graph_module.get_submodule(weight.target)
            conv, bn = model.get_submodule(name), model.get_submodule(pairs[name])
            module = ConvBN(conv, bn, fake_quant).cpu()
        elif node.target is ops.dropout.default:
            name, x, module = node.name, node.args[0], nn.Dropout(node.args[1])
        else:
            continue
        target = "trained_" + name.replace(".", "_")
        graph_module.add_submodule(target, module)
        with graph.inserting_before(node):
            new = graph.call_module(target, (x,))
        new.meta = node.meta
        node.replace_all_uses_with(new)
        graph.erase_node(node)
    return rebuild(graph_module)


def fold_conv_bn(graph_module: GraphModule) -> GraphModule:
    """Undo `unfold_conv_bn` with the trained values: plain convolutions, no dropout."""
    graph = graph_module.graph
    for node in list(graph.nodes):
        module = graph_module.get_submodule(node.target) if node.op == "call_module" else None
        if isinstance(module, nn.Dropout):
            node.replace_all_uses_with(node.args[0])
        elif isinstance(module, ConvBN):
            conv, name = module.conv, node.target
            with torch.no_grad():
                module.weight, module.bias = (
                    nn.Parameter(value) for value in (module.folded_weight(), module.folded_bias())
                )
                if module.learns_scales():
                    quantizer = module.weight_fake_quant
                    quantizer.set_scale(quantizer.calculate_qparams()[0] * module.factor().abs())
            with graph.inserting_before(node):
                weight = graph.get_attr(f"{name}.weight")
                if not isinstance(module.weight_fake_quant, nn.Identity):
                    weight = graph.call_module(f"{name}.weight_fake_quant", (weight,))
                args = (node.args[0], weight, graph.get_attr(f"{name}.bias"))
                shared = (conv.stride, conv.padding, conv.dilation, conv.groups)
                new = graph.call_function(ops.conv2d.default, (*args, *shared))
            new.meta = node.meta
            node.replace_all_uses_with(new)
        else:
            continue
        graph.erase_node(node)
    return rebuild(graph_module)


def rebuild(graph_module: GraphModule) -> GraphModule:
    """The same graph with nothing around it that it does not use."""
    graph_module.graph.eliminate_dead_code()
    new = GraphModule(graph_module, graph_module.graph)
    new.meta.update(graph_module.meta)
    return new
