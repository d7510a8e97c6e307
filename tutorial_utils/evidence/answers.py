"""Which images a model got right, as a text short enough to be stored with each training."""

import numpy as np
import torch
from torch import Tensor


def pack_answers(correct: Tensor) -> str:
    """Write bools (N,) as a text of N / 4 letters.

    >>> pack_answers(torch.tensor([True, False, False, False, True]))
    '88'
    """
    return np.packbits(correct.numpy()).tobytes().hex()


def unpack_answers(text: str, n: int) -> Tensor:
    """Read the first n bools of a text that `pack_answers` wrote.

    >>> unpack_answers("88", 5).tolist()
    [True, False, False, False, True]
    """
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=n)
    return torch.from_numpy(bits).bool()
