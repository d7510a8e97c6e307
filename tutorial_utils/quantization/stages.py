"""A network on its way through PT2E, node by node: for looking at."""

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from tutorial_utils.quantization.exporting import export_graph
from tutorial_utils.quantization.ptq import convert_graph, prepare_graph


def pt2e_stages(model: nn.Module, images: Tensor) -> dict[str, list[str]]:
    """What the graph of a small model computes with, after each of the steps of `quantize_ptq`.

    Args:
        model: in eval mode.
        images: calibration inputs (N, C, H, W).

    Returns:
        for each stage the operations in the order of the graph, without those that only fetch a
        weight or a scale.

    >>> stages = pt2e_stages(nn.Sequential(nn.Conv2d(3, 4, 3)).eval(), torch.rand(2, 3, 8, 8))
    >>> stages["exported"], stages["prepared"]
    (['conv2d'], ['observer of the weight', 'observer', 'conv2d'])
    """
    exported = export_graph(model, images)
    settings = {"n_bits": 8, "other_bits": None, "per_channel": True, "skip": (), "backend": None}
    prepared = prepare_graph(exported, images, **settings)
    with torch.no_grad():
        prepared(images)
    stages = {"exported": _operations(exported), "prepared": _operations(prepared)}
    return {**stages, "converted": _operations(convert_graph(prepared))}


def _operations(graph_module: GraphModule) -> list[str]:
    return [name for node in graph_module.graph.nodes if (name := _operation(node))]


def _operation(node: Node) -> str:
    if node.op == "call_function":
        name = str(node.target).split(".")[1]
    elif node.op == "call_module" and "post_process" in str(node.target):
        name = "observer"
    else:
        return ""
    return f"{name} of the weight" if node.args[0].op == "get_attr" else name
