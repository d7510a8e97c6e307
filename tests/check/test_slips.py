"""Hints for any exercise, and answers in NumPy's types."""

import numpy as np
import pytest
import torch

from tutorial_utils import check
from tutorial_utils.check.answers import as_expected, differs, plain, show
from tutorial_utils.check.examine import Case, Exercise, examine
from tutorial_utils.check.slips import slip

RIGHT = torch.tensor([[1.0, -2.0], [3.0, 5.0]])
MASK = torch.tensor([True, False, False, True])


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (3 * RIGHT, RIGHT, "3 times"),
        (RIGHT / 4, RIGHT, "0.25 times"),
        (8.0, 2.0, "4 times"),
        (-RIGHT, RIGHT, "wrong sign"),
        (RIGHT + 1, RIGHT, "off by the same 1"),
        (RIGHT.T, RIGHT, "rows and columns"),
        (torch.zeros(3, 2), torch.zeros(2, 3), "rows and columns"),
        (RIGHT.flip(0), RIGHT, "wrong order"),
        (RIGHT / 0 * 0, RIGHT, "NaN"),
        (torch.tensor([254, 3]), torch.tensor([-2, 3]), "wrap around"),
        (~MASK, MASK, "exchanged"),
        (torch.tensor([True, True, False, True]), MASK, "1 are False, 2 expected"),
        (MASK.roll(1), MASK, "others"),
        ((1.0, 6.0), (1.0, 2.0), "3 times"),
        ({"a": 1.0, "b": -RIGHT}, {"a": 1.0, "b": RIGHT}, "wrong sign"),
    ],
)
def test_a_slip_is_named(answer, expected, words):
    assert words in slip(answer, expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(RIGHT, RIGHT), (RIGHT + torch.eye(2), RIGHT), (7.0, 0.0), (torch.zeros(3), torch.zeros(2)),
     ("a", "b"), (None, 1.0), (RIGHT * 0, RIGHT)],
)  # fmt: skip
def test_no_slip_is_made_up(answer, expected):
    assert slip(answer, expected) is None


def test_the_check_of_an_exercise_ends_with_the_slip():
    exercise = Exercise(1, "x", lambda: [Case("one", {"values": RIGHT})], lambda v: v.mean(0))
    text = examine(exercise, lambda values: values.sum(0)).text
    assert text.endswith("hint: every value is 2 times what it should be: a sum for a mean, or a "
                         "factor too many?")  # fmt: skip
    own = Exercise(1, "x", exercise.cases, exercise.right, ((lambda v: v.sum(0), "a mean"),))
    assert examine(own, lambda values: values.sum(0)).text.endswith("hint: a mean")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.array(0.5), 0.5),
        (np.array([1.0, 2.0]), (1.0, 2.0)),
        (torch.tensor([1.0, 2.0]), (1.0, 2.0)),
        (np.eye(2), torch.eye(2)),
        (range(2), [0, 1]),
        ((np.float64(1), np.ones(2)), (1.0, torch.ones(2))),
        ({"a": np.array([True])}, {"a": torch.tensor([True])}),
    ],
)
def test_numpy_is_as_good_as_torch(answer, expected):
    assert differs(plain(answer), expected) is None
    assert differs(plain(answer), expected, values=False) is None


def test_a_judge_gets_the_types_that_it_expects():
    assert as_expected(plain((np.float32(1), torch.tensor(2))), (0.0, 0)) == (1.0, 2)
    assert as_expected(torch.tensor([3, 4]).tolist(), [1]) == [3, 4]
    assert as_expected(["a"], ["b"]) == ["a"]


def test_order_counts_but_where_the_text_says_so():
    def names(points_lost, size_bytes, budget):
        return set(points_lost) if sum(size_bytes.values()) <= budget else set()

    assert "case 2 of" in examine(check.EXERCISES["keep_in_float"], names).text
    text = examine(check.EXERCISES["pareto_front"], set).text
    assert "it is of type set, expected of type list" in text


def test_masks_are_shown_by_their_counts_and_functions_by_nothing():
    assert show(torch.arange(20) < 4) == "mask (20,), 4 of 20 True"
    assert "run = " not in examine(check.EXERCISES["measure_ms"], lambda run, clock: 7).text
