"""From a module to a graph that can be quantized, compiled and saved."""

import copy

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from tutorial_utils.errors import InputError


def export_graph(model: nn.Module, example: Tensor) -> GraphModule:
    """Export a copy of a float model on the CPU, in eval mode, as a graph for any batch size.

    Exporting is most of the time that `quantize_ptq` takes. Who quantizes one model several times
    exports it once and gives `quantize_ptq` the graph.

    Args:
        model: float model; it is copied and stays as it is, on its device.
        example: inputs (N, C, H, W), of which the shape of one image matters.

    Raises:
        InputError: a convolution with a padding that no quantizer knows.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and (
            isinstance(module.padding, str) or module.padding_mode != "zeros"
        ):
            raise InputError(
                f"{name}: a convolution with padding={module.padding!r} and "
                f"padding_mode={module.padding_mode!r}; expected zeros, and a number of them"
            )
    # strict=True: otherwise the nodes do not say which module they come from, and nothing, or not
    # all, is quantized (pytorch/pytorch#160095).
    return export_program(copy.deepcopy(model).eval(), example, strict=True).module()


def export_program(
    model: nn.Module, example: Tensor, *, max_batch: int | None = None, strict: bool = False
) -> ExportedProgram:
    """Export a copy of a model on the CPU, in its mode, for any number of images or `max_batch`.

    The images that it is traced with are stored in a file of it, so there are two: one would be
    taken for a fixed size. Where memory is planned ahead there are `max_batch` instead: below 16
    images, tracing takes 15 for the most there can be.

    Args:
        model: float or quantized.
        example: inputs (N, C, H, W), of which the shape of one image matters.
        max_batch: the most images of a call; None for no limit.
        strict: trace through Python's bytecode, which records where each node comes from.
    """
    images = torch.zeros(max_batch or 2, *example.shape[1:])
    batch = {0: torch.export.Dim("batch", min=1, max=max_batch)}
    model = copy.deepcopy(model).cpu()
    return torch.export.export(model, (images,), strict=strict, dynamic_shapes=(batch,))
