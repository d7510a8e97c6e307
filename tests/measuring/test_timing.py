"""Latencies are compared within one run; no absolute time is asserted."""

import time

import torch

from tutorial_utils.measuring import describe_machine, measure_latency, time_in_turns
from tutorial_utils.measuring.machine import cpu_name
from tutorial_utils.training import has_fast_bf16


def test_the_median_is_the_time_of_one_call():
    latency = measure_latency(lambda inputs: time.sleep(0.02), torch.zeros(1), seconds=0.2)
    assert 20 <= latency.median_ms < 200
    assert latency.iqr_ms < latency.median_ms


def test_twice_the_work_takes_longer():
    inputs = torch.randn(256, 256)
    once = measure_latency(lambda x: x @ x, inputs, seconds=0.1)
    often = measure_latency(lambda x: [x @ x for _ in range(20)], inputs, seconds=0.1)
    assert often.median_ms > 4 * once.median_ms


def test_the_warm_up_is_not_timed():
    calls = []

    def run(inputs):
        calls.append(1)
        time.sleep(0.3 if len(calls) <= 3 else 0.001)

    assert measure_latency(run, torch.zeros(1), seconds=0.05).median_ms < 150


def test_all_threads_of_the_process_are_used():
    seen = []
    measure_latency(lambda x: seen.append(torch.get_num_threads()), torch.zeros(1), seconds=0.01)
    assert set(seen) == {torch.get_num_threads()}


def test_gradients_are_off():
    weight = torch.ones(1, requires_grad=True)
    seen = []
    measure_latency(lambda x: seen.append((x * weight).requires_grad), torch.ones(1), seconds=0.01)
    assert not any(seen)


def test_models_are_timed_in_turns_after_a_warm_up_each_in_its_second_call():
    calls = []

    def call(name, seconds):
        first = len(calls) % 2 == 0
        calls.append(name)
        assert torch.is_inference_mode_enabled()
        time.sleep(0.1 if first or len(calls) <= 12 else seconds)

    runs = [lambda x: call("short", 0.005), lambda x: call("long", 0.02)]
    short, long = time_in_turns(runs, torch.zeros(1), n_rounds=4)
    assert calls == ["short", "short", "long", "long"] * 7
    assert len(short) == len(long) == 4
    assert 5 <= short.min() and short.median() < 20 <= long.min() and long.median() < 100


def test_bf16_is_fast_where_the_processor_says_so(monkeypatch):
    for capabilities, fast in (
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"avx2": True, "avx512_bf16": False}, False),
    ):
        monkeypatch.setattr(
            torch.cpu, "get_capabilities", lambda found=capabilities: found, raising=False
        )
        assert has_fast_bf16() is fast
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert has_fast_bf16() is False


def test_the_machine_is_named():
    assert cpu_name().strip()
    machine = describe_machine()
    assert machine["torch"] == torch.__version__ and machine["ISA"]
