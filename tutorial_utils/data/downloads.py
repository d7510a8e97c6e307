"""CIFAR-10 and Fashion-MNIST through torchvision, which compares what it downloads with its MD5."""

import os
import re
import shutil
import tempfile
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import datasets

from tutorial_utils.errors import InputError
from tutorial_utils.storage.files import cache_dir

SOURCES = {
    "cifar10": (datasets.CIFAR10, "cifar-10-batches-py"),
    "fashion_mnist": (datasets.FashionMNIST, "FashionMNIST"),
}
# What torchvision raises on files that are missing or not what they should be. RuntimeError has
# other reasons as well, such as too little memory, so that its message decides.
DAMAGED = (AssertionError, EOFError, LookupError, RuntimeError, UnpicklingError, ValueError)
DAMAGED_MESSAGE = re.compile("not found|invalid for input")
Part = tuple[Tensor, Tensor]


def read_arrays(name: str, data_dir: str | None) -> tuple[tuple[str, ...], Part, Part]:
    """Read a data set of torchvision; download it first if it is not there.

    A damaged copy in the cache is replaced; one in a folder of the reader's own stays as it is.

    Args:
        name: "cifar10" or "fashion_mnist".
        data_dir: where it is, or goes to; a folder in the cache by default.

    Returns:
        the class names; images, uint8 (N, 3, 32, 32), and labels of train and of test. Grey images
        of 28x28 pixels get a black frame and three equal channels.

    Raises:
        InputError: when it cannot be downloaded, or is damaged in `data_dir`.
    """
    root = Path(data_dir).expanduser() if data_dir else cache_dir() / name
    present = root / SOURCES[name][1]
    try:
        train, test = read_parts(name, root)
    except DAMAGED as error:
        if isinstance(error, RuntimeError) and not DAMAGED_MESSAGE.search(str(error)):
            raise
        if data_dir and os.path.lexists(present):
            raise InputError(
                f"{present} is incomplete or damaged: rename or remove it, and {name!r} is "
                "downloaded again"
            ) from error
        download(name, root)
        train, test = read_parts(name, root)
    return tuple(train.classes), to_tensors(train), to_tensors(test)


def read_parts(name: str, root: Path) -> list[datasets.VisionDataset]:
    """Read train and test from files that are there already."""
    source, _ = SOURCES[name]
    return [source(root, train=part, download=False) for part in (True, False)]


def download(name: str, root: Path) -> None:
    """Download a data set. Its folder appears under `root` only when it is complete."""
    source, folder = SOURCES[name]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as temporary:
            source(temporary, download=True)
            read_parts(name, Path(temporary))
            # There is none but in the cache, see `read_arrays`.
            shutil.rmtree(root / folder, ignore_errors=True)
            os.replace(Path(temporary) / folder, root / folder)
    # RuntimeError is what torchvision raises when the MD5 is not the expected one.
    except (OSError, HTTPException, RuntimeError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"cannot download {name!r} to {root} ({reason}): check the network and try again, or "
            f"put the folder {folder!r} there yourself"
        ) from error


def to_tensors(part: datasets.VisionDataset) -> Part:
    """Return what torchvision read as images, uint8 (N, 3, 32, 32), and labels."""
    images = torch.as_tensor(part.data)
    if images.dim() == 3:  # grey, 28x28
        images = F.pad(images, (2, 2, 2, 2)).unsqueeze(1).expand(-1, 3, -1, -1)
    else:
        images = images.permute(0, 3, 1, 2)
    return images.contiguous(), torch.as_tensor(part.targets, dtype=torch.int64)
