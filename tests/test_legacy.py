"""The eager flow: what fails without each mending, and agreement with PT2E once mended."""

import copy
import re
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
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


def test_plain_model_fails_at_its_first_convolution(small):
    for model in (small, resnet18(weights=None, num_classes=5)):
        converted = legacy.apply_recipe(model, inputs(2))
        with pytest.raises(NotImplementedError, match="Could not run 'quantized::conv2d.new'"):
            converted(inputs(2))


def test_with_stubs_it_fails_at_its_first_addition(small):
    for model in (small, resnet18(weights=None, num_classes=5)):
        converted = legacy.apply_recipe(legacy.add_stubs(model), inputs(2))
        with pytest.raises(NotImplementedError, match="Could not run 'aten::add.*QuantizedCPU"):
            converted(inputs(2))


def test_unfused_it_runs_with_integer_batch_norms(small):
    mended = legacy.add_stubs(legacy.replace_additions(small))
    converted = legacy.apply_recipe(mended, inputs(8))
    with torch.no_grad():
        unfused = (converted(inputs(8)) - small(inputs(8))).abs().mean()
        fused = (legacy.quantize_eager(small, inputs(8))(inputs(8)) - small(inputs(8))).abs().mean()
    assert fused < unfused
    batch_norms = [m for m in converted.modules() if type(m).__name__ == "BatchNorm2d"]
    assert batch_norms and all(hasattr(module, "zero_point") for module in batch_norms)


MODELS = {
    "resnet8": lambda: resnet8(width=4),
    "resnet18": lambda: resnet18(weights=None, num_classes=5),
    "mobilenet_v2": lambda: mobilenet_v2(weights=None, num_classes=5, width_mult=0.25),
    "quantizable_resnet18": lambda: quantizable_resnet18(quantize=False, num_classes=5),
}


@pytest.mark.parametrize("name", MODELS)
def test_mended_models_compute_the_same_in_float_and_nearly_in_integers(name):
    torch.manual_seed(0)
    model, x = with_statistics(MODELS[name](), inputs(8)), inputs(8)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        want = model(x)
        torch.testing.assert_close(legacy.make_quantizable(model)(x), want, atol=1e-4, rtol=1e-4)
        quantized = legacy.quantize_eager(model, x)
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
def test_training(name):
    torch.manual_seed(0)
    model = with_statistics(MODELS[name](), inputs(8))
    x, labels = inputs(8), torch.arange(8) % 5
    prepared = legacy.prepare_qat_eager(model)
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
        got = legacy.convert_eager(prepared)(x)
    assert (got - want).abs().max() < 0.2 * want.abs().max()
    assert prepared.eval()(x).requires_grad  # conversion worked on a copy


def test_eager_and_pt2e_agree_on_a_trained_network():
    data = load()
    model = load_baseline("resnet20", data)
    calibration, x = to_inputs(data.train[:200]), to_inputs(data.test[:500])
    with torch.no_grad():
        eager = legacy.quantize_eager(model, calibration)(x)
        pt2e = quantize_ptq(model, calibration)(x)
        assert agreement(eager, pt2e) >= 0.99
        assert agreement(eager, model(x)) >= 0.98


def test_operator_forms_of_an_addition_and_a_shared_relu():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn, self.relu = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU()

        def forward(self, x):
            y = self.relu(self.bn(self.conv(x)))
            y += x
            y = torch.add(self.relu(y), x)
            z = y + x
            return self.relu(z) + z + 0.5  # not a sum of two tensors; z has two users

    model = with_statistics(Net(), inputs(4))
    traced = legacy.replace_additions(model)
    assert [module.relu for module in traced.modules() if isinstance(module, legacy.Add)] == [
        True, False, False, False,
    ]  # fmt: skip
    with torch.no_grad():
        torch.testing.assert_close(traced(inputs(4)), model(inputs(4)))
        torch.testing.assert_close(legacy.fuse_layers(traced)(inputs(4)), model(inputs(4)))


def test_engine_is_put_back_and_backend_is_checked(small, monkeypatch):
    before = torch.backends.quantized.engine
    legacy.quantize_eager(small, inputs(2))
    assert torch.backends.quantized.engine == before
    with pytest.raises(InputError, match="backend='tpu'"):
        legacy.quantize_eager(small, inputs(2), backend="tpu")
    monkeypatch.setattr(legacy, "default_backend", lambda: "nowhere")
    with pytest.raises(InputError, match="expected one of"):
        legacy.quantize_eager(small, inputs(2))
    assert torch.backends.quantized.engine == before


def test_arm_engine_where_torch_has_it(small):
    if "qnnpack" not in torch.backends.quantized.supported_engines:
        pytest.skip("this build of torch has no QNNPACK")
    with torch.no_grad():
        got = legacy.quantize_eager(small, inputs(8), backend="arm")(inputs(8))
        torch.testing.assert_close(got, small(inputs(8)), atol=0.1, rtol=0)


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
        legacy.quantize_eager(small, inputs(2))(inputs(2))  # warnings are errors here
    prepared = legacy.prepare_qat_eager(small)
    prepared(inputs(2))
    legacy.convert_eager(prepared)(inputs(2))
    assert list(warnings.filters) == filters


def test_nothing_else_in_the_package_uses_the_deprecated_flow():
    used = re.compile(r"^\s*(from|import) torch\.(ao|quantization)\b|[^`]torch\.ao\.\w", re.M)
    users = {path.name for path in PACKAGE.rglob("*.py") if used.search(path.read_text())}
    assert users == {"legacy.py"}
