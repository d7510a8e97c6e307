"""Statistics of batch normalisation, estimated anew for a network that has changed."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tutorial_utils.data import Split, input_batches
from tutorial_utils.errors import InputError
from tutorial_utils.modes import device_of, in_eval_mode

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@torch.no_grad()
def reestimate_batch_norm_(
    model: nn.Module,
    inputs: Tensor | Split | Iterable[Tensor] | Iterable[tuple[Tensor, Tensor]],
    batch_size: int = 128,
) -> None:
    """Give each batch norm the mean and variance of what now reaches it. No weight is trained.

    In eval mode a batch norm subtracts the mean and divides by the deviation that its input had
    *while the network was trained*. Without half of its weights a layer puts out other values, and
    the old statistics are wrong for them. The new ones are the plain average over the batches.

    Args:
        model: changed in place; each module stays in the mode that it is in.
        inputs: training images without labels; some hundred do. A tensor (N, ...) as the network
            takes it, a split, or batches.
        batch_size: images a batch of a tensor or split.

    Raises:
        InputError: the model has no batch norm with statistics.

    Source: Li et al. 2020, "EagleEye: Fast Sub-net Evaluation for Efficient Neural Network
    Pruning", section 3.3 (adaptive batch normalization).

    >>> model = nn.Sequential(nn.BatchNorm1d(1)).eval()
    >>> reestimate_batch_norm_(model, torch.tensor([[1.0], [3.0]]))
    >>> model[0].running_mean, model[0].running_var
    (tensor([2.]), tensor([2.]))
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, BATCH_NORMS) and module.running_mean is not None
    ]
    if not norms:
        raise InputError(f"{type(model).__name__} has no batch norm with statistics to estimate")
    with in_eval_mode(model) as run:
        before = [norm.momentum for norm in norms]
        try:
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # the plain average of all batches
                norm.train()  # until the block gives back each mode
            for batch in input_batches(inputs, batch_size):
                run(batch.to(device=device_of(model)))
        finally:
            for norm, momentum in zip(norms, before, strict=True):
                norm.momentum = momentum
