"""Sparse storage: round trips, and sizes against what torch and zlib really hold."""

import warnings
import zlib

import pytest
import torch
from torch import nn

from tutorial_utils.errors import InputError
from tutorial_utils.pruning import (
    apply_masks_,
    bitmask_decode,
    bitmask_encode,
    make_masks,
    mask_from_scores,
    storage_bytes,
    to_csr,
)


def sparse_weight(shape, sparsity, dtype=torch.float32):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return (weight * mask_from_scores(weight.abs(), sparsity)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(16, 3, 3, 3), (7, 5), (1,), (9,)])
def test_bitmask_round_trip(shape, sparsity, dtype):
    weight = sparse_weight(shape, sparsity, dtype)
    decoded = bitmask_decode(bitmask_encode(weight))
    assert decoded.dtype == dtype and torch.equal(decoded, weight)


def test_bitmask_round_trip_keeps_the_order_of_a_channels_last_weight():
    weight = sparse_weight((8, 4, 3, 3), 0.5).to(memory_format=torch.channels_last)
    assert torch.equal(bitmask_decode(bitmask_encode(weight)), weight)


def test_bitmask_of_nothing_but_zeros():
    code = bitmask_encode(torch.zeros(3, 4))
    assert code.values.numel() == 0 and not code.bits.any()
    assert torch.equal(bitmask_decode(code), torch.zeros(3, 4))


def test_csr_multiplies_like_the_dense_matrix_and_does_not_warn():
    weight = sparse_weight((16, 8, 3, 3), 0.8)
    columns = torch.randn(72, 10, generator=torch.Generator().manual_seed(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        product = to_csr(weight) @ columns
    torch.testing.assert_close(product, weight.flatten(1) @ columns)
    assert torch.equal(to_csr(weight).to_dense().view(weight.shape), weight)


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.95])
def test_csr_bytes_are_those_of_torch_csr(sparsity):
    weight = sparse_weight((16, 8, 3, 3), sparsity)
    csr = to_csr(weight)
    held = csr.values().nbytes + csr.col_indices().nbytes + csr.crow_indices().nbytes
    assert csr.crow_indices().dtype == torch.int32
    assert storage_bytes(weight, "csr") == held


def test_sizes_by_hand():
    weight = sparse_weight((10, 100), 0.8)  # 200 values of 1000 left
    assert storage_bytes(weight, "dense") == 4000
    assert storage_bytes(weight, "bitmask") == 1000 / 8 + 200 * 4
    assert storage_bytes(weight, "csr") == 200 * 4 + 200 * 4 + 11 * 4
    assert storage_bytes(weight, "zlib") == len(zlib.compress(weight.numpy().tobytes(), 9))
    assert storage_bytes(weight.bfloat16(), "bitmask") == 1000 / 8 + 200 * 2


def test_csr_is_larger_than_dense_below_half_and_bitmask_almost_never():
    assert storage_bytes(sparse_weight((64, 576), 0.4), "csr") > 64 * 576 * 4
    assert storage_bytes(sparse_weight((64, 576), 0.6), "csr") < 64 * 576 * 4
    assert storage_bytes(sparse_weight((64, 576), 0.04), "bitmask") < 64 * 576 * 4
    assert storage_bytes(sparse_weight((64, 576), 0.02), "bitmask") > 64 * 576 * 4


def test_a_model_is_the_sum_of_its_tensors():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 4))
    apply_masks_(model, make_masks(model, 0.5))
    state = model.state_dict()
    for format in ("dense", "bitmask", "csr", "zlib"):
        expected = sum(
            storage_bytes(tensor, format if name in ("0.weight", "3.weight") else "dense")
            for name, tensor in state.items()
        )
        assert storage_bytes(model, format) == expected
    assert storage_bytes(model, "dense") == 4 * (216 + 8 + 4 * 8 + 32 + 4) + 8  # and one counter


def test_dense_bytes_do_not_depend_on_zeros():
    assert storage_bytes(torch.zeros(5, 5), "dense") == storage_bytes(torch.ones(5, 5), "dense")


def test_refusals():
    with pytest.raises(InputError, match="format='gzip': expected one of dense, bitmask"):
        storage_bytes(torch.zeros(3), "gzip")
    with pytest.raises(InputError, match="nothing to prune"):
        storage_bytes(nn.BatchNorm2d(3), "dense")
