"""What Deep Compression writes for each single weight, to be looked at."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from tutorial_utils.pruning.huffman import code_words, huffman_lengths, zero_runs


class CodedWeight(NamedTuple):
    """A weight that is not zero: where it is, and what is written for it.

    ``position`` is its index in memory order, ``value`` the number of its shared value, ``zeros``
    how many zeros stand before it, and ``words`` are the Huffman words of its value and of the
    zeros (more than one for a long run).
    """

    position: int
    value: int
    zeros: int
    words: tuple[str, ...]


def coded_weights(weight: Tensor, run_bits: int) -> list[CodedWeight]:
    """The weights of one layer as `pack` writes them, in memory order.

    Args:
        weight: of any shape, pruned and shared.
        run_bits: bits of a symbol of `zero_runs`.

    >>> import torch
    >>> coded_weights(torch.tensor([0.0, 0.0, 0.5, 0.5, 0.0, -0.5]), 2)[-1]
    CodedWeight(position=5, value=0, zeros=1, words=('0', '11'))
    """
    flat = weight.detach().flatten()
    positions = flat.nonzero().flatten().tolist()
    _, values = flat[flat != 0].unique(return_inverse=True)
    runs = zero_runs(flat != 0, run_bits)
    value_words, run_words = (
        code_words(huffman_lengths(np.bincount(symbols))) for symbols in (values.numpy(), runs)
    )
    found, waiting = [], []
    for symbol in runs.tolist():
        waiting.append(symbol)
        if symbol < 2**run_bits - 1:  # a weight, and not only zeros
            value = int(values[len(found)])
            words = (value_words[value], *(run_words[run] for run in waiting))
            found.append(CodedWeight(positions[len(found)], value, sum(waiting), words))
            waiting = []
    return found
