"""Oracles and typical mistakes for the exercises of chapter 1."""

import math

import torch
from torch import nn

from tutorial_utils.check.bugs_measuring import ACCURACY_ON
from tutorial_utils.check.comparing import COMPARE_MODELS
from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.measuring.counts import count_macs


def _conv_cases() -> list[Case]:
    def case(what: str, *layer: int, size: tuple[int, int] = (8, 8), **options: object) -> Case:
        args = {"conv": nn.Conv2d(*layer, **options), "height": size[0], "width": size[1]}
        return Case(what, args)

    return [
        case("a 1 x 1 convolution", 4, 6, 1),
        case("a 3 x 3 convolution, padded", 3, 8, 3, padding=1),
        case("a stride of 2: fewer output pixels", 4, 8, 3, padding=1, stride=2),
        case("no padding: fewer output pixels", 4, 4, 3, size=(6, 9)),
        case("a kernel that is not square", 4, 4, (3, 1), padding=(1, 0)),
        case(
            "kernel, stride and image that are not square",
            *(4, 2, (5, 3)),
            padding=(2, 0),
            stride=(1, 2),
            size=(7, 12),
        ),
        case("groups: each output reads a part of the inputs", 8, 8, 3, padding=1, groups=4),
    ]


def _macs(conv: nn.Conv2d, height: int, width: int) -> int:
    return count_macs(conv, torch.zeros(1, conv.in_channels, height, width))


def _macs_at_input_size(conv: nn.Conv2d, height: int, width: int) -> int:
    return conv.weight.numel() * height * width


def _macs_without_groups(conv: nn.Conv2d, height: int, width: int) -> int:
    return _macs(conv, height, width) * conv.groups


def _macs_of_one_side(conv: nn.Conv2d, height: int, width: int) -> int:
    return _macs(conv, height, width) // conv.kernel_size[0]


class _Machine:
    """A clock in seconds and a function to time, slow at first and disturbed now and then."""

    def __init__(self, usual_ms: float, n_slow: int, every: int, first: int = 0):
        self.usual_ms, self.n_slow, self.every, self.first = usual_ms, n_slow, every, first
        self.now, self.times_ms, self.n_read = 100.0, [], 0

    def run(self) -> None:
        number = len(self.times_ms)
        disturbed = self.every and number % self.every == self.first
        factor = 50 if number < self.n_slow else 20 if disturbed else 1
        self.times_ms.append(self.usual_ms * factor)
        self.now += self.times_ms[-1] / 1e3

    def clock(self) -> float:
        self.n_read += 1
        return self.now


def _timing_cases() -> list[Case]:
    machines = {
        "a steady machine, 2 ms for each call": _Machine(2.0, 0, 0),
        "the first three calls are slow": _Machine(2.0, 3, 0),
        "every seventh call is disturbed": _Machine(5.0, 0, 7),
        "a slow start and disturbed calls": _Machine(0.25, 3, 6),
    } | {
        # Whichever single call is trusted, on one of these machines it is a disturbed one.
        f"every third call is disturbed, from call {first + 1} on": _Machine(3.0, 0, 3, first)
        for first in range(3)
    }
    return [Case(what, {"run": m.run, "clock": m.clock}) for what, m in machines.items()]


def _judge_timing(answer: float, run, clock) -> tuple[str, str] | None:
    machine = run.__self__
    usual, times = machine.usual_ms, machine.times_ms
    expected = f"a time near {usual} ms, from at least 10 calls (yours: {len(times)})"
    if not machine.n_read:
        return expected, "read the clock that you are given: time passes on it, and not on yours"
    if math.isclose(answer, usual / 1e3, rel_tol=0.05):
        return expected, "the clock counts seconds, and milliseconds were asked for"
    if not math.isclose(answer, usual, rel_tol=0.05):
        if machine.n_slow and answer > sum(times) / max(len(times), 1) * 0.99:
            return expected, "the first calls warm up: make a few before you start to time"
        if machine.every:
            return expected, "a disturbed call takes far longer and moves the mean: use the median"
        return expected, "take the clock before and after a call, and subtract"
    if len(times) < 10:
        return expected, "one call says little: repeat it, and take the median"
    return None


def _right_timing(run, clock) -> float:
    times = []
    for _ in range(30):
        start = clock()
        run()
        times.append(1e3 * (clock() - start))
    return sorted(times)[15]


EXERCISES = (
    Exercise(
        1,
        "conv_macs",
        _conv_cases,
        _macs,
        (
            (
                lambda conv, height, width: 2 * _macs(conv, height, width),
                "that is the number of FLOPs: a multiply-accumulate is one MAC, and two FLOPs",
            ),
            (
                _macs_at_input_size,
                "count the pixels of the output: stride and padding decide how many there are",
            ),
            (
                _macs_without_groups,
                "with groups, an output channel reads in_channels / groups channels only",
            ),
            (_macs_of_one_side, "the kernel has two sides: k x k products for each input channel"),
            (
                lambda conv, height, width: _macs(conv, width, height),
                "height comes first in kernel_size, padding and stride, and width second",
            ),
        ),
        after="In practice a library counts them, and you check one layer by hand: groups, stride "
        "and a factor of 2 between MACs and FLOPs are where tables in papers differ.",
    ),
    COMPARE_MODELS,
    Exercise(
        1,
        "measure_ms",
        _timing_cases,
        _right_timing,
        judge=_judge_timing,
        after="The median fails where every second call is interrupted, and the minimum does not; "
        "that one fails where a clock now and then shows too little. In practice: warm up, time in "
        "turns what is compared, take the median, and show the spread.",
    ),
    ACCURACY_ON,
)
