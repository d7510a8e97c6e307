"""Structured pruning: take whole channels out, so that the layers really become smaller.

Here the scores of channels, and their removal by hand from a chain of convolution, batch norm,
ReLU and the next layer. (`coupled` does it for whole networks, with residual additions.)
"""

import copy
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_utils.data import Split, labelled_batches
from tutorial_utils.errors import InputError, check_choice, check_finite
from tutorial_utils.pruning.masks import prunable_layers

CRITERIA = ("l1", "l2", "bn_scale", "taylor", "random")


def channel_scores(
    layer: nn.Module,
    bn: nn.Module | None = None,
    criterion: str = "l1",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Score of each output channel of a convolution or linear layer.

    - "l1", "l2": norm of the weights that make the channel (Li et al. 2017, section 3.1);
    - "bn_scale": absolute scale of the batch norm behind it (Liu et al. 2017, section 3);
    - "taylor": squared sum of weight times gradient, an estimate of how much the squared loss
      changes without the channel (Molchanov et al. 2019, equation 8); needs ``weight.grad``;
    - "random": the control, drawn from `generator`.

    Args:
        layer: weight of shape (n_channels, ...).
        bn: the batch norm, for "bn_scale" only.

    Returns:
        (n_channels,), at least 0.

    Raises:
        InputError: unknown criterion, NaN or infinite weights, no batch norm, no gradient.

    >>> layer = nn.Linear(2, 2)
    >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, -4.0], [1.0, 1.0]]))
    >>> channel_scores(layer), channel_scores(layer, criterion="l2")
    (tensor([7., 2.]), tensor([5.0000, 1.4142]))
    """
    check_choice("criterion", criterion, CRITERIA)
    weight = layer.weight.detach()
    check_finite("weight", weight)
    if criterion == "random":
        return torch.rand(len(weight), generator=generator)
    if criterion == "bn_scale":
        if bn is None or bn.weight is None:
            raise InputError("criterion='bn_scale': expected a batch norm with a scale after it")
        return bn.weight.detach().abs()
    if criterion == "taylor":
        if layer.weight.grad is None:
            raise InputError("criterion='taylor': weight.grad is None; call loss.backward() first")
        return (weight * layer.weight.grad).flatten(1).sum(1) ** 2
    return torch.linalg.vector_norm(weight.flatten(1), ord=1 if criterion == "l1" else 2, dim=1)


def mask_channels(
    conv: nn.Conv2d, bn: nn.BatchNorm2d | None, keep: Tensor
) -> tuple[nn.Conv2d, nn.BatchNorm2d | None]:
    """Copies with all but the channels `keep` at zero: the same shapes, nothing saved.

    The batch norm counts: with a shift that is not zero, a channel of zeros leaves it as a
    constant, and removing the channel would change the output.
    """
    removed = _removed(conv.out_channels, keep)
    masked = [copy.deepcopy(layer) for layer in (conv, bn) if layer is not None]
    for layer in masked:
        layer.weight.data[removed] = 0
        if layer.bias is not None:
            layer.bias.data[removed] = 0
    return masked[0], masked[1] if bn is not None else None


def remove_channels(
    conv: nn.Conv2d, bn: nn.BatchNorm2d | None, following: nn.Module, keep: Tensor
) -> tuple[nn.Conv2d, nn.BatchNorm2d | None, nn.Module]:
    """Smaller copies of a chain, with only the channels `keep` between its two layers.

    Between the layers there may be whatever treats channels alone and maps 0 to 0: ReLU, pooling,
    flattening. Then the output is that of the chain after `mask_channels`.

    Args:
        conv: makes the channels.
        bn: its batch norm, or None.
        following: reads the channels: a convolution, or a linear layer behind a flattening.
        keep: indices of the channels that stay (int64).

    Raises:
        InputError: no channel left, indices out of range or double, grouped convolutions, or
            a layer that does not read the channels of `conv`.

    >>> conv, following = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)
    >>> small, _, next_one = remove_channels(conv, None, following, torch.tensor([0, 5]))
    >>> small.weight.shape, next_one.weight.shape
    (torch.Size([2, 3, 3, 3]), torch.Size([4, 2, 3, 3]))
    """
    _removed(conv.out_channels, keep)
    keep = keep.sort().values
    is_linear = isinstance(following, nn.Linear)
    n_in = following.in_features if is_linear else following.in_channels
    # Only flattening makes several inputs of a channel, and then a linear layer follows.
    reads = n_in % conv.out_channels == 0 if is_linear else n_in == conv.out_channels
    if conv.groups != 1 or getattr(following, "groups", 1) != 1 or not reads:
        raise InputError(
            f"{conv} and {following}: expected convolutions with groups=1, the second layer "
            "reading the channels of the first"
        )
    conv, bn, following = copy.deepcopy((conv, bn, following))
    # Flattened, a channel is n_in / out_channels neighbours; into a convolution it is one.
    size = n_in // conv.out_channels
    columns = (keep[:, None] * size + torch.arange(size)).flatten()
    _keep_(conv, keep, 0, out_channels=len(keep))
    if bn is not None:
        _keep_(bn, keep, 0, num_features=len(keep))
    width = "in_features" if is_linear else "in_channels"
    _keep_(following, columns, 1, **{width: len(columns)})
    return conv, bn, following


def taylor_scores(
    model: nn.Module, batches: Split | Iterable[tuple[Tensor, Tensor]]
) -> dict[str, Tensor]:
    """Taylor scores of all channels, averaged over batches, for `prune_channels(criterion=...)`.

    The gradient is that of the cross entropy in eval mode, so batch norm is left as it is.

    Args:
        model: a classifier; neither its weights nor its gradients change.
        batches: (inputs, labels) pairs of the training split, or the split; some hundred images do.

    Returns:
        for each convolution and linear layer (n_channels,).

    Source: Molchanov et al. 2019, "Importance Estimation for Neural Network Pruning", equation 8.
    """
    model = copy.deepcopy(model).eval().requires_grad_(True)
    device = next(model.parameters()).device
    layers = prunable_layers(model)
    totals = {name: torch.zeros(len(layer.weight)) for name, layer in layers.items()}
    n_batches = 0
    for inputs, labels in labelled_batches(batches, 100):
        model.zero_grad()
        F.cross_entropy(model(inputs.to(device)), labels.to(device)).backward()
        n_batches += 1
        for name, layer in layers.items():
            totals[name] += channel_scores(layer, criterion="taylor").cpu()
    return {name: total / n_batches for name, total in totals.items()}


def _removed(n_channels: int, keep: Tensor) -> Tensor:
    """Indices of the channels that are not in `keep`, which is checked."""
    kept = set(keep.tolist())
    if not kept or len(kept) != len(keep) or not kept <= set(range(n_channels)):
        raise InputError(
            f"keep={keep.tolist()}: expected at least one index, each once, from 0 to "
            f"{n_channels - 1}"
        )
    return torch.tensor([c for c in range(n_channels) if c not in kept], dtype=torch.int64)


def _keep_(layer: nn.Module, indices: Tensor, dim: int, **sizes: int) -> None:
    """Keep `indices` along `dim` of all tensors of a layer that have it, and note the new sizes."""
    for name, value in [*layer.named_parameters(), *layer.named_buffers()]:
        if value.dim() > dim:
            part = value.detach().index_select(dim, indices.to(value.device))
            if value.dim() == 4 and value.is_contiguous(memory_format=torch.channels_last):
                part = part.contiguous(memory_format=torch.channels_last)
            setattr(layer, name, nn.Parameter(part) if isinstance(value, nn.Parameter) else part)
    for name, size in sizes.items():
        setattr(layer, name, size)
