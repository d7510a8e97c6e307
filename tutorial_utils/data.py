"""Data sets as tensors: one function, one type, whatever the images come from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_utils import digits, downloads, folder
from tutorial_utils.cache import cache_dir
from tutorial_utils.errors import InputError

__all__ = ["Dataset", "Split", "augment", "batches", "cache_dir", "load", "to_inputs"]

NAMES = ("digits", "cifar10", "fashion_mnist", "folder")


@dataclass(frozen=True)
class Split:
    """Images with their labels, held in memory.

    Attributes:
        images: uint8 (N, 3, 32, 32).
        labels: int64 (N,).
        mean, std: per channel, of the training part, for pixel values from 0 to 1.
    """

    images: Tensor
    labels: Tensor
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | Tensor) -> "Split":
        """Return the images at a slice or an index tensor as a smaller split: `test[:500]`."""
        return replace(self, images=self.images[index], labels=self.labels[index])


@dataclass(frozen=True)
class Dataset:
    """Three splits of a data set, each in an order of which every prefix is balanced.

    Attributes:
        name: as given to `load`.
        classes: the name of each label.
        train, val, test: fit on the first, choose on the second, report on the third.
        flip: whether a mirrored image still shows its class.
        key: what a trained baseline is filed under.
        recolour: whether colours carry no meaning, so that they can be swapped and inverted.
        data_dir: as given to `load`.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    flip: bool
    key: str
    recolour: bool = False
    data_dir: str | None = None


def load(
    name: str = "digits",
    data_dir: str | Path | None = None,
    n_train: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Load a data set into memory.

    Args:
        name: "digits" (embedded), "cifar10", "fashion_mnist" (downloaded once), or "folder" (your
            images in `DIR/train/<class>/` and `DIR/test/<class>/`).
        data_dir: DIR for "folder"; where to download to, for those that are (default: the cache).
        n_train: how many training images to keep, as evenly over the classes as they allow.
            Default: all.
        seed: chooses which ones are kept. The splits themselves never depend on it.

    Raises:
        InputError: for input that cannot be used; the message is one line and says what to do.

    >>> data = load("digits", n_train=100)
    >>> len(data.train), len(data.val), len(data.test)
    (100, 2500, 5000)
    >>> data.train.labels.bincount().tolist()
    [10, 10, 10, 10, 10, 10, 10, 10, 10, 10]
    """
    if name not in NAMES:
        near = get_close_matches(str(name), NAMES, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"dataset={name!r}: expected one of {', '.join(NAMES)}{hint}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise InputError(f"seed={seed!r}: expected an integer from 0 to 2**32 - 1")
    if n_train is not None and (isinstance(n_train, bool) or not isinstance(n_train, int)):
        raise InputError(f"n_train={n_train!r}: expected an integer, or None for all")
    data_dir = str(data_dir) if data_dir else None  # notebooks pass "" for "not given"
    data = LOADERS[name](data_dir)
    return data if n_train is None else replace(data, train=subset(data.train, n_train, seed))


def load_digits(data_dir: str | None) -> Dataset:
    """Return scene digits (see `tutorial_utils.digits`)."""
    if data_dir:
        raise InputError(
            f"data_dir={data_dir!r}: 'digits' has no folder; leave it out, or set dataset='folder'"
        )
    splits = {
        part: Split(images, labels, digits.MEAN, digits.STD)
        for part, (images, labels) in digits.load_scenes().items()
    }
    return Dataset("digits", digits.CLASSES, **splits, flip=False, key="digits", recolour=True)


def load_download(name: str, data_dir: str | None) -> Dataset:
    """Return one of torchvision's data sets (see `tutorial_utils.downloads`)."""
    classes, train, test = downloads.read_arrays(name, data_dir)
    return from_arrays(name, classes, train, test, key=name, data_dir=data_dir)


def load_folder(data_dir: str | None) -> Dataset:
    """Return a reader's own images (see `tutorial_utils.folder`)."""
    if not data_dir:
        raise InputError("dataset='folder' needs data_dir: the folder that holds train/ and test/")
    classes, train, test, fingerprint = folder.read_arrays(Path(data_dir).expanduser())
    return from_arrays(
        "folder", classes, train, test, key=f"folder-{fingerprint}", data_dir=data_dir
    )


LOADERS: dict[str, Callable[[str | None], Dataset]] = {
    "digits": load_digits,
    "cifar10": lambda data_dir: load_download("cifar10", data_dir),
    "fashion_mnist": lambda data_dir: load_download("fashion_mnist", data_dir),
    "folder": load_folder,
}


def from_arrays(name, classes, train, test, key, data_dir) -> Dataset:
    """Split a validation part off `train`: a tenth of each class, always the same images."""
    (images, labels), (test_images, test_labels) = train, test
    rank = rank_in_class(labels, torch.Generator().manual_seed(0))
    n_val = (labels.bincount(minlength=len(classes)) / 10).round().clamp(min=1)
    order = rank.argsort(stable=True)  # every class in turn, so that a prefix is balanced
    held_out = (rank < n_val[labels])[order]
    mean, std = channel_statistics(images[order[~held_out]])

    test_rank = rank_in_class(test_labels, torch.Generator().manual_seed(0))
    everything = Split(images, labels, mean, std)
    return Dataset(
        name,
        classes,
        train=everything[order[~held_out]],
        val=everything[order[held_out]],
        test=Split(test_images, test_labels, mean, std)[test_rank.argsort(stable=True)],
        flip=True,
        key=key,
        data_dir=data_dir,
    )


def rank_in_class(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Shuffle the images of each class; return each image's place among those of its class.

    >>> rank_in_class(torch.tensor([1, 0, 1]), torch.Generator().manual_seed(0)).sum().item()
    1
    """
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    counts = labels.bincount()
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(labels)
    rank[by_class] = torch.arange(len(labels)) - starts[labels[by_class]]
    return rank


def subset(split: Split, n: int, seed: int) -> Split:
    """Return `n` images of a split, as evenly over the classes as they allow."""
    n_classes = len(split.labels.unique())
    if not n_classes <= n <= len(split):
        raise InputError(
            f"n_train={n}: expected {n_classes} (one image of each class) to {len(split)}"
        )
    rank = rank_in_class(split.labels, torch.Generator().manual_seed(seed))
    return split[rank.argsort(stable=True)[:n]]


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel of pixel values scaled to 0 to 1.

    Args:
        images: uint8 (N, 3, H, W).

    >>> black_and_white = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    >>> channel_statistics(black_and_white.expand(2, 3, 1, 1))
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(1):
        # Counting the 256 values is exact and needs no copy of the images in floats.
        share = channel.flatten().bincount(minlength=256).double() / channel.numel()
        mean = (share * values).sum()
        means.append(mean.item())
        # A channel that never changes would divide by zero.
        stds.append((share * (values - mean) ** 2).sum().sqrt().clamp(min=1 / 255).item())
    return tuple(means), tuple(stds)


def to_inputs(split: Split) -> Tensor:
    """Return the images of a split as a network takes them.

    Returns:
        float32 (N, 3, 32, 32), normalised per channel, in channels_last memory format.

    >>> to_inputs(load("digits", n_train=10).train).shape
    torch.Size([10, 3, 32, 32])
    """
    scale = 255 * torch.tensor(split.std).view(1, 3, 1, 1)
    shift = 255 * torch.tensor(split.mean).view(1, 3, 1, 1)
    pixels = split.images.to(torch.float32, memory_format=torch.channels_last)
    return pixels.sub_(shift).div_(scale)


def batches(
    split: Split,
    batch_size: int,
    *,
    generator: torch.Generator | None = None,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Go through a split once.

    Args:
        split: what to go through.
        batch_size: images per batch; the last batch may be smaller.
        generator: shuffles the images and drives `augment`. Without one the order is kept.
        augment: changes the uint8 images of a batch.

    Yields:
        inputs as from `to_inputs`, and labels.

    >>> [len(labels) for _, labels in batches(load("digits", n_train=10).train, 4)]
    [4, 4, 2]
    """
    order = None if generator is None else torch.randperm(len(split), generator=generator)
    for start in range(0, len(split), batch_size):
        index = slice(start, start + batch_size)
        batch = split[index if order is None else order[index]]
        if augment:
            batch = replace(batch, images=augment(batch.images, generator))
        yield to_inputs(batch), batch.labels


def augment(
    images: Tensor, generator: torch.Generator, flip: bool, recolour: bool = False
) -> Tensor:
    """Return images changed at random in ways that keep their class.

    Every image is shifted by up to four pixels each way, and what it leaves is black. With `flip`
    half are mirrored. With `recolour` the colour channels are permuted and half are inverted.

    Args:
        images: uint8 (N, 3, H, W).

    Returns:
        uint8 (N, 3, H, W), new.

    >>> images = torch.full((2, 3, 8, 8), 7, dtype=torch.uint8)
    >>> augment(images, torch.Generator().manual_seed(0), flip=True).unique().tolist()
    [0, 7]
    """
    n, _, height, width = images.shape
    padded = F.pad(images, (4, 4, 4, 4))
    top, left = torch.randint(9, (2, n, 1), generator=generator)
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    if flip:
        mirrored = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    channels = torch.arange(3).expand(n, 3)
    if recolour:
        channels = torch.rand(n, 3, generator=generator).argsort(1)
    image = torch.arange(n).view(n, 1, 1, 1)
    out = padded[image, channels[:, :, None, None], rows[:, None, :, None], columns[:, None, None]]
    if recolour:
        inverted = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
        out = torch.where(inverted, 255 - out, out)
    return out
