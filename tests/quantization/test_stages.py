"""A network on its way through PT2E, and in bfloat16."""

import torch
from torch import nn

from tutorial_utils.measuring import size_bytes
from tutorial_utils.quantization import Bfloat16, half, pt2e_stages


def test_each_step_leaves_the_convolution_and_changes_what_is_around_it():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    stages = pt2e_stages(model.eval(), torch.rand(4, 3, 8, 8))
    assert stages["exported"] == ["conv2d", "batch_norm", "relu", "conv2d"]
    weight, value = "observer of the weight", "observer"
    want = [weight, value, "conv2d", "relu", weight, value, "conv2d"]
    assert sorted(stages["prepared"]) == sorted(want)
    pair = ["quantize_per_tensor", "dequantize_per_tensor"]
    weights = ["dequantize_per_channel of the weight"] * 2
    assert stages["converted"] == [*weights, *pair, "conv2d", "relu", *pair, "conv2d"]


def test_bfloat16_computes_in_it_and_halves_the_file():
    model = nn.Sequential(nn.Flatten(), nn.Linear(300, 40), nn.BatchNorm1d(40)).eval()
    half_model = Bfloat16(model).eval()
    assert model[1].weight.dtype == torch.float32
    assert half_model.model[1].weight.dtype == torch.bfloat16
    x = torch.rand(5, 3, 10, 10)
    with torch.no_grad():
        assert half_model(x).dtype == torch.float32
        assert 0 < (half_model(x) - model(x)).abs().max() < 0.05
    assert 0.49 < size_bytes(half_model) / size_bytes(model) < 0.52
    assert Bfloat16(model.train()).training


def test_the_reason_for_no_bf16(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert "bfloat16" in half.why_no_bf16()
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert half.why_no_bf16() is None
