"""`make fooled`: no fault of one operator is accepted, and no right answer is refused.

`EQUIVALENT` lists the faults that are none, each with the proof. In an exercise that is judged by
what comes out (a range, a rounding, a choice of layers) a fault in the search is none if what it
finds is as good as was asked for.
"""

import signal

import pytest
from mutations import mutants
from right_answers import RIGHT
from solved import UNSCORED, solution_sources, written
from test_examine import WRONG

from tutorial_utils import check
from tutorial_utils.check.examine import examine

GRADIENT = {"distillation_loss", "compare_features"}
JUDGED = "the check measures what is found, and that is as good as was asked for"
CLOSE = "within the twentieth that the text allows"
FACTOR = "a loss may have any factor, and scores are only ranked"

EQUIVALENT = {
    "conv_macs": {
        "conv.in_channels // conv.groups -> conv.in_channels / conv.groups": "groups divide "
        "in_channels, and a float that is a whole number is accepted",
    },
    "measure_ms": {
        "5 -> 6": JUDGED, "5 -> 4": JUDGED, "21 -> 22": JUDGED, "21 -> 20": JUDGED,
        "2 -> 3": "the lower third is as undisturbed as the middle",
        "1000.0 -> 1001.0": CLOSE, "1000.0 -> 999.0": CLOSE,
    },
    "choose_range": {
        change: JUDGED
        for change in ("0.0 -> 1.0", "0.1 -> -0.9", "1 -> 2", "16 -> 17", "16 -> 15", "0 -> 1")
    } | {"(x - (q - zero_point) * scale).square().mean -> "
         "(x - (q - zero_point) * scale).square().sum": FACTOR},
    "keep_in_float": {
        change: JUDGED
        for change in ("0.0 -> 1.0", "choice[1] > best[-1][1] -> choice[1] >= best[-1][1]",
                       "-choice[1] -> choice[1]", "0 -> 1", "1 -> 0")
    },
    "round_with_data": {
        change: JUDGED
        for change in (
            "torch.round(weight / scale).clamp(qmin, qmax) -> torch.round(weight / scale)",
            "torch.round(weight / scale).clamp(qmin, qmax) -> "
            "torch.round(weight / scale).clamp(qmin)",
            "20 -> 21", "20 -> 19", "torch.round -> torch.floor", "torch.round -> torch.ceil",
            "torch.round -> torch.trunc",
        )
    },
    "mask_for_inputs": {"inputs.square().mean -> inputs.square().sum": FACTOR},
    "choose_widths": {"1 -> 2": JUDGED},
    "compare_features": {
        "return (ours - theirs).square().mean() -> return 2 * (ours - theirs).square().mean()":
            FACTOR,
        "(ours - theirs).square().mean -> (ours - theirs).square().sum": FACTOR,
        "features.square().sum -> features.square().mean": "a factor, gone after normalising",
        "features.square() -> features": "behind a ReLU nothing is below 0, and sums of features "
        "show the places as well",
    },
    "pareto_front": {
        "return a[0] >= b[0] and a[1] <= b[1] and (a != b) -> "
        f"return {sign}(a[0] >= b[0] and a[1] <= b[1] and (a != b))": "as true or false as before"
        for sign in ("2 * ", "-")
    } | {"1 -> 0": "along a front, size and accuracy rise together"},
    "time_to_answer": {
        "1 -> 0": "the first of a call has come when it begins, so the loop takes it as well",
    },
    "answers_of_file": {
        change: "a full batch is filled up with nothing"
        for change in ("len(batch) < 8 -> len(batch) <= 8", "8 -> 9")
    },
    "compress": {
        change: JUDGED
        for change in (
            "30 -> 31", "30 -> 29", "low + high -> low - high", "weight.abs() -> weight",
            "size_bytes(torch.round(weight / scale)) <= budget -> "
            "size_bytes(torch.round(weight / scale)) < budget",
        )
    },
}  # fmt: skip


class _TooLong(BaseException):
    """A fault may make a loop endless; no check catches this."""


@pytest.fixture
def alarm():
    if not hasattr(signal, "setitimer"):
        pytest.skip("no timer on this system that ends an endless loop")

    def ring(*_):
        raise _TooLong

    before = signal.signal(signal.SIGALRM, ring)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
@pytest.mark.parametrize("name", UNSCORED)
def test_no_fault_of_one_operator_is_accepted(alarm, name):
    accepted, n_made = [], 0
    for change, mutated in mutants(solution_sources()[name], gradient=name in GRADIENT):
        n_made += 1
        try:
            alarm(10)
            solved = examine(check.EXERCISES[name], written(mutated, name)).solved
            alarm(0)
        except _TooLong:
            continue
        if solved and change not in EQUIVALENT.get(name, {}):
            accepted.append(change)
    assert not accepted, f"{name} is fooled by:\n" + "\n".join(accepted)
    assert n_made + len(WRONG[name]) >= 8  # with those of test_examine.py


@pytest.mark.parametrize(
    ("name", "answer"),
    [(name, answer) for name, answers in RIGHT.items() for answer in answers],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_right_answer_in_another_style_is_accepted(name, answer):
    verdict = examine(check.EXERCISES[name], answer)
    assert verdict.solved, verdict.text


def test_every_exercise_has_a_right_answer_in_another_style():
    assert set(RIGHT) == set(UNSCORED)  # of the others: test_compress.py
