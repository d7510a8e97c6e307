"""Checks for the exercises: ``check.quantize(quantize)`` says "correct", or what is wrong and why.

Each exercise has a check of the same name. It runs the function on small inputs, compares with the
package's own tested function, and names the first input that fails, what was expected, and the
likely mistake. It never shows a solution, and it works on copies, so nothing of the reader's
changes.

>>> from tutorial_utils import check
>>> check.int8_product(lambda x, w, x_zero: (x.int() - x_zero) @ w.int())
... # doctest: +ELLIPSIS
correct: int8_product
Nothing warns when integers wrap around. ...
"""

from collections.abc import Callable

from tutorial_utils.check import (
    chapter1,
    chapter2,
    chapter3,
    chapter4,
    chapter5,
    chapter6,
    chapter7,
    chapter8,
    chapter9,
)
from tutorial_utils.check.examine import Case, Exercise, Verdict, examine
from tutorial_utils.check.tries import store_try
from tutorial_utils.errors import InputError

_CHAPTERS = (
    *(chapter1, chapter2, chapter3, chapter4, chapter5),
    *(chapter6, chapter7, chapter8, chapter9),
)
EXERCISES = {exercise.name: exercise for module in _CHAPTERS for exercise in module.EXERCISES}

__all__ = ["EXERCISES", "Case", "Exercise", "Verdict", "examine", *EXERCISES]


def _make_check(exercise: Exercise) -> Callable[[object], None]:
    def check(function: object) -> None:
        verdict = examine(exercise, function)
        print(verdict.text)
        if verdict.figures:
            try:
                store_try(exercise.name, verdict.figures["score"], verdict.figures)
            except InputError as error:  # the verdict stands without it
                print(f"(this try is not stored: {error})")

    check.__name__ = check.__qualname__ = exercise.name
    check.__doc__ = f"Check your ``{exercise.name}``, an exercise of chapter {exercise.chapter}."
    return check


# check.quantize, check.fold_batch_norm, ...
globals().update({name: _make_check(exercise) for name, exercise in EXERCISES.items()})
