"""What a model answers, and how often it is right."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_utils.data.batches import LabelledBatches, labelled_batches
from tutorial_utils.data.splits import Split
from tutorial_utils.memory import keep_freed_memory
from tutorial_utils.modes import device_of, in_eval_mode


def predict(
    model: Callable[[Tensor], Tensor], source: Split | LabelledBatches, *, batch_size: int = 500
) -> Tensor:
    """Return the logits of a model for every image of a source, in its order.

    Args:
        model: a module, a compiled model, an exported graph or any callable. It answers in eval
            mode, on the device that it is on, and stays as it is.
        source: the images: a split, or a `DataLoader` or other iterable of (inputs, labels). A
            loader that shuffles gives the logits in an order of its own.
        batch_size: images per call, from a split; a loader has its own batches.

    Returns:
        float32 (N, n_classes), on the CPU.

    >>> from tutorial_utils.data import load
    >>> from tutorial_utils.models import make_model
    >>> predict(make_model("resnet8"), load("digits", n_train=10).train).shape
    torch.Size([10, 10])
    """
    return predict_labelled(model, source, batch_size=batch_size)[0]


def evaluate(
    model: Callable[[Tensor], Tensor], source: Split | LabelledBatches, *, batch_size: int = 500
) -> float:
    """Return the fraction of a source that a model gets right (arguments as for `predict`)."""
    return correct_answers(model, source, batch_size=batch_size).float().mean().item()


def correct_answers(
    model: Callable[[Tensor], Tensor], source: Split | LabelledBatches, *, batch_size: int = 500
) -> Tensor:
    """Return of each image whether a model gets it right, bool (N,) (arguments as for `predict`).

    `accuracy_interval` and `paired_accuracy` take these.
    """
    logits, labels = predict_labelled(model, source, batch_size=batch_size)
    return logits.argmax(1) == labels


@torch.no_grad()
def predict_labelled(
    model: Callable[[Tensor], Tensor], source: Split | LabelledBatches, *, batch_size: int
) -> tuple[Tensor, Tensor]:
    """Return logits as `predict` does, and the label of each; goes through the source once."""
    keep_freed_memory()
    all_logits, all_labels = [], []
    n_first = None
    with in_eval_mode(model) as run:
        for inputs, labels in labelled_batches(source, batch_size):
            n_first = n_first or len(inputs)
            # A short last batch is filled up: a compiled model would be compiled again for it.
            n_missing = max(0, n_first - len(inputs))
            filled = F.pad(inputs, (0, 0) * (inputs.dim() - 1) + (0, n_missing))
            logits = run(filled.to(device=device_of(model)))[: len(labels)]
            all_logits.append(logits.float().cpu())
            all_labels.append(labels.cpu())
    return torch.cat(all_logits), torch.cat(all_labels)
