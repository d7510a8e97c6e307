"""Whether bfloat16 pays is measured where there are instructions for it."""

import pytest
import torch

from tutorial_utils.training import has_fast_bf16, precision


@pytest.fixture(autouse=True)
def asked_anew():
    has_fast_bf16.cache_clear()
    yield
    has_fast_bf16.cache_clear()


# On processors with AVX512-BF16 and no AMX, a step of ResNet-20 took 0.6 or 1.2 of the time.
@pytest.mark.parametrize(("ratio", "fast"), [(0.6, True), (1.2, False), (0.95, False)])
def test_the_faster_one_is_chosen_if_it_is_clearly_faster(monkeypatch, ratio, fast):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    monkeypatch.setattr(precision, "step_s", lambda bf16: ratio if bf16 else 1.0)
    assert has_fast_bf16() is fast


def test_without_instructions_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(precision, "step_s", None)
    for capabilities in ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, {}):
        has_fast_bf16.cache_clear()
        monkeypatch.setattr(
            torch.cpu, "get_capabilities", lambda found=capabilities: found, raising=False
        )
        assert has_fast_bf16() is False
    has_fast_bf16.cache_clear()
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert has_fast_bf16() is False


def test_steps_take_time_in_both_precisions():
    assert precision.step_s(bf16=True) > 0 and precision.step_s(bf16=False) > 0
