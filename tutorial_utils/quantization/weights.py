"""Rounding the weights of a network without any export: a quick look at what it minds."""

import copy
from collections.abc import Collection

import torch
from torch import nn

from tutorial_utils.errors import InputError, check_choice
from tutorial_utils.quantization.affine import fake_quantize, int_range
from tutorial_utils.quantization.ranges import WEIGHT_RANGES, weight_scale


def quantize_weights(
    model: nn.Module,
    n_bits: int,
    *,
    per_channel: bool = True,
    only: str | Collection[str] | None = None,
    weight_range: str = "minmax",
) -> nn.Module:
    """Copy of `model` whose convolution and linear weights went through `n_bits` and back.

    Symmetric, activations left in float: a quick answer to "how much does this
    layer mind?" without any export. Batch norms are not folded into the weights first, as
    `quantization.quantize_ptq` does, so the accuracies are close but not equal.

    Args:
        model: any module with `nn.Conv2d` or `nn.Linear` inside.
        n_bits: 2 to 8.
        per_channel: one scale for each output channel, else one for the whole weight.
        only: names of the layers to quantize, as in `model.named_modules()`, or one name; None
            for all.
        weight_range: "minmax" or "mse", as in `quantize_ptq`.

    Raises:
        InputError: bad n_bits, NaN weights, a name that is no convolution or linear layer.

    >>> linear = nn.Linear(8, 4)
    >>> quantize_weights(nn.Sequential(linear), 2)[0].weight.unique().numel() <= 4 * 4
    True
    """
    qmin, qmax = int_range(n_bits, signed=True)
    check_choice("weight_range", weight_range, WEIGHT_RANGES)
    quantized = copy.deepcopy(model)
    layers = {
        name: m for name, m in quantized.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    }
    only = {only} if isinstance(only, str) else only
    unknown = sorted(set(only or ()) - set(layers))
    if unknown or not layers:
        raise InputError(
            f"no convolution or linear layer is called {unknown}; known: {sorted(layers)}"
        )
    axis = 0 if per_channel else None
    with torch.no_grad():
        for layer in layers.values() if only is None else (layers[name] for name in only):
            scale = weight_scale(layer.weight, n_bits, axis, weight_range)
            layer.weight.copy_(fake_quantize(layer.weight, scale, 0, qmin, qmax, axis))
    return quantized
