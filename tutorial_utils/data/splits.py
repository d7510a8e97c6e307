"""The types that hold a data set in memory, and how one is cut into parts."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tutorial_utils.errors import InputError


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
