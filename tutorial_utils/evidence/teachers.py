"""The book's ResNet-20, trained with label smoothing, and the same network trained on without."""

from functools import cache

import torch
from torch import nn

from tutorial_utils.data import Dataset, load
from tutorial_utils.evidence.running import Row, Study
from tutorial_utils.measuring import calibration_error, evaluate, predict
from tutorial_utils.models import load_baseline, make_model
from tutorial_utils.storage.files import cache_dir
from tutorial_utils.storage.tensors import read_tensors, write_tensors
from tutorial_utils.training import fit

EPOCHS, LR = 1.0, 0.02
N_SHOWN = 250  # validation images whose logits are stored
TEACHERS = ("smoothed", "plain")


@cache
def teacher_named(name: str) -> nn.Module:
    """The shipped ResNet-20 ("smoothed"), or the same after `EPOCHS` more on bare labels."""
    data = load("digits")
    if name == "smoothed":
        return load_baseline("resnet20", data)
    path = cache_dir() / "baselines" / f"resnet20-plain-{data.key}.safetensors"
    if not path.exists():
        write_tensors(path, _without_smoothing(data).state_dict())
    model = make_model("resnet20", len(data.classes))
    model.load_state_dict(read_tensors(path))
    return model.to(memory_format=torch.channels_last).eval()


def _without_smoothing(data: Dataset) -> nn.Module:
    model = load_baseline("resnet20", data)
    fit(model, data, epochs=EPOCHS, lr=LR, seed=0, show=False)
    return model


def largest_share(logits: torch.Tensor, labels: torch.Tensor, temperature: float = 1.0) -> float:
    """Which part of what the wrong classes get belongs to the largest of them, on average.

    1 / (n_classes - 1) says that the wrong classes are all alike, 1 that one has everything.

    Args:
        logits: (N, n_classes).
        labels: (N,).

    >>> largest_share(torch.tensor([[9.0, 1.0, 1.0]]), torch.tensor([0]))
    0.5
    """
    is_right = torch.nn.functional.one_hot(labels, logits.shape[1]).bool()
    wrong = (logits / temperature).masked_fill(is_right, -torch.inf).softmax(1)
    return wrong.amax(1).mean().item()


def run(arm: str, seed: int) -> Row:
    """Describe one teacher; the logits of the first validation images are stored for pictures."""
    data = load("digits")
    teacher = teacher_named(arm)
    logits = predict(teacher, data.val)
    return {
        "accuracy": evaluate(teacher, data.test),
        "val_accuracy": (logits.argmax(1) == data.val.labels).float().mean().item(),
        "confidence": logits.softmax(1).amax(1).mean().item(),
        "calibration_error": calibration_error(logits, data.val.labels),
        "largest_share": largest_share(logits, data.val.labels),
        "logits": [[round(value, 2) for value in row] for row in logits[:N_SHOWN].tolist()],
    }


STUDY = Study(
    "teachers",
    "ResNet-20 on scene digits, trained with label smoothing, and then on without it.",
    TEACHERS,
    run,
    seeds=(0,),
)
