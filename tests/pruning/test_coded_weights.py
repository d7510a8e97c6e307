"""The words of single weights are those of the streams."""

import numpy as np
import torch

from tutorial_utils.pruning import coded_weights, huffman_encode, zero_runs


def bits_of(symbols):
    stream = huffman_encode(symbols, int(symbols.max()) + 1)
    return "".join(map(str, np.unpackbits(np.frombuffer(stream.bits, np.uint8))))


def test_the_words_of_the_weights_in_their_order_are_the_streams():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randint(-3, 4, (30, 40), generator=generator).float()
    weight[torch.rand(30, 40, generator=generator) < 0.8] = 0  # some runs are longer than a symbol
    coded = coded_weights(weight, 2)
    assert any(len(one.words) > 2 for one in coded)

    _, values = weight[weight != 0].unique(return_inverse=True)
    written = "".join(one.words[0] for one in coded)
    assert bits_of(values.numpy()).startswith(written)
    assert len(bits_of(values.numpy())) - len(written) < 8
    runs = zero_runs(weight != 0, 2)
    written = "".join("".join(one.words[1:]) for one in coded)
    assert bits_of(runs).startswith(written) and len(bits_of(runs)) - len(written) < 8


def test_positions_and_zeros_lead_back_to_the_weights():
    weight = torch.tensor([[0.0, 0.5, 0.0], [0.0, 0.0, -0.5], [0.5, 0.0, 0.0]])
    coded = coded_weights(weight, 4)
    assert [one.position for one in coded] == [1, 5, 6]
    assert [one.zeros for one in coded] == [1, 3, 0]
    assert [one.value for one in coded] == [1, 0, 1]
