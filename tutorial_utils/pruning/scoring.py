"""The score of each channel that can be cut, from the scores of the layers that share it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch_pruning.dependency import Group

from tutorial_utils.errors import InputError, check_finite
from tutorial_utils.pruning.channels import channel_scores
from tutorial_utils.pruning.coupling import output_cuts
from tutorial_utils.pruning.masks import prunable_layers


def layer_scores(model: nn.Module, criterion: str | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scores of the channels by the name of the layer, checked if they were given."""
    if criterion == "taylor":
        raise InputError("criterion='taylor': pass criterion=taylor_scores(model, batches)")
    if criterion == "bn_scale":
        norms = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)]
        return {name: channel_scores(bn, bn, "bn_scale") for name, bn in norms}
    layers = prunable_layers(model)
    if isinstance(criterion, str):
        return {name: channel_scores(m, criterion=criterion) for name, m in layers.items()}
    modules = dict(model.named_modules())
    for name, scores in criterion.items():
        check_finite(f"scores of layer {name!r}", scores)
        n_channels = len(modules[name].weight) if name in modules else 0
        if scores.shape != (n_channels,):
            raise InputError(
                f"scores of layer {name!r} have shape {tuple(scores.shape)}, the model has "
                f"{n_channels} channels there: make the scores for this model"
            )
    return dict(criterion)


def group_scores(group: Group, scores: Mapping[nn.Module, Tensor]) -> Tensor:
    """Score of each channel of a group: the mean over its layers, each divided by its own mean."""
    total = torch.zeros(len(group[0].idxs))
    n_layers = torch.zeros(len(group[0].idxs))
    for item in output_cuts(group):
        if item.dep.target.module in scores:
            values = scores[item.dep.target.module].float().cpu()
            values = values / values.mean().clamp(min=torch.finfo(torch.float32).tiny)
            where = torch.tensor(item.root_idxs)
            total.index_add_(0, where, values[item.idxs])
            n_layers.index_add_(0, where, torch.ones(len(where)))
    if not n_layers.all():
        raise InputError(
            f"no scores for the channels of {group[0].dep.target.module}: the criterion does not "
            "cover this layer; put it into skip or use 'l1'"
        )
    return total / n_layers
