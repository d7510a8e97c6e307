"""Cross-layer equalization: the ranges of channels moved from one layer to the next.

ReLU lets a positive factor pass: relu(s x) = s relu(x). So the output channels of a layer can be
divided by some factors and the input channels of the next one multiplied by them, and the network
computes what it did. ReLU6 cuts at 6 wherever its input stands, and does not let a factor pass.

Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction", section 4.1.
"""

import torch
from torch import Tensor, nn

from tutorial_utils.errors import InputError

Layer = nn.Conv2d | nn.Linear


@torch.no_grad()
def rescale_channels_(first: Layer, second: Layer, factors: Tensor) -> None:
    """Divide the output channels of a layer by factors, and multiply the next layer's inputs.

    Both layers change; the function of the two with a ReLU between them stays. Batch norms must
    be folded into the layers before.

    Args:
        first: its outputs, through nothing or a ReLU, are all that `second` reads.
        second: a layer with as many inputs; a depthwise one, too.
        factors: positive, shape (n_channels,).

    Raises:
        InputError: for layers that do not fit, and factors that are not positive or not as many.

    >>> first, second = nn.Linear(2, 3), nn.Linear(3, 2)
    >>> x = torch.ones(1, 2); before = second(first(x).relu())
    >>> rescale_channels_(first, second, torch.tensor([1.0, 10.0, 0.1]))
    >>> bool(torch.allclose(second(first(x).relu()), before, atol=1e-5))
    True
    """
    n_channels = len(first.weight)
    if factors.shape != (n_channels,) or not bool((factors > 0).all() & factors.isfinite().all()):
        raise InputError(
            f"factors of shape {tuple(factors.shape)}: expected {n_channels} positive numbers, "
            "one for each output channel of the first layer"
        )
    axis = _input_axis(second, n_channels)
    first.weight.div_(_along(0, factors, first.weight))
    if first.bias is not None:
        first.bias.div_(factors)
    second.weight.mul_(_along(axis, factors, second.weight))


@torch.no_grad()
def equalize_(first: Layer, second: Layer) -> None:
    """Give each channel between two layers the same range on both sides (equation 9).

    With r1 and r2 the largest weight of a channel in the first and the second layer, the factor
    is r1 / sqrt(r1 r2). Channels without any weight stay. Arguments as in `rescale_channels_`.

    >>> first, second = nn.Linear(1, 2, bias=False), nn.Linear(2, 1, bias=False)
    >>> _ = first.weight.data.copy_(torch.tensor([[8.0], [1.0]]))
    >>> _ = second.weight.data.copy_(torch.tensor([[2.0, 4.0]]))
    >>> equalize_(first, second)
    >>> first.weight.flatten().tolist(), second.weight.flatten().tolist()
    ([4.0, 2.0], [4.0, 2.0])
    """
    r1 = first.weight.abs().flatten(1).amax(1)
    r2 = second.weight.abs().movedim(_input_axis(second, len(r1)), 0).flatten(1).amax(1)
    empty = (r1 == 0) | (r2 == 0)
    rescale_channels_(first, second, torch.where(empty, 1.0, (r1 / r2).sqrt()))


def _input_axis(layer: Layer, n_channels: int) -> int:
    """Axis of the weight along which the input channels lie."""
    groups = getattr(layer, "groups", 1)
    if groups == 1 and layer.weight.shape[1] == n_channels:
        return 1
    if groups == n_channels == len(layer.weight):  # depthwise: one output for each input
        return 0
    raise InputError(
        f"{layer}: expected a layer that reads {n_channels} channels, all together or one by one"
    )


def _along(axis: int, values: Tensor, weight: Tensor) -> Tensor:
    """Values of shape (n,) in a shape that multiplies a weight along an axis."""
    shape = [1] * weight.dim()
    shape[axis] = -1
    return values.reshape(shape)
