"""The affine quantizer against torch's own, bit by bit, and against examples worked by hand."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from tutorial_utils.errors import InputError
from tutorial_utils.logs import errors_only
from tutorial_utils.quantization import affine, ranges, weights

with errors_only("torch.utils._pytree"), warnings.catch_warnings():
    warnings.filterwarnings("ignore", "`torch.jit.script_method` is deprecated")  # torch 2.11
    from torchao.quantization import pt2e as torchao_observers

SCHEMES = [
    (n_bits, symmetric, signed)
    for n_bits in range(2, 9)
    for symmetric in (True, False)
    for signed in (True, False)
]


def observed(x, n_bits, symmetric, signed, axis=None):
    """Scale and zero point by torch's own observer for the same scheme."""
    qmin, qmax = affine.int_range(n_bits, signed)
    shared = {
        "dtype": torch.int8 if signed else torch.uint8,
        "quant_min": qmin,
        "quant_max": qmax,
    }
    if axis is None:
        qscheme = torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine
        observer = torchao_observers.MinMaxObserver(qscheme=qscheme, **shared)
    else:
        qscheme = torch.per_channel_symmetric if symmetric else torch.per_channel_affine
        observer = torchao_observers.PerChannelMinMaxObserver(
            ch_axis=axis, qscheme=qscheme, **shared
        )
    observer(x)
    return observer.calculate_qparams()


def quantized_by_torch(x, scale, zero_point, dtype, axis=None):
    """Integers by torch's quantized tensors, whose deprecation is the only warning silenced."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*")
        if axis is None:
            return torch.quantize_per_tensor(x, scale, zero_point, dtype)
        return torch.quantize_per_channel(x, scale, zero_point, axis, dtype)


def samples(seed):
    """Tensors (4, 3, 5) that lie around 0, above it, below it, and at 0."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 3, 5, generator=generator) * 10 ** torch.randn(4, 1, 1, generator=generator)
    return [x, x.abs() + 0.7, -x.abs() - 0.7, torch.zeros_like(x), x * 1e-7]


def test_int_range_by_hand():
    assert affine.int_range(8, signed=True) == (-128, 127)
    assert affine.int_range(8, signed=False) == (0, 255)
    assert affine.int_range(2, signed=True) == (-2, 1)
    assert affine.int_range(3, signed=False) == (0, 7)


@pytest.mark.parametrize("n_bits, symmetric, signed", SCHEMES)
def test_params_equal_those_of_torch_observers(n_bits, symmetric, signed):
    for seed in range(5):
        for x in samples(seed):
            for axis in (None, 0, 1, 2):
                scale, zero_point = affine.affine_params(
                    *ranges.minmax_range(x, axis), n_bits, symmetric=symmetric, signed=signed
                )
                want_scale, want_zero_point = observed(x, n_bits, symmetric, signed, axis)
                assert torch.equal(scale.reshape(-1), want_scale)
                assert torch.equal(zero_point.reshape(-1).long(), want_zero_point.long())
                assert scale.shape == (() if axis is None else (x.shape[axis],))


def test_params_by_hand():
    scale, zero_point = affine.affine_params(-1.0, 2.0, 2, symmetric=False, signed=False)
    assert (scale.item(), zero_point.item()) == (1.0, 1)
    scale, zero_point = affine.affine_params(-1.0, 3.0, 3, symmetric=True, signed=True)
    assert (scale.item(), zero_point.item()) == (pytest.approx(3 / 3.5), 0)
    # A range that misses 0 is widened to contain it.
    assert affine.affine_params(2.0, 5.1, 8, symmetric=False, signed=False)[1].item() == 0
    assert affine.affine_params(-5.1, -2.0, 8, symmetric=False, signed=False)[1].item() == 255


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
def test_integers_equal_those_of_torch(symmetric, signed):
    dtype = torch.qint8 if signed else torch.quint8
    qmin, qmax = affine.int_range(8, signed)
    for x in samples(1) + samples(2):
        for axis in (None, 0, 1, 2):
            scale, zero_point = affine.affine_params(
                *ranges.minmax_range(x, axis), 8, symmetric=symmetric, signed=signed
            )
            wide = 1.5 * x  # half as much again, so that some values are clamped
            q = affine.quantize(wide, scale, zero_point, qmin, qmax, axis)
            want = quantized_by_torch(wide, scale, zero_point, dtype, axis)
            assert q.dtype == want.int_repr().dtype
            assert torch.equal(q, want.int_repr())
            assert torch.equal(affine.dequantize(q, scale, zero_point, axis), want.dequantize())


def test_ties_go_to_the_even_neighbour_and_scale_is_inverted_first():
    ties = torch.arange(-20, 20) / 2
    assert affine.quantize(torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5]), 1.0, 0, -8, 7).tolist() == [
        0, 2, 2, 0, -2,
    ]  # fmt: skip
    for zero_point in (0, 3):
        want = quantized_by_torch(ties, 1.0, zero_point, torch.qint8).int_repr()
        assert torch.equal(affine.quantize(ties, 1.0, zero_point, -128, 127), want)
    # FBGEMM's own example: 127.5 by x * (1 / scale), but 127.499992 by x / scale.
    x, scale = torch.tensor([0.273939937]), torch.tensor(0.00214854861)
    assert affine.quantize(x, scale, 0, 0, 255).item() == 128
    assert quantized_by_torch(x, scale, 0, torch.quint8).int_repr().item() == 128


@pytest.mark.parametrize("n_bits, symmetric, signed", SCHEMES)
def test_quantizing_what_was_read_back_changes_nothing(n_bits, symmetric, signed):
    qmin, qmax = affine.int_range(n_bits, signed)
    every_q = torch.arange(qmin, qmax + 1, dtype=torch.int8 if signed else torch.uint8)
    for low, high in [(-1.0, 1.0), (-0.013, 7.7), (-3e4, 0.2), (0.0, 0.1)]:
        scale, zero_point = affine.affine_params(
            low, high, n_bits, symmetric=symmetric, signed=signed
        )
        x = affine.dequantize(every_q, scale, zero_point)
        assert torch.equal(affine.quantize(x, scale, zero_point, qmin, qmax), every_q)


def test_error_inside_the_range_is_at_most_half_a_step():
    x = torch.linspace(-2, 5, 10001)
    for n_bits in range(2, 9):
        scale, zero_point = affine.affine_params(
            *ranges.minmax_range(x), n_bits, symmetric=False, signed=False
        )
        q = affine.quantize(x, scale, zero_point, *affine.int_range(n_bits, False))
        error = (affine.dequantize(q, scale, zero_point) - x).abs()
        # The zero point is rounded too, so the outermost step may stick out by half a step.
        assert error.median() <= 0.26 * scale and error.max() <= 1.001 * scale
        assert q.min() == 0 and q.max() == 2**n_bits - 1


@pytest.mark.parametrize("n_bits, symmetric, signed", SCHEMES)
def test_fake_quantize_values_and_gradients_equal_those_of_torch(n_bits, symmetric, signed):
    qmin, qmax = affine.int_range(n_bits, signed)
    for x in samples(3):
        for axis in (None, 0, 1):
            scale, zero_point = affine.affine_params(
                *ranges.minmax_range(x, axis), n_bits, symmetric=symmetric, signed=signed
            )
            ours = (1.5 * x).requires_grad_()
            theirs = ours.detach().clone().requires_grad_()
            y = affine.fake_quantize(ours, scale, zero_point, qmin, qmax, axis)
            if axis is None:
                want = torch.fake_quantize_per_tensor_affine(theirs, scale, zero_point, qmin, qmax)
            else:
                want = torch.fake_quantize_per_channel_affine(
                    theirs, scale, zero_point, axis, qmin, qmax
                )
            upstream = torch.randn(x.shape, generator=torch.Generator().manual_seed(4))
            y.backward(upstream)
            want.backward(upstream)
            assert torch.equal(y, want)
            assert torch.equal(ours.grad, theirs.grad)


def test_fake_quantize_is_dequantized_quantize():
    x = samples(5)[0]
    scale, zero_point = affine.affine_params(
        *ranges.minmax_range(x, 0), 4, symmetric=False, signed=True
    )
    q = affine.quantize(x, scale, zero_point, -8, 7, 0)
    assert torch.equal(
        affine.fake_quantize(x, scale, zero_point, -8, 7, 0),
        affine.dequantize(q, scale, zero_point, 0),
    )


def test_straight_through_gradient_is_the_slope_of_the_staircase():
    # Over one whole step the staircase climbs by exactly one scale: slope 1, the gradient.
    scale = 0.25
    x = torch.tensor([-9.0, -0.7, 0.01, 0.4, 9.0], requires_grad=True)
    y = affine.fake_quantize(x, scale, 0, -8, 7)
    y.sum().backward()
    with torch.no_grad():
        step = affine.fake_quantize(x + scale, scale, 0, -8, 7) - y
    torch.testing.assert_close(step / scale, x.grad)
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_minmax_range_by_hand():
    x = torch.tensor([[[1.0, -2.0], [0.5, 4.0]], [[-1.0, 3.0], [0.0, 0.0]]])  # (2, 2, 2)
    assert [v.item() for v in ranges.minmax_range(x)] == [-2, 4]
    low, high = ranges.minmax_range(x, axis=1)
    assert low.tolist() == [-2, 0] and high.tolist() == [3, 4]
    low, high = ranges.minmax_range(x, axis=-1)
    assert low.tolist() == [-1, -2] and high.tolist() == [1, 4]


@pytest.mark.parametrize("percent", [100, 99.9, 99, 50, 1])
def test_percentile_range_equals_numpy(percent):
    x = torch.randn(4321, generator=torch.Generator().manual_seed(6))
    low, high = ranges.percentile_range(x, percent)
    tail = (100 - percent) / 200
    assert low.item() == np.quantile(x.numpy(), tail, method="lower")
    assert high.item() == np.quantile(x.numpy(), 1 - tail, method="higher")


def test_percentile_range_of_100_is_minmax():
    x = samples(7)[0]
    assert ranges.percentile_range(x, 100) == ranges.minmax_range(x)


def squared_error(x, low, high, n_bits, symmetric):
    scale, zero_point = affine.affine_params(
        low, high, n_bits, symmetric=symmetric, signed=symmetric
    )
    qmin, qmax = affine.int_range(n_bits, symmetric)
    return ((affine.fake_quantize(x, scale, zero_point, qmin, qmax) - x) ** 2).mean().item()


@pytest.mark.parametrize("n_bits", [2, 3, 4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_histogram_range_is_the_best_of_a_brute_force_search(n_bits, symmetric):
    x = torch.randn(20000, generator=torch.Generator().manual_seed(8)) + 0.4 * (not symmetric)
    low, high = ranges.histogram_range(x, n_bits, symmetric=symmetric)
    found = squared_error(x, low, high, n_bits, symmetric)
    lowest, highest = x.min().item(), x.max().item()
    if symmetric:
        top = max(-lowest, highest)
        tried = [(-t * top, t * top) for t in np.linspace(0.1, 1, 41)]
    else:
        fractions = np.linspace(0.1, 1, 21)
        tried = [(a * lowest, b * highest) for a in fractions for b in fractions]
    best = min(squared_error(x, a, b, n_bits, symmetric) for a, b in tried)
    assert found <= 1.02 * best
    assert lowest <= low <= 0 <= high <= max(highest, -lowest)


def test_histogram_range_after_relu_keeps_zero_and_clips_the_outlier():
    x = torch.randn(20000, generator=torch.Generator().manual_seed(9)).relu()
    x[0] = 60.0
    low, high = ranges.histogram_range(x, 4)
    assert low == 0 and 2 < high < 20
    assert squared_error(x, low, high, 4, False) < 0.4 * squared_error(x, 0.0, 60.0, 4, False)


def test_histogram_range_is_no_worse_than_torch_histogram_observer():
    for seed, n_bits in [(10, 8), (11, 4), (12, 3)]:
        x = torch.randn(20000, generator=torch.Generator().manual_seed(seed)).relu() ** 2
        observer = torchao_observers.HistogramObserver(
            dtype=torch.uint8, quant_min=0, quant_max=2**n_bits - 1
        )
        observer(x)
        scale, zero_point = observer.calculate_qparams()
        theirs = torch.fake_quantize_per_tensor_affine(x, scale, zero_point.int(), 0, 2**n_bits - 1)
        ours = squared_error(x, *ranges.histogram_range(x, n_bits), n_bits, False)
        assert ours <= 1.02 * ((theirs - x) ** 2).mean().item()


def test_histogram_range_of_a_constant():
    assert ranges.histogram_range(torch.zeros(5), 8) == (0, 0)
    low, high = ranges.histogram_range(torch.full((5,), -3.0), 8)
    assert (low.item(), high.item()) == (-3, 0)


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    )


@pytest.mark.parametrize("per_channel", [True, False])
def test_quantize_weights_equals_torch_layer_by_layer(per_channel):
    model = small_net()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    quantized = weights.quantize_weights(model, 3, per_channel=per_channel)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    for name in ("0.weight", "4.weight"):
        weight = before[name]
        if per_channel:
            scale, _ = observed(weight, 3, True, True, 0)
            zeros = torch.zeros(len(scale), dtype=torch.int32)
            want = torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -4, 3)
        else:
            scale, zero = observed(weight, 3, True, True)
            want = torch.fake_quantize_per_tensor_affine(weight, scale, zero.int(), -4, 3)
        assert torch.equal(quantized.state_dict()[name], want)
        assert not torch.equal(want, weight)
    for name in ("0.bias", "1.weight", "4.bias"):
        assert torch.equal(quantized.state_dict()[name], before[name])


def test_quantize_weights_only():
    model = small_net()
    quantized = weights.quantize_weights(model, 2, only=["4"])
    assert torch.equal(quantized[0].weight, model[0].weight)
    assert not torch.equal(quantized[4].weight, model[4].weight)
    none = weights.quantize_weights(model, 2, only=[])
    assert torch.equal(none[4].weight, model[4].weight)


@pytest.mark.parametrize("n_bits", [1, 9, 0, -4, 8.0, "8", True, None])
def test_bad_bit_widths_are_refused(n_bits):
    with pytest.raises(InputError, match="n_bits"):
        affine.int_range(n_bits, signed=True)
    with pytest.raises(InputError, match="n_bits"):
        weights.quantize_weights(small_net(), n_bits)


@pytest.mark.parametrize(
    "call",
    [
        lambda: affine.affine_params(float("nan"), 1.0, 8, symmetric=True, signed=True),
        lambda: affine.affine_params(-1.0, float("inf"), 8, symmetric=True, signed=True),
        lambda: affine.affine_params(2.0, 1.0, 8, symmetric=True, signed=True),
        lambda: affine.affine_params(torch.zeros(2), torch.ones(3), 8, symmetric=True, signed=True),
        lambda: affine.quantize(torch.tensor([float("nan")]), 1.0, 0, -8, 7),
        lambda: affine.fake_quantize(torch.tensor([float("inf")]), 1.0, 0, -8, 7),
        lambda: affine.quantize(torch.tensor([]), 1.0, 0, -8, 7),
        lambda: affine.quantize(torch.tensor([1, 2]), 1.0, 0, -8, 7),
        lambda: affine.quantize(torch.ones(2), 0.0, 0, -8, 7),
        lambda: affine.quantize(torch.ones(2), -1.0, 0, -8, 7),
        lambda: affine.quantize(torch.ones(2), float("nan"), 0, -8, 7),
        lambda: affine.quantize(torch.ones(2), torch.ones(2), 0, -8, 7),
        lambda: affine.quantize(torch.ones(2, 2), torch.ones(3), 0, -8, 7, axis=0),
        lambda: affine.quantize(torch.ones(2), 1.0, 0, 7, -8),
        lambda: affine.quantize(torch.ones(2), 1.0, 0, -1, 255),
        lambda: affine.quantize(torch.ones(2), 1.0, 99, -8, 7),
        lambda: affine.fake_quantize(torch.ones(2), 1.0, 99, -8, 7),
        lambda: ranges.minmax_range(torch.tensor([])),
        lambda: ranges.percentile_range(torch.ones(3), 0),
        lambda: ranges.percentile_range(torch.ones(3), 101),
        lambda: ranges.percentile_range(torch.tensor([float("nan")]), 99),
        lambda: ranges.histogram_range(torch.tensor([float("inf")]), 8),
        lambda: ranges.histogram_range(torch.ones(3), 9),
        lambda: weights.quantize_weights(small_net(), 4, only=["1"]),
        lambda: weights.quantize_weights(small_net(), 4, only="conv1"),
        lambda: weights.quantize_weights(nn.ReLU(), 4),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InputError) as error:
        call()
    assert "\n" not in str(error.value)


def test_nan_weights_are_refused():
    model = small_net()
    model[4].weight.data[0, 0] = float("nan")
    with pytest.raises(InputError, match="NaN"):
        weights.quantize_weights(model, 8)
