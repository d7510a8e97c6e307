"""The types that hold a data set in memory, and how one is cut into parts."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tutorial_utils.errors import InputError


@dataclass(frozen=True)
class Split:
    """Images with their labels, held in memory.

    `Split.from_arrays` makes one of your own images and checks them.

    Attributes:
        images: uint8 (N, 3, H, W), of any height and width.
        labels: int64 (N,).
        mean, std: per channel, of the training part, for pixel values from 0 to 1.
        source: int64 (N,), what each image was made from: a handwritten digit, a patient, a video.
            Images of one source are not independent, and intervals have to allow for that (see
            `measuring.accuracy_interval`). None: every image is a source of its own.
    """

    images: Tensor
    labels: Tensor
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: Tensor | None = None

    @classmethod
    def from_arrays(
        cls,
        images: Tensor | np.ndarray,
        labels: Tensor | np.ndarray,
        mean: tuple[float, float, float] | None = None,
        std: tuple[float, float, float] | None = None,
        source: Tensor | np.ndarray | None = None,
    ) -> "Split":
        """Make a split of your own images.

        Args:
            images: uint8 (N, 3, H, W), at least one.
            labels: integers (N,), of at least 0.
            mean, std: per channel, for pixel values from 0 to 1. Give those of the training images
                for every split; by default they are computed from `images`.
            source: integers (N,), equal for images that are not independent; by default all are.

        Raises:
            InputError: for another shape or type, or statistics that are no three numbers.

        >>> images = np.zeros((4, 3, 96, 64), np.uint8)
        >>> len(Split.from_arrays(images, np.array([0, 1, 0, 1])))
        4
        """
        images, labels = as_tensor("images", images), as_tensor("labels", labels)
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3:
            raise InputError(
                f"images is {images.dtype} of shape {tuple(images.shape)}: expected uint8 "
                "(N, 3, H, W), the channels before the rows and pixels from 0 to 255"
            )
        if labels.dim() != 1 or not holds_integers(labels):
            raise InputError(
                f"labels is {labels.dtype} of shape {tuple(labels.shape)}: expected integers (N,), "
                "the number of the class of each image"
            )
        if len(images) != len(labels) or not images.numel():
            raise InputError(
                f"{len(images)} images of {images.shape[2]}x{images.shape[3]} pixels and "
                f"{len(labels)} labels: expected as many of both, and at least one"
            )
        labels = labels.long()
        if (least := labels.min().item()) < 0:
            raise InputError(f"labels has {least}: expected the numbers of classes, from 0")
        if mean is None and std is None:
            mean, std = channel_statistics(images)
        mean, std = check_channels("mean", mean), check_channels("std", std)
        return cls(images, labels, mean, std, check_source(source, len(labels)))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | Tensor) -> "Split":
        """Return the images at a slice or an index tensor as a smaller split: `test[:500]`."""
        source = None if self.source is None else self.source[index]
        return replace(self, images=self.images[index], labels=self.labels[index], source=source)


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


def as_tensor(name: str, values: Tensor | np.ndarray) -> Tensor:
    """Return numbers as a tensor on the CPU."""
    if isinstance(values, Tensor):
        return values.detach().cpu()
    try:
        # A copy where torch cannot share the memory: read-only arrays, and those seen backwards.
        return torch.from_numpy(np.require(values, requirements=("C", "W")))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected a tensor or an array of numbers ({error})") from error


def holds_integers(values: Tensor) -> bool:
    """Return whether a tensor has integers in it, of whatever width; booleans are none."""
    return not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)


def check_channels(name: str, values: tuple[float, ...] | None) -> tuple[float, float, float]:
    """Return the statistics of three channels as floats."""
    try:
        numbers = tuple(map(float, values))
    except (TypeError, ValueError):
        numbers = ()
    least = 0 if name == "std" else -math.inf
    if len(numbers) != 3 or not all(least < number < math.inf for number in numbers):
        above = " above 0" if name == "std" else ""
        raise InputError(
            f"{name}={values!r}: expected three finite numbers{above}, one for each channel; or "
            "neither mean nor std, to compute both"
        )
    return numbers


def check_source(source: Tensor | np.ndarray | None, n: int) -> Tensor | None:
    """Return the sources of `n` images as int64, or None where every image is its own."""
    if source is None:
        return None
    source = as_tensor("source", source)
    if source.shape != (n,) or not holds_integers(source):
        raise InputError(
            f"source is {source.dtype} of shape {tuple(source.shape)}: expected integers ({n},), "
            "equal for images that come from one source; or None"
        )
    return source.long()


def make_dataset(name, classes, train, test, key, data_dir) -> Dataset:
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
