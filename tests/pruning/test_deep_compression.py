"""Deep Compression's codes against entropy, optimality conditions and round trips."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from tutorial_utils.errors import InputError
from tutorial_utils.models import resnet8
from tutorial_utils.pruning import deep_compression, huffman, masks


def skewed(n, n_kinds, seed=0):
    rng = np.random.default_rng(seed)
    return rng.geometric(0.3, n).clip(max=n_kinds) - 1


def entropy_bits(counts):
    p = counts[counts > 0] / counts.sum()
    return float(-(counts[counts > 0] * np.log2(p)).sum())


def test_kmeans_finds_clusters_that_are_far_apart():
    centres = torch.tensor([-5.0, -1.0, 2.0, 9.0])
    noise = 0.1 * torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    codebook, index = deep_compression.share_weights(centres + noise, 2)
    torch.testing.assert_close(codebook, (centres + noise).mean(0))
    assert torch.equal(index, torch.arange(4).expand(100, 4))


def test_kmeans_ends_where_neither_step_changes_anything():
    values = torch.randn(500, generator=torch.Generator().manual_seed(1))
    codebook, index = deep_compression.share_weights(values, 3, n_iterations=300)
    nearest = (values[:, None] - codebook).abs().argmin(1)
    assert torch.equal(index, nearest)
    means = torch.stack([values[index == k].mean() for k in index.unique()])
    torch.testing.assert_close(codebook[index.unique()], means)


def test_kmeans_is_closer_than_an_even_grid():
    values = torch.randn(1000, generator=torch.Generator().manual_seed(2))
    codebook, index = deep_compression.share_weights(values, 4)
    grid = torch.linspace(values.min(), values.max(), 16)
    on_grid = (values[:, None] - grid).abs().amin(1)
    assert (values - codebook[index]).square().mean() < on_grid.square().mean()


@pytest.mark.parametrize("values", [[3.0], [2.0, 2.0, 2.0], [0.0, 1.0]])
def test_kmeans_with_fewer_values_than_clusters_is_exact(values):
    values = torch.tensor(values)
    codebook, index = deep_compression.share_weights(values, 4)
    torch.testing.assert_close(codebook[index], values)


@pytest.mark.parametrize("n_bits", [0, 9, True, 2.0])
def test_bad_bits_are_refused(n_bits):
    with pytest.raises(InputError, match="n_bits"):
        deep_compression.share_weights(torch.ones(3), n_bits)


def test_values_that_cannot_be_ranked_are_refused():
    with pytest.raises(InputError, match="values"):
        deep_compression.share_weights(torch.tensor([1.0, torch.nan]), 2)


@pytest.mark.parametrize("n_bits", [1, 2, 4, 8])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
def test_positions_come_back(n_bits, density):
    kept = torch.rand(3, 700, generator=torch.Generator().manual_seed(3)) < density
    runs = huffman.zero_runs(kept, n_bits)
    expected = kept.flatten().nonzero().flatten().numpy()
    assert np.array_equal(huffman.positions(runs, n_bits), expected)
    assert len(runs) == 0 or runs.max() < 2**n_bits


def test_huffman_of_the_textbook():
    """Cormen et al., Introduction to Algorithms, figure 16.3: a to f, 224 (thousand) bits."""
    counts = np.array([45, 13, 12, 16, 9, 5])
    lengths = huffman.huffman_lengths(counts)
    assert lengths.tolist() == [1, 3, 3, 3, 4, 4]
    assert (counts * lengths).sum() == 224


@pytest.mark.parametrize("n_kinds", [2, 16, 200])
def test_huffman_is_within_one_bit_of_the_entropy_and_complete(n_kinds):
    counts = np.bincount(skewed(5000, n_kinds), minlength=n_kinds)
    lengths = huffman.huffman_lengths(counts)
    total = (counts * lengths).sum()
    assert entropy_bits(counts) <= total < entropy_bits(counts) + counts.sum()
    assert sum(2.0 ** -lengths[lengths > 0]) == 1  # Kraft: no word is wasted
    assert (lengths[counts == 0] == 0).all()


def test_huffman_meets_the_entropy_of_powers_of_two():
    counts = np.array([8, 4, 2, 1, 1])
    assert (counts * huffman.huffman_lengths(counts)).sum() == entropy_bits(counts)


def test_no_code_word_begins_another():
    words = list(huffman.code_words(huffman.huffman_lengths(np.arange(1, 40))).values())
    assert len(set(words)) == 39
    assert not [(a, b) for a in words for b in words if a != b and b.startswith(a)]


@pytest.mark.parametrize("symbols", [[], [7], [7, 7, 7], [0, 15, 3, 3], skewed(3000, 16)])
def test_a_stream_comes_back(symbols):
    symbols = np.array(symbols, dtype=np.int64)
    stream = huffman.huffman_encode(symbols, 16)
    assert np.array_equal(huffman.huffman_decode(stream), symbols)
    n_bits = (np.bincount(symbols, minlength=16) * stream.lengths).sum()
    assert len(stream.bits) == -(-n_bits // 8)


def trained_looking(sparsity=0.8, width=4):
    torch.manual_seed(0)
    model = resnet8(width=width)
    model.train()(torch.randn(64, 3, 32, 32))  # batch norms with statistics
    for bn in model.modules():
        if isinstance(bn, nn.BatchNorm2d):
            nn.init.uniform_(bn.weight, 0.5, 2)
            nn.init.normal_(bn.bias)
    masks.apply_masks_(model, masks.make_masks(model, sparsity))
    return model.eval()


def test_simple_batch_norms_compute_the_same():
    model = trained_looking()
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        expected = model(images)
        deep_compression.simplify_batch_norm_(model)
        torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)
    means = [bn.running_mean for bn in model.modules() if isinstance(bn, nn.BatchNorm2d)]
    assert not torch.cat(means).any()


def test_sharing_leaves_zeros_and_few_values():
    model = trained_looking()
    before = copy.deepcopy(model)
    deep_compression.share_weights_(model, 3)
    for name, layer in masks.prunable_layers(model).items():
        old = before.get_submodule(name).weight
        assert torch.equal(layer.weight == 0, old == 0)
        assert len(layer.weight.unique()) <= 9
        assert (layer.weight - old).abs().max() < 0.5 * old.abs().max()


@pytest.mark.parametrize(("value_bits", "run_bits"), [(4, 4), (2, 8), (8, 2)])
def test_a_packed_model_comes_back(value_bits, run_bits):
    model = trained_looking()
    deep_compression.simplify_batch_norm_(model)
    deep_compression.share_weights_(model, value_bits)
    content = deep_compression.pack(model, value_bits=value_bits, run_bits=run_bits)
    torch.manual_seed(1)
    copied = resnet8(width=4)
    deep_compression.unpack_(content, copied)
    for name, layer in masks.prunable_layers(model).items():
        assert torch.equal(layer.weight, copied.get_submodule(name).weight), name
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(copied(images), model(images), rtol=0, atol=0.05)


def test_each_stage_is_smaller_than_the_one_before():
    model = trained_looking(width=12)
    deep_compression.simplify_batch_norm_(model)
    n_weights = sum(layer.weight.numel() for layer in masks.prunable_layers(model).values())
    pruned = deep_compression.fixed_bytes(model, run_bits=4)
    shared = deep_compression.fixed_bytes(model, run_bits=4, value_bits=4)
    deep_compression.share_weights_(model, 4)
    coded = len(deep_compression.pack(model, value_bits=4, run_bits=4))
    assert 4 * n_weights > pruned > shared > coded


def test_fixed_bytes_by_hand():
    model = nn.Sequential(nn.Linear(8, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0, 0, 1, 0, 2, 0, 0, 3], [0] * 8]))
    # Three weights (12 bytes), three runs of 4 bits (2 bytes), two biases of 2 bytes.
    assert deep_compression.fixed_bytes(model, run_bits=4) == 12 + 2 + 4
    # Three indices of 2 bits (1 byte), a codebook of four floats (16), and as above.
    assert deep_compression.fixed_bytes(model, run_bits=4, value_bits=2) == 1 + 16 + 2 + 4


def test_packing_unshared_weights_is_refused():
    model = trained_looking()
    deep_compression.simplify_batch_norm_(model)
    with pytest.raises(InputError, match="share_weights_"):
        deep_compression.pack(model, value_bits=2, run_bits=4)


def test_statistics_that_would_be_lost_are_refused_by_name():
    model = trained_looking()
    deep_compression.share_weights_(model, 2)
    with pytest.raises(InputError, match="batch norm 'bn' .* simplify_batch_norm_"):
        deep_compression.pack(model, value_bits=2, run_bits=4)
    deep_compression.simplify_batch_norm_(model)
    model.stage1[0].bn2.running_var.mul_(2)
    with pytest.raises(InputError, match="'stage1.0.bn2'"):
        deep_compression.pack(model, value_bits=2, run_bits=4)


def test_a_truncated_stream_ends():
    stream = huffman.huffman_encode(np.array([3, 0, 3, 1, 2] * 9), 4)
    with pytest.raises(InputError, match="ends after .* of 45 symbols"):
        huffman.huffman_decode(stream._replace(bits=stream.bits[:-2]))


@pytest.mark.parametrize("damage", ["half", "empty", "one byte less", "other bytes", "wider"])
def test_damaged_bytes_are_refused_and_change_nothing(damage):
    model = trained_looking()
    deep_compression.simplify_batch_norm_(model)
    deep_compression.share_weights_(model, 2)
    good = deep_compression.pack(model, value_bits=2, run_bits=4)
    content = {
        "half": good[: len(good) // 2],
        "empty": b"",
        "one byte less": good[:-1],
        "other bytes": bytes(range(256)) * 20,
        "wider": good,
    }[damage]
    target = trained_looking(width=8 if damage == "wider" else 4).train()
    before = copy.deepcopy(target.state_dict())
    with pytest.raises(InputError, match="not a packed ResNet"):
        deep_compression.unpack_(content, target)
    assert target.training
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
