"""Running a reader's function on hidden cases, and a hint about the first that fails.

The function gets copies, so the reader's objects are never touched, and whatever it does (raise,
return nonsense, change its input) ends in a sentence. The likely mistake is found by trial: each
exercise comes with typical wrong answers, and the one that returns what the reader's function
returned gives the hint; if there is none, what the wrong values have in common with the right ones
(`slip`).
"""

import copy
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from tutorial_utils.check.answers import as_expected, differs, plain, show
from tutorial_utils.check.sandbox import Refused, detached, guarded, unchanged
from tutorial_utils.check.slips import slip
from tutorial_utils.check.tries import Reached, shown


@dataclass(frozen=True)
class Case:
    """One input: what is special about it, and the arguments by name, in their order."""

    what: str
    args: dict[str, object]


@dataclass(frozen=True)
class Exercise:
    """What a check needs to know.

    ``right`` is a right answer. ``wrong`` are typical mistakes: a function that makes it, and the
    hint. In an open-ended exercise, which has many right answers, ``judge(answer, **args)`` returns
    None, or what was expected and a hint; `right` then shows types and shapes only. ``observe``
    calls the function and says what to compare; by default it is what the function returns.
    ``after`` is told to whoever solved it: the answer to the question of the text, and what one
    does with it in practice. ``any_order`` takes a set for a list.

    An exercise that is scored has no right answer, but ``most`` (the budget) and ``reached``;
    `compression.compress_exercise` makes it.
    """

    chapter: int
    name: str
    cases: Callable[[], list[Case]]
    right: Callable | None = None
    wrong: tuple[tuple[Callable, str], ...] = ()
    judge: Callable[..., tuple[str, str] | None] | None = None
    observe: Callable = lambda function, *args: function(*args)
    after: str = ""
    any_order: bool = False
    most: Mapping[str, float] | None = None
    reached: Reached | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether an exercise is solved, and what to tell the reader.

    ``figures`` of a scored exercise are those of a try that keeps to the budget.
    """

    solved: bool
    text: str
    figures: dict[str, float] | None = None


@dataclass(frozen=True)
class _Trial:
    """What came of one call: an answer, or the problem that kept it from being one."""

    answer: object = None
    problem: str | None = None
    hint: str | None = None
    untouched: bool = False  # the stub raised its own NotImplementedError
    used: dict[str, object] | None = None  # the arguments after the call


def examine(exercise: Exercise, function: object) -> Verdict:
    """Run a function on all cases of an exercise; the first that fails decides the text."""
    name = exercise.name
    if not callable(function):
        return Verdict(
            False, f"not yet: give the function itself, without brackets: check.{name}({name})"
        )
    cases = exercise.cases()
    trials = [_try(exercise, function, case) for case in cases]
    for number, (case, trial) in enumerate(zip(cases, trials, strict=True), 1):
        if trial.untouched:
            return Verdict(False, not_written(name))
        expected, problem, hint = _judge(exercise, case, trial)
        if problem:
            hint = hint or _likely_mistake(exercise, cases, trials, number - 1)
            hint = hint or _slip(exercise, case, trial)
            where = f"not yet: {name}, case {number} of {len(cases)}, {case.what}"
            text = _message(where, case, expected, trial.answer, problem, hint)
            return Verdict(False, text, _within_budget(exercise, trial))
    figures = _within_budget(exercise, trials[-1])
    lines = [shown(figures), *exercise.reached.ladder(figures["score"])] if figures else []
    return Verdict(True, "\n".join([f"correct: {name}", *lines, exercise.after]).rstrip(), figures)


def _within_budget(exercise: Exercise, trial: _Trial) -> dict[str, float] | None:
    """The figures of a scored try that counts: it keeps to the budget and left all as it was."""
    if exercise.reached is None or trial.problem:
        return None
    kept = all(trial.answer[name] <= limit for name, limit in exercise.most.items())
    return trial.answer if kept else None


def not_written(name: str) -> str:
    """What the check of an untouched stub says."""
    return (
        f"not written yet: {name} raises NotImplementedError; write its body, run that cell, "
        "then this one"
    )


def to_write(name: str) -> str:
    """What an untouched stub raises."""
    return f"{name} is yours to write"


def _judge(
    exercise: Exercise, case: Case, trial: _Trial
) -> tuple[str | None, str | None, str | None]:
    """What was expected, what is wrong, and a hint; the last two are None if nothing is."""
    if trial.problem:
        return None, trial.problem, trial.hint
    if exercise.reached:
        judged = exercise.judge(trial.answer, **trial.used)
        return (None, None, None) if judged is None else (judged[0], *judged)
    expected = _try(exercise, exercise.right, case).answer
    try:
        problem = differs(trial.answer, expected, values=exercise.judge is None)
    except Exception as error:  # an object that refuses to be compared
        problem = f"it is of type {type(trial.answer).__name__}: {_describe(error, exercise.right)}"
    if exercise.judge is None or problem:
        return (show(expected) if exercise.judge is None else None), problem, None
    judged = exercise.judge(as_expected(trial.answer, expected), **trial.used)
    return (None, None, None) if judged is None else (judged[0], judged[0], judged[1])


def _try(exercise: Exercise, function: Callable, case: Case) -> _Trial:
    args = copy.deepcopy(case.args)
    try:
        with guarded():
            answer = plain(exercise.observe(function, *args.values()))
            if exercise.any_order and isinstance(answer, set | frozenset):
                answer = list(answer)
            answer = copy.deepcopy(detached(answer))
    except Refused as refused:
        return _Trial(problem=refused.problem, hint=refused.hint)
    except (Exception, SystemExit) as error:  # whatever a reader's function may raise
        if _is_of_stub(error, exercise.name):
            return _Trial(untouched=True)
        return _Trial(problem=_describe(error, function), hint=_advice(error))
    for name, value in case.args.items():
        if not unchanged(value, args[name]):
            hint = _TRAINING_MODE if isinstance(value, nn.Module) else _IN_PLACE
            hint = _COPY if exercise.reached else hint
            return _Trial(answer, f"it changed its argument {name}", hint)
    return _Trial(answer, used=args)


_IN_PLACE = (
    "a function that ends in _ (like add_) and an assignment to x[...] change the caller's tensor; "
    "compute a new one"
)
_TRAINING_MODE = (
    "in training mode a batch norm moves its statistics with every batch that it sees: call eval() "
    "on the model first"
)
_COPY = "compress a copy: copy.deepcopy(model); the caller still needs the model as it is"
_SIGNATURE = "keep the arguments and their order as they were in the stub"


def _is_of_stub(error: BaseException, name: str) -> bool:
    """Whether the stub itself raised: torch raises NotImplementedError inside a written answer."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    own = isinstance(error, NotImplementedError) and str(error) == to_write(name)
    return own and last.name == name


def _advice(error: BaseException) -> str | None:
    wrong_call = isinstance(error, TypeError) and "argument" in str(error)
    n_frames = len(traceback.extract_tb(error.__traceback__))  # two: the function never began
    return _SIGNATURE if wrong_call and n_frames <= 2 else None


def _describe(error: BaseException, function: Callable) -> str:
    """Name an error and the line of the reader's function that it comes from."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    where = f" in the line: {frames[-1].line}" if frames and frames[-1].line else ""
    message = " ".join(str(error).split())
    return f"it raised {type(error).__name__}: {message[:200]}{where}"


def _likely_mistake(
    exercise: Exercise, cases: list[Case], trials: list[_Trial], failed: int
) -> str | None:
    """Hint of the typical wrong answer that agrees with the reader's, on all cases if possible."""
    if trials[failed].problem and trials[failed].answer is None:
        return None
    agreeing = []
    for wrong, hint in exercise.wrong:
        same = [_same(exercise, wrong, *pair) for pair in zip(cases, trials, strict=True)]
        if same[failed]:
            agreeing.append((sum(same), hint))
    return max(agreeing, key=lambda item: item[0])[1] if agreeing else None


def _slip(exercise: Exercise, case: Case, trial: _Trial) -> str | None:
    if trial.answer is None:
        return None
    try:
        return slip(trial.answer, _try(exercise, exercise.right, case).answer)
    except (RuntimeError, TypeError, ValueError):  # values that cannot be compared
        return None


def _same(exercise: Exercise, wrong: Callable, case: Case, trial: _Trial) -> bool:
    mistaken = _try(exercise, wrong, case)
    if mistaken.problem or mistaken.untouched or trial.problem or trial.untouched:
        return False
    try:
        return differs(trial.answer, mistaken.answer) is None
    except (RuntimeError, TypeError, ValueError):
        return False


def _message(
    where: str, case: Case, expected: str | None, answer: object, problem: str, hint: str | None
) -> str:
    shown = {name: show(value) for name, value in case.args.items()}
    lines = [where] + [f"  {name} = {text}" for name, text in shown.items() if name != text]
    if expected is not None:
        lines.append(f"  expected: {expected}")
    if answer is not None:
        lines.append(f"  yours: {show(answer)}")
    if problem != expected:
        lines.append(f"  {problem}")
    return "\n".join([*lines, f"hint: {hint}"] if hint else lines)
