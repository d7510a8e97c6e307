"""From images to batches of inputs, varied at random for training."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_utils.data.splits import Split, holds_integers
from tutorial_utils.errors import InputError

LabelledBatches = Iterable[tuple[Tensor, Tensor]]  # a DataLoader, most often


def to_inputs(split: Split) -> Tensor:
    """Return the images of a split as a network takes them.

    Returns:
        float32 (N, 3, H, W), normalised per channel, in channels_last memory format.

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
        augment: changes the uint8 images of a batch, (N, 3, H, W).

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


def labelled_batches(
    source: Split | LabelledBatches, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Go once through a split, or through whatever yields batches: a `DataLoader`, a list.

    Args:
        source: a split, or an iterable of `(inputs, labels)`: inputs as the network takes them,
            floats (N, ...), and labels, integers (N,).
        batch_size: images per batch of a split; other sources have their own batches.

    Yields:
        inputs, and labels as int64 (N,).

    Raises:
        InputError: for a batch of anything else, or when there is none.

    >>> loader = [(torch.zeros(4, 3, 8, 8), torch.tensor([0, 1, 0, 1]))]
    >>> [len(labels) for _, labels in labelled_batches(loader, 500)]
    [4]
    """
    for batch in iterate(source, batch_size):
        if not (isinstance(batch, tuple | list) and len(batch) == 2):
            raise InputError(f"a batch is {describe(batch)}: expected (inputs, labels)")
        inputs, labels = check_inputs(batch[0]), batch[1]
        usable = isinstance(labels, Tensor) and holds_integers(labels)
        if not usable or labels.shape != (len(inputs),):
            raise InputError(
                f"the labels of a batch of {len(inputs)} are {describe(labels)}: expected integers "
                f"({len(inputs)},)"
            )
        yield inputs, labels.long()


def input_batches(
    source: Tensor | Split | LabelledBatches | Iterable[Tensor], batch_size: int
) -> Iterator[Tensor]:
    """Go once through inputs alone: those of a tensor, or of what `labelled_batches` takes.

    Args:
        source: inputs (N, ...), a split, or an iterable of `(inputs, labels)` or of inputs.
        batch_size: images per batch of a tensor or split; other sources have their own batches.

    Raises:
        InputError: as `labelled_batches`.
    """
    for batch in iterate(source, batch_size):
        has_labels = isinstance(batch, tuple | list) and len(batch) > 0
        yield check_inputs(batch[0] if has_labels else batch)


def first_inputs(source: Tensor | Split | LabelledBatches | Iterable[Tensor], n: int) -> Tensor:
    """Return the first `n` inputs of a source as `input_batches` takes it; fewer, if it has fewer.

    Raises:
        InputError: as `input_batches`; also for an iterator, which would lose what is taken here.

    >>> first_inputs([torch.zeros(4, 3, 8, 8), torch.zeros(4, 3, 8, 8)], 6).shape
    torch.Size([6, 3, 8, 8])
    """
    if isinstance(source, Iterator):
        raise InputError(
            f"{describe(source)} gives its batches only once: pass a DataLoader or a list of them"
        )
    taken, missing = [], n
    for inputs in input_batches(source, n):
        taken.append(inputs[:missing])
        missing -= len(taken[-1])
        if missing == 0:
            break
    return torch.cat(taken)


def iterate(source: object, batch_size: int) -> Iterator[object]:
    """Go once through the batches of a source, of which there must be at least one."""
    if isinstance(source, Split):
        source = batches(source, batch_size)
    elif isinstance(source, Tensor):
        source = source.split(batch_size)
    elif not isinstance(source, Iterable):
        raise InputError(
            "expected a Split (such as data.test), a DataLoader or another iterable of batches, "
            f"got {describe(source)}"
        )
    batch = None
    for batch in source:
        yield batch
    if batch is None:
        raise InputError(
            f"no batch in {describe(source)}: it is empty, or an iterator that was used before "
            "(pass a DataLoader or a list, which can be gone through again)"
        )


def check_inputs(inputs: object) -> Tensor:
    """Return the inputs of a batch if a network can take them."""
    is_float = isinstance(inputs, Tensor) and inputs.is_floating_point()
    if not is_float or inputs.dim() == 0 or inputs.numel() == 0:
        raise InputError(
            f"the inputs of a batch are {describe(inputs)}: expected floats (N, ...), normalised "
            "as the network takes them (`Split.from_arrays` takes images as uint8)"
        )
    return inputs


def describe(value: object) -> str:
    """Say in a message what was passed.

    >>> describe(torch.zeros(4, 3)), describe([1, 2, 3]), describe(0)
    ('float32 (4, 3)', 'a list of 3', 'an int')
    """
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}".removeprefix("torch.")
    kind = type(value).__name__
    kind = f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
    return f"{kind} of {len(value)}" if isinstance(value, tuple | list | dict) else kind


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
