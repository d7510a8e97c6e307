"""In which order the numbers of an image lie in memory while a network is trained."""

import torch
from torch import nn

from tutorial_utils.data.splits import Dataset, Split

TRIED_SIZE = 32  # pixels up to which the fast order was tried with narrow layers


def choose_layout(model: nn.Module, data: object, batch_size: int) -> torch.memory_format:
    """channels_last, which is faster, unless torch would write where it must not.

    The backward pass of a 1x1 convolution with a stride that reads fewer than 16 channels writes
    past its memory in that order (torch 2.14, AVX-512): seen with odd numbers of images and with
    images of 96 pixels, never with even batches of at most 32 pixels, which stay as they are.
    See uxlfoundation/oneDNN#6035.

    Args:
        model: what is trained.
        data: as for `fit`; of a data set or split the sizes of batches and images are known.
        batch_size: of those two.

    >>> choose_layout(nn.Conv2d(8, 16, 1, stride=2), [], 128)
    torch.contiguous_format
    >>> choose_layout(nn.Conv2d(16, 16, 1, stride=2), [], 128)
    torch.channels_last
    """
    narrow = any(
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.stride != (1, 1)
        and layer.in_channels < 16
        for layer in model.modules()
    )
    split = data.train if isinstance(data, Dataset) else data
    tried = (
        isinstance(split, Split)
        and batch_size % 2 == 0
        and max(split.images.shape[2:]) <= TRIED_SIZE
    )
    return torch.contiguous_format if narrow and not tried else torch.channels_last
