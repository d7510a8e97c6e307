"""Unstructured pruning: which single weights to remove. (`schedules` says when.)

A score says how much a weight is worth, a mask is True where a weight stays. The masks of a model
are a dict from the name of a layer (as in ``model.named_modules()``) to the mask of its weight.
Only weights of convolutions and linear layers are pruned; biases and batch norm are few, and
removing them saves next to nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from tutorial_utils.errors import InputError, check_choice, check_finite, check_fraction

Masks = dict[str, Tensor]
SCOPES = ("global", "layer", "output")  # what is ranked together


def magnitude_scores(weight: Tensor) -> Tensor:
    """Score of each weight: its absolute value. A small weight changes the output least.

    Source: Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks".

    >>> magnitude_scores(torch.tensor([-2.0, 0.5]))
    tensor([2.0000, 0.5000])
    """
    return weight.detach().abs()


def random_scores(weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Random scores in the shape of `weight`: the control that every other score has to beat."""
    return torch.rand(weight.shape, generator=generator).to(weight.device)


def mask_from_scores(scores: Tensor, sparsity: float) -> Tensor:
    """Mask that removes the `round(sparsity * n)` lowest of n scores.

    Among equal scores the first in memory order goes first, so the mask is always the same.

    Args:
        scores: any shape, finite.
        sparsity: fraction to remove, at least 0 and below 1.

    Returns:
        bool tensor in the shape of `scores`, True where the weight stays.

    Raises:
        InputError: sparsity outside [0, 1), NaN or infinite scores, no scores at all.

    >>> mask_from_scores(torch.tensor([3.0, 1.0, 2.0, 1.0]), 0.5)
    tensor([ True, False,  True, False])
    """
    check_fraction("sparsity", sparsity)
    check_finite("scores", scores)
    order = scores.flatten().sort(stable=True).indices
    mask = torch.ones(scores.numel(), dtype=torch.bool, device=scores.device)
    mask[order[: round(sparsity * scores.numel())]] = False
    return mask.view(scores.shape)


def prunable_layers(model: nn.Module, skip: Collection[str] = ()) -> dict[str, nn.Module]:
    """The convolutions and linear layers of a model by name, without those in `skip`.

    Raises:
        InputError: `skip` names no such layer, or no layer is left.

    >>> list(prunable_layers(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())))
    ['0']
    """
    types = (nn.modules.conv._ConvNd, nn.Linear)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, types)}
    unknown = sorted(set(skip) - set(layers))
    if unknown:
        raise InputError(f"skip={unknown}: expected names among {sorted(layers)}")
    if len(layers) == len(set(skip)):
        raise InputError(
            f"nothing to prune in this {type(model).__name__}: expected a convolution or linear "
            "layer that is not in skip"
        )
    return {name: layer for name, layer in layers.items() if name not in skip}


def make_masks(
    model: nn.Module,
    sparsity: float,
    *,
    scope: str = "global",
    score: Callable[[Tensor], Tensor] = magnitude_scores,
    skip: Collection[str] = (),
) -> Masks:
    """Masks that remove the fraction `sparsity` of the weights with the lowest scores.

    Args:
        model: not changed.
        sparsity: fraction of the weights in all layers that are not in `skip`.
        scope: as in `masks_from_scores`.
        score: from the weight of a layer to scores of the same shape.
        skip: names of layers to leave alone.

    Raises:
        InputError: bad sparsity or scope, NaN weights, unknown names, nothing to prune.

    >>> model = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 2))
    >>> with torch.no_grad():
    ...     _ = model[0].weight.copy_(torch.tensor([[5.0, 6.0]])), model[1].weight.fill_(1.0)
    >>> make_masks(model, 0.5)["0"], make_masks(model, 0.5, scope="layer")["0"]
    (tensor([[True, True]]), tensor([[False,  True]]))
    """
    layers = prunable_layers(model, skip)
    for name, layer in layers.items():
        check_finite(f"weight of layer {name!r}", layer.weight)
    scores = {name: score(layer.weight) for name, layer in layers.items()}
    return masks_from_scores(scores, sparsity, scope)


def masks_from_scores(
    scores: Mapping[str, Tensor], sparsity: float, scope: str = "global"
) -> Masks:
    """Masks that remove the fraction `sparsity` of the weights with the lowest scores.

    Args:
        scores: by name of the layer, in the shape of its weight.
        sparsity: fraction of all weights, at least 0 and below 1.
        scope: what is ranked together. "global": the weights of all layers, so that some layers
            lose more. "layer": each layer loses the same fraction. "output": each output of each
            layer loses the same fraction of its weights.

    Raises:
        InputError: bad sparsity or scope, scores that are not finite.

    >>> scores = {"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}
    >>> masks_from_scores(scores, 0.5)["a"], masks_from_scores(scores, 0.5, "output")["a"]
    (tensor([[False, False],
            [ True,  True]]), tensor([[False,  True],
            [False,  True]]))
    """
    check_choice("scope", scope, SCOPES)
    if scope == "layer":
        return {name: mask_from_scores(values, sparsity) for name, values in scores.items()}
    if scope == "output":
        return {
            name: torch.stack([mask_from_scores(row, sparsity) for row in values])
            for name, values in scores.items()
        }
    flat = mask_from_scores(torch.cat([s.flatten() for s in scores.values()]), sparsity)
    parts = flat.split([s.numel() for s in scores.values()])
    return {name: part.view(scores[name].shape) for name, part in zip(scores, parts, strict=True)}


@torch.no_grad()
def apply_masks_(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set the masked weights to zero.

    Raises:
        InputError: a name or a shape that is not the model's.

    >>> linear = nn.Sequential(nn.Linear(2, 1))
    >>> apply_masks_(linear, {"0": torch.tensor([[True, False]])})
    >>> linear[0].weight[0, 1].item()
    0.0
    """
    modules = dict(model.named_modules())
    for name, mask in masks.items():
        weight = getattr(modules.get(name), "weight", None)
        if weight is None or weight.shape != mask.shape:
            found = "no weight" if weight is None else f"a weight of shape {tuple(weight.shape)}"
            raise InputError(
                f"mask {name!r} of shape {tuple(mask.shape)}: the model has {found} there; "
                "make the masks for this model"
            )
        weight.masked_fill_(~mask.to(weight.device), 0.0)


def sparsity_of(pruned: nn.Module | Mapping[str, Tensor]) -> float:
    """Fraction of zeros in the convolution and linear weights of a model, or in masks.

    >>> sparsity_of({"a": torch.tensor([True, False]), "b": torch.tensor([False, False])})
    0.75
    """
    if isinstance(pruned, nn.Module):
        pruned = {name: layer.weight for name, layer in prunable_layers(pruned).items()}
    n_kept = sum(int(values.count_nonzero()) for values in pruned.values())
    return 1 - n_kept / sum(values.numel() for values in pruned.values())


def scan_sensitivity(
    model: nn.Module, sparsities: Sequence[float], evaluate: Callable[[nn.Module], float]
) -> dict[str, list[float]]:
    """Prune one layer at a time by magnitude: ``evaluate(model)`` for each layer and sparsity.

    The model is changed during the scan and put back after each trial.

    Returns:
        for each layer one value per sparsity, in their order.

    Source: Han et al. 2015, section 4 and figure 6 (sensitivity of AlexNet's layers).

    >>> model = nn.Sequential(nn.Linear(4, 1))
    >>> scan_sensitivity(model, [0.25, 0.5], sparsity_of)
    {'0': [0.25, 0.5]}
    """
    results: dict[str, list[float]] = {}
    for name, layer in prunable_layers(model).items():
        original = layer.weight.detach().clone()
        masks = [mask_from_scores(magnitude_scores(original), s) for s in sparsities]
        results[name] = []
        for mask in masks:
            try:
                apply_masks_(model, {name: mask})
                results[name].append(evaluate(model))
            finally:
                layer.weight.data.copy_(original)
    return results
