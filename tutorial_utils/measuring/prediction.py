"""What a model answers, and how often it is right."""

from collections.abc import Callable
from contextlib import suppress

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_utils.data.batches import batches
from tutorial_utils.data.splits import Split
from tutorial_utils.memory import keep_freed_memory


@torch.no_grad()
def predict(
    model: Callable[[Tensor], Tensor], split: Split, *, batch_size: int = 500, device: str = "cpu"
) -> Tensor:
    """Return the logits of a model for every image of a split.

    Args:
        model: a module, a compiled callable or an exported graph. A module is moved to `device`
            and runs in eval mode; an exported graph runs in the mode that it is in.
        split: the images.
        batch_size: images per call.
        device: "cpu" or "cuda".

    Returns:
        float32 (N, n_classes), on the CPU.

    >>> from tutorial_utils.data import load
    >>> from tutorial_utils.models import make_model
    >>> predict(make_model("resnet8"), load("digits", n_train=10).train).shape
    torch.Size([10, 10])
    """
    keep_freed_memory()
    module = model if isinstance(model, nn.Module) else None
    was_training = module is not None and module.training
    if module is not None:
        module.to(device)
        with suppress(NotImplementedError):
            module.eval()
    logits = []
    for inputs, labels in batches(split, batch_size):
        # A short last batch is filled up: a compiled model would be compiled again for its size.
        filled = F.pad(inputs, (0, 0) * 3 + (0, min(batch_size, len(split)) - len(inputs)))
        logits.append(model(filled.to(device))[: len(labels)].float().cpu())
    if was_training:
        with suppress(NotImplementedError):
            module.train()
    return torch.cat(logits)


def evaluate(
    model: Callable[[Tensor], Tensor], split: Split, *, batch_size: int = 500, device: str = "cpu"
) -> float:
    """Return the fraction of a split that a model gets right (arguments as for `predict`)."""
    logits = predict(model, split, batch_size=batch_size, device=device)
    return (logits.argmax(1) == split.labels).float().mean().item()
