"""Structured pruning of whole networks, where layers share channels.

A residual addition couples everything that is added: the layers that make its channels can only
lose one together, and every layer that reads it loses the same input. The library torch-pruning
finds these groups by tracing the network; which channels go is decided here.
"""

import copy
import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch_pruning.dependency import Group

from tutorial_utils.errors import InputError, check_choice, check_fraction
from tutorial_utils.measuring.counts import count_macs
from tutorial_utils.pruning.coupling import (
    check_it_runs,
    cut_group,
    cut_layers,
    find_groups,
    output_cuts,
    removed_widths,
)
from tutorial_utils.pruning.masks import SCOPES, mask_from_scores
from tutorial_utils.pruning.scoring import group_scores, layer_scores


def coupled_layers(model: nn.Module, example: Tensor) -> list[list[str]]:
    """Groups of layers that can only lose an output channel together.

    The layers that give the outputs of the model are left out: their channels are the classes.

    Args:
        model: not changed.
        example: inputs of shape (N, 3, height, width).

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1))
    >>> sorted(coupled_layers(model, torch.zeros(1, 3, 4, 4)))
    [['0'], ['2']]
    """
    model = copy.deepcopy(model).requires_grad_(True)
    return [cut_layers(group, model) for group in find_groups(model, example, ())]


def layers_of_channels(model: nn.Module, example: Tensor, name: str) -> dict[str, list[str]]:
    """The layers that lose something when a layer loses an output channel.

    Args:
        model: not changed.
        example: inputs of shape (N, 3, height, width).
        name: of a convolution or linear layer.

    Returns:
        names of the layers that make these channels, normalise them, and read them.

    Raises:
        InputError: as `prune_channels`, or the channels of the layer cannot be cut.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    >>> layers_of_channels(model, torch.zeros(1, 3, 4, 4), "0")
    {'make': ['0'], 'normalise': ['1'], 'read': ['2']}
    """
    traced = copy.deepcopy(model).requires_grad_(True)
    names = {module: name for name, module in traced.named_modules()}
    for group in find_groups(traced, example, ()):
        made = cut_layers(group, traced)
        if name in made:
            lost = {names[layer]: n for layer, n in removed_widths(group).items()}
            norms = {names[i.dep.target.module] for i in output_cuts(group)} - lost.keys()
            reading = sorted(layer for layer, (n_in, _) in lost.items() if n_in)
            return {"make": made, "normalise": sorted(norms), "read": reading}
    raise InputError(f"layer {name!r}: no such layer, or its channels are those of the output")


def prune_channels(
    model: nn.Module,
    example: Tensor,
    ratio: float,
    *,
    criterion: str | Mapping[str, Tensor] = "l1",
    scope: str = "layer",
    round_to: int = 1,
    skip: Collection[str] = (),
) -> nn.Module:
    """Smaller, trainable copy of a model, without the channels of the lowest scores.

    The score of a coupled channel is the mean over its layers, each in units of the layer's own
    mean, so that layers with large and with small weights can be compared.

    Args:
        model: not changed. The layers that give its outputs, one or several, keep all theirs.
        example: inputs of shape (N, 3, height, width).
        ratio: fraction of the channels to remove.
        criterion: "l1", "l2", "bn_scale" or "random" as in `channel_scores`, or scores by the
            name of the layer, as from `taylor_scores`.
        scope: "layer" removes the same fraction of each group of coupled layers; "global" ranks
            the channels of all groups together and leaves at least one in each.
        round_to: numbers of channels are rounded to the nearest multiple of it, at least one.
        skip: layers whose outputs keep all channels, and so all layers coupled with them.

    Raises:
        InputError: bad ratio, scope, criterion or names; a layer would keep no channel; a
            grouped convolution that is not depthwise; nothing to prune.

    Source: Fang et al. 2023, "DepGraph: Towards Any Structural Pruning", for the groups.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    >>> prune_channels(model, torch.zeros(1, 3, 8, 8), 0.5)[2].weight.shape
    torch.Size([4, 4, 3, 3])
    """
    check_fraction("ratio", ratio)
    check_choice("scope", scope, SCOPES)
    if round_to < 1:
        raise InputError(f"round_to={round_to}: expected a number of channels of at least 1")
    smaller = copy.deepcopy(model).requires_grad_(True)
    by_name = layer_scores(smaller, criterion)
    by_layer = {smaller.get_submodule(name): scores for name, scores in by_name.items()}
    groups = find_groups(smaller, example, skip)
    scores = [group_scores(group, by_layer) for group in groups]
    if scope == "layer":
        n_kept = [math.floor(len(s) * (1 - ratio) + 1e-6) for s in scores]
        if not min(n_kept):
            raise InputError(
                f"ratio={ratio} leaves no channel in a layer of {min(map(len, scores))}: "
                "use a smaller ratio, skip the layer, or scope='global'"
            )
    else:
        mask = mask_from_scores(torch.cat(scores), ratio)
        n_kept = [int(part.sum()) for part in mask.split([len(s) for s in scores])]
    n_kept = [
        min(len(s), max(1, round(n / round_to)) * round_to)
        for s, n in zip(scores, n_kept, strict=True)
    ]
    cut_to_widths(smaller, example, groups, scores, n_kept)
    return restore_modes(smaller, model)


def cut_to_widths(
    smaller: nn.Module,
    example: Tensor,
    groups: Sequence[Group],
    scores: Sequence[Tensor],
    n_kept: Sequence[int],
) -> None:
    """Cut a network: of each of its groups the channels of the lowest scores, but for `n_kept`."""
    for group, s, n in zip(groups, scores, n_kept, strict=True):
        lowest = s.sort(stable=True).indices[: len(s) - n]
        if len(lowest):
            cut_group(group, lowest.tolist(), smaller)
    check_it_runs(smaller, example)


def prune_to_macs(
    model: nn.Module,
    example: Tensor,
    fraction: float,
    *,
    criterion: str | Mapping[str, Tensor] = "l1",
    scope: str = "layer",
    round_to: int = 1,
    skip: Collection[str] = (),
) -> nn.Module:
    """`prune_channels` with the smallest ratio that brings the MACs to `fraction` of the model's.

    To prune in three rounds with training between them, call it with fraction ** (1 / 3) each.

    Raises:
        InputError: as `prune_channels`; a fraction outside (0, 1) or that cannot be reached.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    >>> prune_to_macs(model, torch.zeros(1, 3, 8, 8), 0.5)[0].out_channels
    4
    """
    if not 0 < fraction < 1:
        raise InputError(f"fraction={fraction}: expected a part of the MACs between 0 and 1")
    scores = layer_scores(model, criterion)  # once: "random" must be the same in every trial

    def prune(ratio):
        return prune_channels(
            model, example, ratio, criterion=scores, scope=scope, round_to=round_to, skip=skip
        )

    target = fraction * count_macs(model, example)
    ratio_low, ratio_high = 0.0, _largest_ratio(model, example, scope, skip)
    best = prune(ratio_high)
    if count_macs(best, example) > target:
        raise InputError(
            f"fraction={fraction}: with one channel per layer {count_macs(best, example)} MACs are "
            "left, more than that; use a larger fraction, fewer layers in skip or scope='global'"
        )
    for _ in range(12):
        ratio = (ratio_low + ratio_high) / 2
        trial = prune(ratio)
        if count_macs(trial, example) <= target:
            best, ratio_high = trial, ratio
        else:
            ratio_low = ratio
    return best


def _largest_ratio(model: nn.Module, example: Tensor, scope: str, skip: Collection[str]) -> float:
    """The ratio that leaves one channel in the narrowest group, or in each group."""
    groups = find_groups(copy.deepcopy(model).requires_grad_(True), example, skip)
    widths = [len(group[0].idxs) for group in groups]
    return 1 - 1 / (min(widths) if scope == "layer" else sum(widths))


def restore_modes(smaller: nn.Module, model: nn.Module) -> nn.Module:
    """Training flags and memory format of the original, which tracing and cutting change."""
    for new, old in zip(smaller.modules(), model.modules(), strict=True):
        new.training = old.training
    weights = [weight for weight in model.parameters() if weight.dim() == 4]
    if any(not weight.is_contiguous() for weight in weights):
        smaller = smaller.to(memory_format=torch.channels_last)
    smaller.zero_grad()
    return smaller
