"""The older flow: agreement with the float model and with PT2E, and what it leaves alone."""

import copy
import re
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.ao import quantization as tq
from torchvision.models import mobilenet_v2, resnet18
from torchvision.models.quantization import resnet18 as quantizable_resnet18

from tutorial_utils import legacy
from tutorial_utils.data import load, to_inputs
from tutorial_utils.errors import InputError
from tutorial_utils.models import load_baseline, resnet8
from tutorial_utils.quantization import quantize_ptq

PACKAGE = Path(legacy.__file__).parent


def inputs(n, size=32):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(n + size))


def with_statistics(model, x):
    model.train()
    with torch.no_grad():
        model(x)
    return model.eval()


@pytest.fixture
def small():
    torch.manual_seed(0)
    return with_statistics(resnet8(width=4), inputs(16))


def agreement(ours, theirs):
    return (ours.argmax(1) == theirs.argmax(1)).float().mean().item()


@pytest.mark.parametrize(
    "wrap, failure",
    [
        (nn.Sequential, "Could not run 'quantized::conv2d.new'"),
        (tq.QuantWrapper, "Could not run 'aten::add.*QuantizedCPU"),
    ],
)
def test_the_recipe_without_tracing_fails_at_the_first_image(small, wrap, failure):
    """Why the model has to be traced or mended, as chapter 3 tells it."""
    with legacy.silenced(), torch.no_grad():
        model = wrap(small)
        model.qconfig = tq.get_default_qconfig("x86")
        tq.prepare(model, inplace=True)(inputs(2))
        converted = tq.convert(model, inplace=True)
    with pytest.raises(NotImplementedError, match=failure):
        converted(inputs(2))


MODELS = {
    "resnet8": lambda: resnet8(width=4),
    "resnet18": lambda: resnet18(weights=None, num_classes=5),
    "mobilenet_v2": lambda: mobilenet_v2(weights=None, num_classes=5, width_mult=0.25),
    "quantizable_resnet18": lambda: quantizable_resnet18(quantize=False, num_classes=5),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.slow
def test_integers_compute_nearly_the_same(name):
    torch.manual_seed(0)
    model, x = with_statistics(MODELS[name](), inputs(8)), inputs(8)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        want = model(x)
        quantized = legacy.quantize_ptq(model, x)
        assert (quantized(x) - want).abs().max() < 0.2 * want.abs().max()
        assert quantized(x[:1]).shape == (1, want.shape[1])
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    kinds = {type(module) for module in quantized.modules()}
    assert not kinds & {nn.Conv2d, nn.Linear, nn.BatchNorm2d}
    if name != "quantizable_resnet18":  # which has no float counterpart for PT2E
        with torch.no_grad():
            pt2e = quantize_ptq(model, x)(x)
        assert (quantized(x) - pt2e).abs().max() < 0.2 * want.abs().max()


@pytest.mark.parametrize("name", ["resnet8", "quantizable_resnet18"])
@pytest.mark.slow
def test_training(name):
    torch.manual_seed(0)
    model = with_statistics(MODELS[name](), inputs(8))
    x, labels = inputs(8), torch.arange(8) % 5
    prepared = legacy.prepare_qat(model)
    assert prepared.training
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.02, momentum=0.9)
    losses = []
    for _ in range(8):
        losses.append(nn.functional.cross_entropy(prepared(x), labels))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    with torch.no_grad():
        want = prepared.eval()(x)
        got = legacy.finish_qat(prepared)(x)
    assert (got - want).abs().max() < 0.2 * want.abs().max()
    assert prepared.eval()(x).requires_grad  # conversion worked on a copy


@pytest.mark.slow
def test_the_older_flow_and_pt2e_agree_on_a_trained_network():
    data = load()
    model = load_baseline("resnet20", data)
    calibration, x = data.train[:200], to_inputs(data.test[:500])
    with torch.no_grad():
        older = legacy.quantize_ptq(model, calibration)(x)
        pt2e = quantize_ptq(model, calibration)(x)
        assert agreement(older, pt2e) >= 0.99
        assert agreement(older, model(x)) >= 0.98


def test_engine_is_put_back_and_backend_is_checked(small, monkeypatch):
    before = torch.backends.quantized.engine
    legacy.quantize_ptq(small, inputs(2))
    assert torch.backends.quantized.engine == before
    with pytest.raises(InputError, match="backend='tpu'"):
        legacy.quantize_ptq(small, inputs(2), backend="tpu")
    monkeypatch.setattr(legacy, "default_backend", lambda: "nowhere")
    for prepare in (legacy.prepare_qat, lambda model: legacy.quantize_ptq(model, inputs(2))):
        with pytest.raises(InputError, match="expected one of"):
            prepare(small)
    assert torch.backends.quantized.engine == before


def test_arm_engine_where_torch_has_it(small):
    if "qnnpack" not in torch.backends.quantized.supported_engines:
        pytest.skip("this build of torch has no QNNPACK")
    with torch.no_grad():
        got = legacy.quantize_ptq(small, inputs(8), backend="arm")(inputs(8))
        torch.testing.assert_close(got, small(inputs(8)), atol=0.1, rtol=0)


def test_activations_have_seven_bits_only_where_sums_are_short(small, monkeypatch):
    for vnni, top in ((True, 255), (False, 127)):
        monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda vnni=vnni: vnni)
        prepared = legacy.prepare_qat(small, backend="x86")
        tops = {
            m.quant_max
            for m in prepared.modules()
            if isinstance(m, tq.FakeQuantize) and m.dtype == torch.quint8
        }
        assert tops == {top}


def test_only_notes_of_deprecation_are_silenced():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with legacy.silenced():
            warnings.warn("torch.ao.quantization is deprecated and will go", stacklevel=1)
            warnings.warn("your scale is deprecated", stacklevel=1)
    assert [str(w.message) for w in seen] == ["your scale is deprecated"]


def test_the_whole_flow_warns_of_nothing_and_leaves_filters_alone(small):
    filters = list(warnings.filters)
    with torch.no_grad():
        legacy.quantize_ptq(small, inputs(2))(inputs(2))  # warnings are errors here
    prepared = legacy.prepare_qat(small)
    prepared(inputs(2))
    legacy.finish_qat(prepared)(inputs(2))
    assert list(warnings.filters) == filters


def test_nothing_else_in_the_package_uses_the_deprecated_flow():
    used = re.compile(r"^\s*(from|import) torch\.(ao|quantization)\b|[^`]torch\.ao\.\w", re.M)
    users = {path.name for path in PACKAGE.rglob("*.py") if used.search(path.read_text())}
    assert users == {"legacy.py"}
