"""Wanda: a weight counts for as much as the input that it is multiplied with.

Magnitude supposes that all inputs of a layer are about as large. They are not: a small weight on a
large input can matter more than a large weight on an input that is nearly always zero.
"""

from collections.abc import Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_utils.data import Split, input_batches
from tutorial_utils.errors import InputError
from tutorial_utils.modes import device_of, in_eval_mode
from tutorial_utils.pruning.masks import prunable_layers

Inputs = Tensor | Split | Iterable[Tensor] | Iterable[tuple[Tensor, Tensor]]


def wanda_scores(model: nn.Module, inputs: Inputs, batch_size: int = 256) -> dict[str, Tensor]:
    """Score each weight by its absolute value times the norm of the input that it multiplies.

    For ``masks_from_scores(scores, sparsity, scope="output")``: weights are compared within each
    output, as all of one output add up to one number.

    Args:
        model: neither its weights nor its mode change.
        inputs: training images without labels; some hundred do. A tensor (N, ...) as the network
            takes it, a split, or batches.
        batch_size: images a batch of a tensor or split.

    Returns:
        by name of the layer, scores in the shape of its weight.

    Raises:
        InputError: nothing to prune, or a convolution that pads with other values than zeros.

    Source: Sun et al. 2023, "A Simple and Effective Pruning Approach for Large Language Models",
    equation 1. They prune linear layers; a convolution is one for each place of the image.

    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> _ = model[0].weight.data.copy_(torch.tensor([[1.0, -2.0]]))
    >>> wanda_scores(model, torch.tensor([[3.0, 0.0], [4.0, 1.0]]))
    {'0': tensor([[5., 2.]])}
    """
    layers = prunable_layers(model)
    norms = input_norms(model, layers, inputs, batch_size)
    return {name: layer.weight.detach().abs() * norms[name] for name, layer in layers.items()}


@torch.no_grad()
def input_norms(
    model: nn.Module, layers: dict[str, nn.Module], inputs: Inputs, batch_size: int
) -> dict[str, Tensor]:
    """L2 norm of the input of each weight over all images and places, as the weight is shaped."""
    squares: dict[str, Tensor] = {}

    def add(name: str, layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        squares[name] = squares.get(name, 0) + squared_inputs(layer, args[0])

    hooks = [layer.register_forward_pre_hook(partial(add, name)) for name, layer in layers.items()]
    try:
        with in_eval_mode(model) as run:
            for batch in input_batches(inputs, batch_size):
                run(batch.to(device=device_of(model)))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: total.sqrt() for name, total in squares.items()}


def squared_inputs(layer: nn.Module, x: Tensor) -> Tensor:
    """Sum of the squared inputs of each weight, in a shape that broadcasts to the weight's."""
    if isinstance(layer, nn.Linear):
        return x.flatten(0, -2).square().sum(0)
    if not isinstance(layer, nn.Conv2d) or layer.padding_mode != "zeros" or layer.padding == "same":
        raise InputError(f"{layer}: expected Conv2d with a number of zeros as padding, or Linear")
    padding = 0 if layer.padding == "valid" else layer.padding
    places = dict(dilation=layer.dilation, padding=padding, stride=layer.stride)
    columns = F.unfold(x.square(), layer.kernel_size, **places)  # (N, channels x kernel, places)
    by_group = columns.sum((0, 2)).view(layer.groups, -1, *layer.kernel_size)
    return by_group.repeat_interleave(layer.out_channels // layer.groups, dim=0)
