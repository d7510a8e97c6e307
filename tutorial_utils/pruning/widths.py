"""Structured pruning by what a layer costs: its multiply-accumulates, or its measured time."""

import copy
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn

from tutorial_utils.errors import InputError
from tutorial_utils.pruning.coupling import find_groups, removed_widths
from tutorial_utils.pruning.networks import cut_to_widths, restore_modes
from tutorial_utils.pruning.scoring import group_scores, layer_scores

Cost = Callable[[nn.Module, Tensor], float]


def prune_by_cost(
    model: nn.Module,
    inputs: Tensor,
    fraction: float,
    cost: Cost,
    *,
    criterion: str | Mapping[str, Tensor] = "l1",
    step: int = 8,
    skip: Collection[str] = (),
) -> nn.Module:
    """Smaller, trainable copy of a model whose layers cost a fraction of what they did.

    The widths are chosen one step after the other. Each step narrows the group of coupled layers
    that saves the most cost for the share of its scores that it loses. The cost of a layer of each
    shape is asked for once, so that times come from a table. What the rest of the network costs
    (additions, calls) is not counted: measure the result.

    Args:
        model: not changed. The layers that give its outputs keep all of theirs.
        inputs: (N, C, height, width); where the cost is a time, a batch of the size that matters.
        fraction: of the cost of all convolutions and linear layers, what may be left.
        cost: of a layer for its inputs, as `count_macs` and `fastest_ms` of `measuring` give it.
        criterion, skip: as for `prune_channels`.
        step: numbers of channels are multiples of it, or those of the model.

    Raises:
        InputError: as `prune_channels`; a fraction outside (0, 1) or that cannot be reached.

    Source: Yang et al. 2018, "NetAdapt", for the table and the steps; there each step is trained.

    >>> from tutorial_utils.measuring import count_macs
    >>> model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3))
    >>> prune_by_cost(model, torch.zeros(1, 3, 8, 8), 0.5, count_macs)[0].out_channels
    8
    """
    if not 0 < fraction < 1:
        raise InputError(f"fraction={fraction}: expected a part of the cost between 0 and 1")
    if step < 1:
        raise InputError(f"step={step}: expected a number of channels of at least 1")
    smaller = copy.deepcopy(model).requires_grad_(True)
    sizes = _input_sizes(smaller, inputs)
    groups = find_groups(smaller, inputs[:1], skip)
    by_name = layer_scores(smaller, criterion)
    by_layer = {smaller.get_submodule(name): scores for name, scores in by_name.items()}
    scores = [group_scores(group, by_layer) for group in groups]
    lost = [removed_widths(group) for group in groups]
    widths = _choose_widths(scores, lost, _CostTable(cost, sizes), fraction, step)
    cut_to_widths(smaller, inputs[:1], groups, scores, widths)
    return restore_modes(smaller, model)


class _CostTable:
    """What each layer costs with fewer inputs and outputs; each shape is asked for once."""

    def __init__(self, cost: Cost, sizes: Mapping[nn.Module, torch.Size]):
        self.cost, self.sizes, self.known = cost, sizes, {}

    def __call__(self, layer: nn.Module, n_in: int, n_out: int) -> float:
        size = list(self.sizes[layer])
        is_conv = isinstance(layer, nn.Conv2d)
        size[1 if is_conv else -1] = n_in
        narrow = _narrow_conv(layer, n_in, n_out) if is_conv else nn.Linear(n_in, n_out)
        key = str(narrow), tuple(size)
        if key not in self.known:
            images = torch.randn(size)
            if is_conv:
                narrow = narrow.to(memory_format=torch.channels_last)
                images = images.to(memory_format=torch.channels_last)
            self.known[key] = self.cost(narrow.eval(), images)
        return self.known[key]


def _narrow_conv(conv: nn.Conv2d, n_in: int, n_out: int) -> nn.Conv2d:
    options = {"groups": 1 if conv.groups == 1 else n_in, "bias": conv.bias is not None}
    shape = conv.kernel_size, conv.stride, conv.padding, conv.dilation
    return nn.Conv2d(n_in, n_out, *shape, **options)


def _choose_widths(
    scores: list[Tensor],
    lost: list[dict[nn.Module, tuple[int, int]]],
    table: _CostTable,
    fraction: float,
    step: int,
) -> list[int]:
    """The number of channels that each group keeps."""
    full = [len(s) for s in scores]
    rising = [s.sort().values for s in scores]

    def total(widths: list[int], layers: Collection[nn.Module]) -> float:
        costs = []
        for layer in layers:
            shape = layer.weight.shape
            n_in, n_out = shape[1] * getattr(layer, "groups", 1), shape[0]
            for by_layer, before, now in zip(lost, full, widths, strict=True):
                less_in, less_out = by_layer.get(layer, (0, 0))
                n_in, n_out = n_in - less_in * (before - now), n_out - less_out * (before - now)
            costs.append(table(layer, n_in, n_out))
        return sum(costs)

    def narrowed(i: int) -> list[int]:
        return [*widths[:i], (widths[i] - 1) // step * step, *widths[i + 1 :]]

    def worth(i: int) -> float:
        kept = rising[i][full[i] - widths[i] :]
        share = kept[: widths[i] - narrowed(i)[i]].sum() / kept.sum()
        return (total(widths, lost[i]) - total(narrowed(i), lost[i])) / share.item()

    widths, layers = list(full), table.sizes.keys()
    target = fraction * total(full, layers)
    while total(widths, layers) > target:
        wide = [i for i, width in enumerate(widths) if width > step]
        if not wide:
            raise InputError(
                f"fraction={fraction}: with {step} channels per group {total(widths, layers):.3g} "
                f"of {total(full, layers):.3g} is left, more than that; use a larger fraction"
            )
        widths = narrowed(max(wide, key=worth))
    return widths


def _input_sizes(model: nn.Module, inputs: Tensor) -> dict[nn.Module, torch.Size]:
    """The shape of what each convolution and linear layer reads."""
    sizes: dict[nn.Module, torch.Size] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda layer, args: sizes.update({layer: args[0].shape}))
        for layer in model.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    try:
        with torch.no_grad():
            model.eval()(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return sizes
