"""The 2:4 pattern: zeros where the sparse matrix units of a GPU expect them."""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from tutorial_utils.errors import InputError, check_finite
from tutorial_utils.pruning.masks import Masks, magnitude_scores, prunable_layers


def mask_2_of_4(weight: Tensor) -> Tensor:
    """Mask of the 2:4 pattern: of each four neighbouring inputs, the two largest weights stay.

    The neighbours lie along dimension 1, the inputs of a linear layer and the input channels of a
    convolution. A GPU sees a convolution as a product whose inputs are ordered (kernel rows,
    kernel columns, channels), the channels innermost. So a group is four channels at one place of
    the kernel, and never four places of one channel.

    Args:
        weight: (outputs, inputs) or (outputs, input channels, kernel rows, kernel columns).

    Returns:
        bool tensor in the shape of `weight`, True where the weight stays. Among equal weights the
        first of a group goes first.

    Raises:
        InputError: NaN weights, fewer than two dimensions, or a number of inputs that is not a
            multiple of 4.

    Source: Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks", section 3; the order of
    a convolution's inputs is that of NVIDIA's implicit products (channels last).

    >>> mask_2_of_4(torch.tensor([[1.0, -4.0, 3.0, 2.0]]))
    tensor([[False,  True,  True, False]])
    """
    check_finite("weight", weight)
    if weight.dim() < 2 or weight.shape[1] % 4:
        raise InputError(
            f"weight of shape {tuple(weight.shape)}: expected (outputs, inputs, ...) with a "
            "multiple of 4 inputs; leave this layer dense"
        )
    scores = magnitude_scores(weight).movedim(1, -1)
    groups = scores.reshape(-1, 4)
    smallest = groups.sort(dim=1, stable=True).indices[:, :2]
    kept = torch.ones_like(groups, dtype=torch.bool).scatter_(1, smallest, False)
    return kept.view(scores.shape).movedim(-1, 1)


def masks_2_of_4(model: nn.Module, skip: Collection[str] = ()) -> Masks:
    """2:4 masks of all layers that have a multiple of four inputs; the others stay dense.

    A network's first convolution reads three colours and a depthwise one a single channel: both
    stay dense.

    Raises:
        InputError: `skip` names no such layer, or no layer has a multiple of four inputs.

    >>> list(masks_2_of_4(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))))
    ['1']
    """
    layers = prunable_layers(model, skip)
    masks = {
        name: mask_2_of_4(layer.weight)
        for name, layer in layers.items()
        if layer.weight.shape[1] % 4 == 0
    }
    if not masks:
        raise InputError(
            f"2:4 in {type(model).__name__}: no layer has a multiple of 4 inputs; prune single "
            "weights instead (make_masks)"
        )
    return masks
