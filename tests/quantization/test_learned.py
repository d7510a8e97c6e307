"""Learned scales against torch's own operator, and what training with them converts to."""

import pytest
import torch
from torch import nn

from tutorial_utils.data import load, to_inputs
from tutorial_utils.errors import InputError
from tutorial_utils.models import load_baseline
from tutorial_utils.quantization import (
    affine_params,
    fake_quantize,
    finish_qat,
    first_scale,
    freeze_late_,
    freeze_observers_,
    int_range,
    learned_fake_quantize,
    minmax_range,
    prepare_qat,
    ptq,
    quantize_ptq,
    quantized_layers,
)
from tutorial_utils.quantization.conv_bn import ConvBN
from tutorial_utils.quantization.quantizers import (
    LearnedFakeQuantize,
    MovingAveragePerChannelMinMaxObserver,
)


@pytest.fixture(scope="module")
def trained():
    """The shipped ResNet-8, 64 images and their labels."""
    data = load()
    return load_baseline("resnet8", data), to_inputs(data.train[:64]), data.train[:64].labels


def step_(prepared, x, labels, n_steps=2):
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.01)
    prepared.train()
    for _ in range(n_steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(prepared(x), labels).backward()
        optimizer.step()
    return prepared.eval()


@pytest.mark.parametrize("n_bits", [2, 4, 8])
def test_values_and_gradients_are_those_of_torch(n_bits):
    qmin, qmax = int_range(n_bits, signed=True)
    generator = torch.Generator().manual_seed(n_bits)
    x = torch.randn(6, 50, generator=generator)
    scale = torch.rand(6, generator=generator) + 0.1
    upstream = torch.randn(6, 50, generator=generator)
    ours = [x.clone().requires_grad_(), scale.clone().requires_grad_()]
    theirs = [x.clone().requires_grad_(), scale.clone().requires_grad_()]
    y = learned_fake_quantize(*ours, qmin, qmax, axis=0)
    want = torch._fake_quantize_learnable_per_channel_affine(
        *theirs, torch.zeros(6), 0, qmin, qmax, 1.0
    )
    assert torch.equal(y, want)
    assert torch.equal(y, fake_quantize(x, scale, 0, qmin, qmax, axis=0))
    y.backward(upstream)
    want.backward(upstream)
    torch.testing.assert_close(ours[0].grad, theirs[0].grad)
    torch.testing.assert_close(ours[1].grad, theirs[1].grad)


def test_a_scale_learns_to_make_nearly_the_least_error():
    x = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor(0.3, requires_grad=True)
    optimizer = torch.optim.SGD([scale], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        (learned_fake_quantize(x, scale, -2, 1) - x).square().mean().backward()
        optimizer.step()
    # Straight through the rounding its gradient is not exact, so it comes near, no more.
    error, *tried = (
        (fake_quantize(x, s, 0, -2, 1) - x).square().mean().item()
        for s in (scale.detach(), *torch.linspace(0.3, 2.0, 171))
    )
    assert error < 1.02 * min(tried)


def test_the_first_scale_is_no_coarser_than_min_max():
    channels = torch.randn(3, 400, generator=torch.Generator().manual_seed(0))
    top = channels.abs().amax(1)
    torch.testing.assert_close(first_scale(channels, 2), 2 * channels.abs().mean(1))
    torch.testing.assert_close(first_scale(channels, 8), top / 127.5)
    assert (first_scale(torch.zeros(2, 4), 2) > 0).all()


def test_bad_input_is_refused():
    for scale in (torch.tensor(0.0), torch.tensor([1.0, 1.0])):
        with pytest.raises(InputError, match="scale"):
            learned_fake_quantize(torch.ones(3), scale, -2, 1)
    with pytest.raises(InputError, match="x"):
        learned_fake_quantize(torch.tensor([float("nan")]), torch.tensor(1.0), -2, 1)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("n_bits", [2, 4])
@pytest.mark.slow
def test_the_converted_model_is_the_one_that_was_trained(trained, n_bits, per_channel):
    model, x, labels = trained
    prepared = prepare_qat(
        model,
        x,
        n_bits=n_bits,
        learned_scales=True,
        other_bits={"conv": 8, "fc": 8},
        per_channel=per_channel,
    )
    first = {name: value.clone() for name, value in scales(prepared).items()}
    step_(prepared, x, labels)
    assert len(first) == 10  # every convolution and the linear layer
    assert all(not torch.equal(first[name], s) for name, s in scales(prepared).items())
    with torch.no_grad():
        want, got = prepared(x), finish_qat(prepared)(x)
    assert torch.equal(got.argmax(1), want.argmax(1))
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def scales(prepared):
    return {
        name: module.scale
        for name, module in prepared.named_modules()
        if isinstance(module, LearnedFakeQuantize)
    }


def test_frozen_scales_stay(trained):
    model, x, labels = trained
    prepared = prepare_qat(model, x, n_bits=2, learned_scales=True)
    freeze_observers_(prepared)
    first = {name: value.clone() for name, value in scales(prepared).items()}
    step_(prepared, x, labels)
    assert all(torch.equal(first[name], s) for name, s in scales(prepared).items())


def test_the_gradient_of_a_scale_is_divided_by_the_root_of_its_sum():
    def gradient(n_weights):
        quantizer = LearnedFakeQuantize.with_args(
            observer=MovingAveragePerChannelMinMaxObserver,
            quant_min=-8,
            quant_max=7,
            dtype=torch.int8,
            qscheme=torch.per_channel_symmetric,
            ch_axis=0,
        )()
        weight = torch.tensor([[1.0, -0.4, 0.3, 0.7]]).repeat(1, n_weights // 4)
        quantizer(weight).sum().backward()
        return quantizer.scale.grad.item()

    assert gradient(400) == pytest.approx(10 * gradient(4), rel=1e-4)  # 100 terms, root of 100


def learned_layer(gamma):
    """A convolution with its batch norm, whose channels have the factors `gamma`."""
    torch.manual_seed(0)
    conv, bn = nn.Conv2d(3, len(gamma), 3, bias=False), nn.BatchNorm2d(len(gamma), momentum=1.0)
    bn.weight.data = torch.tensor(gamma)
    quantizer = LearnedFakeQuantize.with_args(
        observer=MovingAveragePerChannelMinMaxObserver,
        quant_min=-2,
        quant_max=1,
        dtype=torch.int8,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
    )
    layer = ConvBN(conv, bn, quantizer())
    layer.eval()(torch.zeros(1, 3, 8, 8))  # makes the scales
    return layer


def test_in_training_a_layer_computes_what_it_will_compute_with_these_statistics():
    layer, x = learned_layer([0.1, 1.0, 7.0, -0.5]), torch.randn(400, 3, 8, 8)
    with torch.no_grad():
        training = layer.train()(x)  # the momentum of 1 makes these the stored statistics
        deployed = layer.eval()(x)
    torch.testing.assert_close(training, deployed, rtol=1e-3, atol=1e-3)


def test_the_integers_do_not_follow_the_statistics():
    # With a scale for the folded weight, a larger variance would make the weights small against it.
    layer = learned_layer([0.1, 1.0, 7.0, -0.5])
    with torch.no_grad():
        first = layer.rounded_weight()
        layer.bn.running_var.mul_(100)
        later = layer.rounded_weight()
    assert first.abs().amax() > 0
    torch.testing.assert_close(later * 10, first, rtol=1e-3, atol=1e-6)


def test_scale_and_weight_learn_at_one_rate_whatever_batch_norm_multiplies_with():
    x, labels = torch.randn(64, 3, 8, 8), torch.arange(64) % 4
    rates = []
    for gamma, variance in ((1.0, 1.0), (1.0, 100.0)):
        layer = learned_layer(4 * [gamma])
        layer.bn.running_var.fill_(variance)
        torch.nn.functional.cross_entropy(layer.train()(x).mean((2, 3)), labels).backward()
        scale, weight = layer.weight_fake_quant.scale, layer.conv.weight
        of_scale, of_weight = ((v.grad.norm() / v.detach().norm()).item() for v in (scale, weight))
        rates.append(of_scale / of_weight)
    assert rates[1] == pytest.approx(rates[0], rel=1e-3)


@pytest.mark.parametrize("quantize", ["ptq", "qat"])
def test_single_layers_have_their_own_bits(trained, quantize):
    model, x, _ = trained
    options = {"n_bits": 2, "other_bits": {"conv": 8, "stage2": 4}}
    if quantize == "ptq":
        finished = quantize_ptq(model, x, **options)
    else:
        finished = finish_qat(prepare_qat(model, x, learned_scales=True, **options))
    nodes = [node for node in finished.graph.nodes if node.target in ptq.WEIGHTED]
    for name, node in zip(quantized_layers(finished), nodes, strict=True):
        n_values = len(getattr(finished, node.args[1].args[0].target).unique())
        if name == "conv":
            assert 16 < n_values
        elif name.startswith("stage2"):
            assert 4 < n_values <= 16
        else:
            assert n_values <= 4


def test_unknown_names_of_layers_are_refused(trained):
    model, x, _ = trained
    with pytest.raises(InputError, match="other_bits='con': no module of that name"):
        quantize_ptq(model, x, other_bits={"con": 8})
    with pytest.raises(InputError, match="n_bits is 9"):
        prepare_qat(model, x, other_bits={"conv": 9})


def test_the_range_of_a_weight_is_that_of_the_present_weight(trained):
    # Were it an average over steps, as that of an activation, it would lag behind.
    model, x, _ = trained
    prepared = prepare_qat(model, x, n_bits=2)
    layers = [module for module in prepared.modules() if isinstance(module, ConvBN)]
    with torch.no_grad():
        for layer in layers:
            layer.conv.weight.mul_(3)
        present = [layer.folded_weight() for layer in layers]
        prepared.train()(x)
    assert len(layers) == 9
    for layer, weight in zip(layers, present, strict=True):
        low, high = minmax_range(weight, axis=0)
        scale, _ = affine_params(low, high, 2, symmetric=True, signed=True)
        torch.testing.assert_close(layer.weight_fake_quant.scale, scale)


@pytest.mark.parametrize(("n_steps", "first"), [(10, 8), (78, 63)])
def test_freezing_late_is_for_the_last_fifth_of_the_steps(n_steps, first):
    layer = ConvBN(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Identity())
    frozen = []
    for step in range(1, n_steps + 1):
        freeze_late_(step, n_steps, nn.Sequential(layer))
        frozen.append(layer.frozen)
    assert frozen.index(True) + 1 == first and all(frozen[first:])
