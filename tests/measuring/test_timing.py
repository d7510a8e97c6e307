"""Timing against a clock of our own: no test here depends on how fast the machine is."""

import pytest
import torch
from torch import nn

from tutorial_utils.measuring import (
    Latency,
    by_type,
    describe_machine,
    measure_latency,
    speed_up,
    time_by_type,
    time_in_turns,
    timing,
)
from tutorial_utils.measuring.machine import cpu_name

NOTHING = torch.zeros(1)


class Clock:
    """Stands still until a call takes its time."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def run(self, name, *seconds):
        """A callable whose calls take the given times, again and again from the first."""
        done = []

        def call(inputs):
            self.calls.append(name)
            self.now += seconds[len(done) % len(seconds)]
            done.append(1)

        return call


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "timer", lambda: clock.now)
    return clock


def test_the_clock_is_the_one_that_waits_for_a_gpu():
    assert timing.timer is torch.utils.benchmark.timer


def test_the_median_and_the_quartiles_are_those_of_torch():
    times = torch.rand(15, dtype=torch.float64)
    latency = Latency(tuple(times.tolist()))
    first, median, third = times.quantile(torch.tensor([0.25, 0.5, 0.75]).double()).tolist()
    assert latency.median_ms == pytest.approx(median)
    assert latency.iqr_ms == pytest.approx(third - first)
    assert latency.spread == pytest.approx(third / times.min().item())


def test_models_are_timed_in_turns_after_a_warm_up_each_in_its_second_call(clock):
    # a model's first call after another one was called takes ten times as long
    short, long = clock.run("short", 0.05, 0.005), clock.run("long", 0.2, 0.02)
    latencies = time_in_turns([short, long], NOTHING, n_rounds=4)
    assert clock.calls == ["short", "short", "long", "long"] * 7
    assert latencies[0].times_ms == pytest.approx([5] * 4)
    assert latencies[1].times_ms == pytest.approx([20] * 4)
    assert all(latency.steady for latency in latencies)


def test_the_warm_up_is_not_timed(clock):
    run = clock.run("run", *[9.0] * 6, *[0.01] * 30)
    assert measure_latency(run, NOTHING).times_ms == pytest.approx([10] * 15)


def test_short_calls_are_repeated_until_a_clock_can_tell(clock):
    latency = measure_latency(clock.run("run", 0.00001), NOTHING, n_rounds=3)
    assert latency.times_ms == pytest.approx([0.01] * 3)
    assert len(clock.calls) >= 3 * 0.002 / 0.00001


def test_a_busy_machine_is_noticed_after_three_attempts(clock):
    slow_at_times = clock.run("busy", 0.01, 0.01, 0.01, 0.03)  # every second time counts
    quiet, busy = time_in_turns([clock.run("quiet", 0.01), slow_at_times], NOTHING, n_rounds=10)
    assert quiet.steady and not busy.steady
    assert clock.calls.count("busy") == 2 * (3 + 3 * 10)
    assert sorted(set(map(round, busy.times_ms))) == [10, 30]


def test_slow_models_are_not_timed_again_for_ever(clock):
    latency = measure_latency(clock.run("busy", 1, 1, 1, 3), NOTHING, n_rounds=10)
    assert not latency.steady and len(clock.calls) == 2 * (3 + 10)


def test_a_disturbance_that_ends_is_repeated_away(clock):
    disturbed = ([0.01, 0.01, 0.01, 0.03] * 7)[:26]  # warm-up and the first ten rounds
    run = clock.run("run", *disturbed, *[0.01] * 100)
    latency = measure_latency(run, NOTHING, n_rounds=10)
    assert latency.steady and latency.times_ms == pytest.approx([10] * 10)
    assert len(clock.calls) == 2 * (3 + 2 * 10)


def test_one_slow_call_disturbs_nothing(clock):
    run = clock.run("run", *[0.01] * 15, 0.5, *[0.01] * 20)
    latency = measure_latency(run, NOTHING)
    assert latency.steady and max(latency.times_ms) == pytest.approx(500)
    assert len(clock.calls) == 2 * (3 + 15)


def test_a_speed_up_is_paired_by_round():
    before, after = Latency((2.0, 20.0, 4.0, 6.0, 2.0)), Latency((1.0, 10.0, 2.0, 3.0, 1.0))
    ratio, skip = speed_up(before, after)
    assert ratio == 2 and "busy" in skip  # what slows a round slows both
    assert speed_up(Latency((2.0, 2.2, 2.1)), Latency((1.0, 1.0, 1.0))) == (2.1, None)
    unsteady = Latency((1.0, 2.0, 3.0))
    assert speed_up(unsteady, Latency((1.0,) * 3)).skip and speed_up(Latency((1.0,)), unsteady).skip


def test_times_of_different_numbers_of_rounds_are_compared_by_their_medians():
    assert speed_up(Latency((3.0, 3.0)), Latency((1.0, 1.0, 1.1))).ratio == 3


def test_twice_the_work_takes_longer():
    inputs = torch.randn(256, 256)
    runs = [lambda x: x @ x, lambda x: [x @ x for _ in range(20)]]
    once, often = time_in_turns(runs, inputs)
    assert speed_up(often, once).ratio > 4


def test_all_threads_of_the_process_are_used_without_gradients():
    weight, seen = torch.ones(1, requires_grad=True), set()
    measure_latency(
        lambda x: seen.add((torch.get_num_threads(), (x * weight).requires_grad)), NOTHING
    )
    assert seen == {(torch.get_num_threads(), False)}


def test_modules_are_timed_in_eval_mode_and_stay_as_they_are():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout().eval())
    before, modes = model.state_dict()["0.running_mean"].clone(), set()
    model.register_forward_hook(lambda module, *_: modes.add(module.training))
    time_in_turns([model, torch.relu], torch.randn(4, 3), n_rounds=2)
    assert modes == {False} and torch.equal(model[0].running_mean, before)
    assert [module.training for module in model.modules()] == [True, True, False]


def test_the_machine_is_named():
    assert cpu_name().strip()
    machine = describe_machine()
    assert machine["torch"] == torch.__version__ and machine["ISA"]


def test_time_goes_to_the_type_of_the_layer_that_took_it(clock, monkeypatch):
    monkeypatch.setattr(by_type, "timer", lambda: clock.now)

    class Slow(nn.Module):
        def __init__(self, seconds):
            super().__init__()
            self.seconds = seconds

        def forward(self, x):
            clock.now += self.seconds
            return x

    class Fast(Slow):
        pass

    class Model(nn.Sequential):
        def forward(self, x):
            clock.now += 5
            return super().forward(x)

    model = Model(Slow(2), Fast(1), Slow(3)).train()
    times = time_by_type(model, NOTHING, n_calls=3)
    assert times == pytest.approx({"Slow": 5000, "Fast": 1000, "the rest": 5000})
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
