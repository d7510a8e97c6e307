"""From images to batches of inputs, varied at random for training."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_utils.data.splits import Split


def to_inputs(split: Split) -> Tensor:
    """Return the images of a split as a network takes them.

    Returns:
        float32 (N, 3, 32, 32), normalised per channel, in channels_last memory format.

    >>> from tutorial_utils.data import load
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

    >>> from tutorial_utils.data import load
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
