"""Trained weights: those that the package carries, and those that a reader trained."""

import shlex
from pathlib import Path

import torch
from torch import nn

from tutorial_utils.data.loading import IMAGE_SIZE
from tutorial_utils.data.splits import Dataset
from tutorial_utils.errors import InputError
from tutorial_utils.models.mobilenet import MobileNet
from tutorial_utils.models.named import make_model
from tutorial_utils.models.resnet import ResNet
from tutorial_utils.storage.files import cache_dir
from tutorial_utils.storage.tensors import read_tensors, write_tensors

SHIPPED = Path(__file__).parent / "weights"


def baseline_path(name: str, data: Dataset) -> Path:
    """Return where the weights of a model for a data set belong: shipped, else in the cache."""
    filename = f"{name}-{data.key}.safetensors"
    shipped = SHIPPED / filename
    return shipped if shipped.exists() else cache_dir() / "baselines" / filename


def train_command(name: str, data: Dataset) -> str:
    """Return the command that trains a baseline for a data set.

    >>> from tutorial_utils.data import load
    >>> train_command("resnet20", load("digits"))
    'python -m tutorial_utils train resnet20 --dataset digits --epochs 30'
    """
    where = f" --data-dir {shlex.quote(data.data_dir)}" if data.data_dir else ""
    size = data.train.images.shape[-1]
    if data.name == "folder" and size != IMAGE_SIZE:
        where += f" --image-size {size}"
    return f"python -m tutorial_utils train {name} --dataset {data.name}{where} --epochs 30"


def check_baseline(name: str, data: Dataset) -> Path:
    """Make sure that a trained baseline is there and unchanged, and return its file.

    Raises:
        InputError: when it is missing (the message has the command that trains it), when its
            SHA-256 is not the recorded one, or when it has not the weights of that model.
    """
    load_baseline(name, data)
    return baseline_path(name, data)


def load_baseline(name: str, data: Dataset) -> ResNet | MobileNet:
    """Return a trained model, full width, on the CPU, in eval mode and channels_last.

    Args:
        name: "resnet8", "resnet20", "resnet56" or "mobilenet".
        data: the data set that it was trained on, from `tutorial_utils.data.load`.

    Raises:
        InputError: as `check_baseline`.

    >>> from tutorial_utils.data import load
    >>> load_baseline("resnet8", load("digits")).training
    False
    """
    model = make_model(name, len(data.classes))
    path = baseline_path(name, data)
    if not path.is_file():
        raise InputError(
            f"no trained {name} for {data.name!r} yet: train it first with "
            f"`{train_command(name, data)}`"
        )
    try:
        model.load_state_dict(read_tensors(path))
    except RuntimeError as error:
        raise InputError(f"{path}: not the weights of a {name}: delete it") from error
    return model.to(memory_format=torch.channels_last).eval()


def save_baseline(model: nn.Module, name: str, data: Dataset) -> Path:
    """Store trained weights in the cache, and return the file.

    Args:
        model: the trained model, on whatever device.
        name: "resnet8", "resnet20", "resnet56" or "mobilenet".
        data: the data set that it was trained on.
    """
    path = cache_dir() / "baselines" / f"{name}-{data.key}.safetensors"
    write_tensors(path, model.state_dict())
    return path
