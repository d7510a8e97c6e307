"""Few bits for frequent symbols: short distances between weights, and a Huffman code.

Source: Han et al. 2016, "Deep Compression", sections 2 and 4; Huffman 1952.
"""

import heapq
from typing import NamedTuple

import numpy as np
from torch import Tensor

from tutorial_utils.errors import InputError


def zero_runs(kept: Tensor, n_bits: int) -> np.ndarray:
    """Where the weights are, as numbers of zeros before each, in symbols of `n_bits` bits.

    The largest symbol stands for that many zeros and no weight after them, so that any distance
    can be written. (Han et al. write a weight of zero there, which comes to the same.)

    Args:
        kept: bool, any shape, True where a weight is.
        n_bits: bits of a symbol, 1 to 8.

    Returns:
        uint8 symbols, from which `positions` gets the indices in memory order.

    >>> import torch
    >>> zero_runs(torch.tensor([0, 0, 1, 1, 0, 0, 0, 0, 1]).bool(), 2).tolist()
    [2, 0, 3, 1]
    """
    where = kept.flatten().nonzero().flatten().numpy()
    zeros = np.diff(where, prepend=-1) - 1
    longest = 2**n_bits - 1
    symbols = np.full(len(zeros) + int((zeros // longest).sum()), longest, dtype=np.uint8)
    symbols[np.cumsum(zeros // longest + 1) - 1] = zeros % longest
    return symbols


def positions(symbols: np.ndarray, n_bits: int) -> np.ndarray:
    """The indices that `zero_runs` wrote down.

    >>> positions(np.array([2, 0, 3, 1], dtype=np.uint8), 2).tolist()
    [2, 3, 8]
    """
    longest = 2**n_bits - 1
    is_weight = symbols < longest
    return (np.cumsum(symbols.astype(np.int64) + is_weight) - 1)[is_weight]


def huffman_lengths(counts: np.ndarray) -> np.ndarray:
    """Bits of each symbol in a Huffman code: many for the rare ones, few for the frequent ones.

    Args:
        counts: how often each symbol occurs.

    Returns:
        int64 lengths; 0 for a symbol that does not occur, and at least 1 for one that does.

    Source: Huffman 1952, "A method for the construction of minimum-redundancy codes".

    >>> huffman_lengths(np.array([5, 1, 0, 2])).tolist()
    [1, 2, 0, 2]
    """
    lengths = np.zeros(len(counts), dtype=np.int64)
    heap = [(int(count), [symbol]) for symbol, count in enumerate(counts) if count > 0]
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
    heapq.heapify(heap)
    while len(heap) > 1:  # join the two rarest groups: each of their symbols gets one more bit
        (n_first, first), (n_second, second) = heapq.heappop(heap), heapq.heappop(heap)
        lengths[first + second] += 1
        heapq.heappush(heap, (n_first + n_second, first + second))
    return lengths


def code_words(lengths: np.ndarray) -> dict[int, str]:
    """The words of a prefix code with these lengths: rising, shorter ones first.

    A decoder needs the lengths alone to get the same words (a canonical code).

    >>> code_words(np.array([1, 2, 0, 2]))
    {0: '0', 1: '10', 3: '11'}
    """
    words, code, previous = {}, 0, 0
    for length, symbol in sorted((n, s) for s, n in enumerate(lengths.tolist()) if n):
        code <<= length - previous
        words[symbol] = f"{code:0{length}b}"
        code, previous = code + 1, length
    return words


class Stream(NamedTuple):
    """Symbols in a Huffman code: the length of each word, how many symbols, and their bits."""

    lengths: np.ndarray
    n_symbols: int
    bits: bytes


def huffman_encode(symbols: np.ndarray, n_kinds: int) -> Stream:
    """Write symbols, integers from 0 to `n_kinds` - 1, in the Huffman code of their counts.

    >>> huffman_encode(np.array([0, 0, 1, 0]), 2).bits       # 0010 and four bits to fill the byte
    b' '
    """
    lengths = huffman_lengths(np.bincount(symbols, minlength=n_kinds))
    words = code_words(lengths)
    text = "".join([words[symbol] for symbol in symbols.tolist()])
    bits = np.frombuffer(text.encode(), dtype=np.uint8) - ord("0")
    return Stream(lengths, len(symbols), np.packbits(bits).tobytes())


def huffman_decode(stream: Stream) -> np.ndarray:
    """The symbols that `huffman_encode` was given, as uint8.

    Raises:
        InputError: a stream that ends too early.

    >>> huffman_decode(huffman_encode(np.array([3, 0, 3]), 4)).tolist()
    [3, 0, 3]
    """
    symbol_of = {word: symbol for symbol, word in code_words(stream.lengths).items()}
    bits = "".join(map("01".__getitem__, np.unpackbits(np.frombuffer(stream.bits, np.uint8))))
    symbols, start, end = [], 0, 1
    while len(symbols) < stream.n_symbols:
        if end > len(bits):
            raise InputError(
                f"the stream ends after {len(symbols)} of {stream.n_symbols} symbols: it is "
                "truncated, or not in this code"
            )
        if (symbol := symbol_of.get(bits[start:end])) is not None:
            symbols.append(symbol)
            start = end
        end += 1
    return np.array(symbols, dtype=np.uint8)
