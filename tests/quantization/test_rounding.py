"""Better ranges, rounding and biases, against slow textbook versions and the float network."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tutorial_utils.deploying import compile_for_inference
from tutorial_utils.errors import InputError
from tutorial_utils.quantization import (
    affine,
    best_ptq,
    choose_bits,
    export_graph,
    gptq,
    least_squares_range,
    output_errors,
    quantize_ptq,
    quantize_weights,
    quantized_layers,
    rounding,
)
from tutorial_utils.storage import integer_weights


class Net(nn.Module):
    """Dense, grouped and depthwise convolutions, a residual sum and a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=2)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=2, dilation=2, groups=8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = torch.relu(self.bn(self.conv(x)))
        x = torch.relu(self.grouped(x) + x)
        return self.fc(torch.relu(self.depthwise(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    model = Net()
    model(images(64) * 2 + 1)  # statistics for the batch norm
    return model.eval()


def images(n=32, seed=0):
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def layer(seed=0, n_out=6, n_in=10):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(n_in, n_in, generator=generator)
    x = mix @ torch.randn(n_in, 200, generator=generator)
    return torch.randn(n_out, n_in, generator=generator), x


def textbook(weight, moments, scale, n_bits):
    """Optimal Brain Compression in the given order: the inverse anew for what is left."""
    low, high = affine.int_range(n_bits, signed=True)
    w, codes = weight.double().clone(), torch.zeros_like(weight)
    for i in range(w.shape[1]):
        inverse = torch.linalg.inv(moments[i:, i:])
        codes[:, i] = (w[:, i] / scale).round().clamp(low, high)
        error = w[:, i] - codes[:, i] * scale
        w[:, i:] -= torch.outer(error / inverse[0, 0], inverse[0])
    return codes.to(torch.int8)


@pytest.mark.parametrize("n_bits", [8, 3, 2])
def test_gptq_is_the_textbook_algorithm(n_bits):
    weight, x = layer()
    moments, scale = (x @ x.T).double(), weight.abs().amax(1) / 2 ** (n_bits - 1)
    want = textbook(weight, rounding.damped(moments), scale.double(), n_bits)
    assert torch.equal(gptq(weight, moments, scale, n_bits), want)


def test_gptq_is_better_for_the_output_and_worse_for_the_weights():
    ratios = []
    for seed in range(8):
        weight, x = layer(seed)
        scale = weight.abs().amax(1, keepdim=True) / 3.5
        nearest = (weight / scale).round().clamp(-4, 3) * scale
        chosen = gptq(weight, x @ x.T, scale[:, 0], 3) * scale
        assert (chosen - weight).norm() > (nearest - weight).norm()
        ratios.append((chosen @ x - weight @ x).norm() / (nearest @ x - weight @ x).norm())
    assert max(ratios) < 1 and sum(ratios) / len(ratios) < 0.85


def test_with_unrelated_inputs_gptq_rounds_to_the_nearest():
    weight, _ = layer()
    scale = torch.tensor(0.3)
    want = affine.quantize(weight, scale, 0, -8, 7)
    assert torch.equal(gptq(weight, torch.eye(10), scale, 4), want)
    assert torch.equal(gptq(weight, torch.zeros(10, 10), scale, 4), want)  # inputs always 0


def test_groups_are_rounded_each_by_itself():
    pairs = [layer(seed) for seed in range(3)]
    weight = torch.stack([w for w, _ in pairs])
    moments = torch.stack([x @ x.T for _, x in pairs])
    together = gptq(weight, moments, torch.full((3, 6), 0.5), 4)
    for i in range(3):
        assert torch.equal(together[i], gptq(weight[i], moments[i], torch.full((6,), 0.5), 4))
    with pytest.raises(InputError, match="expected .3, 10, 10."):
        gptq(weight, moments[0], torch.tensor(1.0), 4)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_columns_times_weights_are_the_convolution(groups):
    conv = nn.Conv2d(4, 8, (3, 2), (2, 1), (1, 2), (2, 1), groups, bias=False)
    x = torch.randn(3, 4, 9, 7)
    shape = (conv.stride, conv.padding, conv.dilation, groups)
    found = conv.weight.reshape(groups, 8 // groups, -1) @ rounding.columns(x, conv.weight, shape)
    want = conv(x)
    torch.testing.assert_close(found.reshape(8, 3, -1).transpose(0, 1), want.flatten(2))
    linear = nn.Linear(5, 2, bias=False)
    x = torch.randn(3, 4, 5)
    found = linear.weight @ rounding.columns(x, linear.weight, None)
    torch.testing.assert_close(found[0].T.reshape(3, 4, 2), linear(x))


@pytest.mark.parametrize("n_bits", [2, 3, 4])
def test_the_least_squares_range_is_the_best_of_a_fine_search(n_bits):
    x = torch.randn(4, 50, generator=torch.Generator().manual_seed(0)) ** 3
    low, high = least_squares_range(x, n_bits, axis=0)
    assert torch.equal(low, -high) and high.shape == (4,)

    def error(row, t):
        scale, _ = affine.affine_params(-t, t, n_bits, symmetric=True, signed=True)
        low, high = affine.int_range(n_bits, signed=True)
        return (affine.fake_quantize(row, scale, 0, low, high) - row).square().sum()

    for row, t in zip(x, high, strict=True):
        fine = min(error(row, row.abs().max() * k / 1000) for k in range(5, 1001, 5))
        assert error(row, t) <= 1.05 * fine
        assert error(row, t) <= error(row, row.abs().max())
    assert least_squares_range(x, n_bits)[1].shape == ()


def squared_error(model, quantized):
    x = images(64, seed=1)
    with torch.no_grad():
        return (quantized(x) - model(x)).square().mean().item()


@pytest.mark.parametrize("per_channel", [True, False])
def test_each_of_the_means_brings_the_output_nearer(net, per_channel):
    graph, x = export_graph(net, images()), images()
    steps = ({}, {"weight_range": "mse", "correct_bias": True}, {"rounding": "gptq"})
    errors, arguments = [], {}
    for step in steps:
        arguments |= step
        quantized = quantize_ptq(graph, x, n_bits=3, per_channel=per_channel, **arguments)
        errors.append(squared_error(net, quantized))
    assert errors[1] < 0.6 * errors[0] and errors[2] < errors[1]
    if per_channel:
        again = best_ptq(net, x, n_bits=3)
        assert squared_error(net, again) == pytest.approx(errors[2], rel=1e-3)


def test_the_corrected_mean_is_that_of_the_float_network(net):
    x = images()
    with torch.no_grad():
        want = net(x).mean(0)
        plain = quantize_ptq(net, x, n_bits=2)(x).mean(0)
        corrected = quantize_ptq(net, x, n_bits=2, correct_bias=True)(x).mean(0)
    torch.testing.assert_close(corrected, want, atol=1e-4, rtol=0)
    assert (plain - want).abs().max() > 0.01


def test_bits_by_layer_are_in_the_graph(net):
    x, bits = images(), {"conv": 5, "fc": 2}
    mixed = quantize_ptq(net, x, other_bits=bits, rounding="gptq")
    found = dict(zip(quantized_layers(mixed), integer_weights(mixed), strict=True))
    assert {name: n_bits for name, (_, n_bits, _) in found.items()} == {
        "conv": 5,
        "grouped": 8,
        "depthwise": 8,
        "fc": 2,
    }
    assert mixed.get_buffer(found["fc"][0]).unique().numel() <= 4
    coarse = quantize_ptq(net, x, other_bits=bits)
    assert squared_error(net, quantize_ptq(net, x)) < squared_error(net, mixed)
    assert squared_error(net, mixed) < squared_error(net, coarse)


def test_what_is_not_known_is_refused(net):
    x = images()
    for arguments, match in (
        ({"rounding": "gpt"}, "rounding='gpt'; did you mean 'gptq'"),
        ({"weight_range": "max"}, "weight_range='max'"),
    ):
        with pytest.raises(InputError, match=match):
            quantize_ptq(net, x, **arguments)
    with pytest.raises(InputError, match="weight_range='max'"):
        quantize_weights(net, 4, weight_range="max")


@pytest.mark.slow
def test_the_compiled_graph_computes_the_same(net):
    x = images()
    quantized = best_ptq(net, x, n_bits=4)
    with torch.no_grad():
        torch.testing.assert_close(
            compile_for_inference(quantized, x)(x), quantized(x), atol=0.05, rtol=0
        )


def test_the_greedy_bits_are_near_the_best_of_all(net):
    errors = output_errors(net, images(8), (8, 4, 2))
    sizes = {name: net.get_submodule(name).weight.numel() for name in errors}
    total = sum(sizes.values())
    assert choose_bits(errors, sizes, total) == dict.fromkeys(errors, 8)
    assert choose_bits(errors, sizes, total / 4) == dict.fromkeys(errors, 2)
    with pytest.raises(InputError, match="fewest bits"):
        choose_bits(errors, sizes, total / 4 - 1)

    def cost(bits):
        return sum(errors[name][b] for name, b in bits.items())

    for budget in (0.7 * total, 0.5 * total, 0.35 * total):
        bits = choose_bits(errors, sizes, budget)
        assert sum(sizes[name] * b / 8 for name, b in bits.items()) <= budget
        every = (dict(zip(errors, b, strict=True)) for b in itertools.product((8, 4, 2), repeat=4))
        allowed = [b for b in every if sum(sizes[n] * k / 8 for n, k in b.items()) <= budget]
        assert cost(bits) <= 2.5 * min(map(cost, allowed))
    assert F.mse_loss(
        quantize_weights(net, 2, only="fc", weight_range="mse")(images(8)), net(images(8))
    ).item() == pytest.approx(errors["fc"][2])
