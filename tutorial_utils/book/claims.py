"""Claims: sentences that a chapter states and a run of it has to prove.

A claim prints its sentence, its figure and the bound; the test of a stored notebook compares all
but the figures (``tests/figures.cfg``). When ``$TUTORIAL_UTILS_CLAIMS`` names a file, each claim
adds one JSON object a line to it (``python -m tutorial_utils run`` sets it).

Most claims are about the default parameters. ``$TUTORIAL_UTILS_CHANGED`` names those parameters,
separated by commas, that have other values in this run: tiny ones, or a reader's own images. A
claim that depends on one of them is then only reported when it does not hold.
"""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tutorial_utils.errors import InputError

RESULTS = ("held", "broken", "reported", "skipped")


def claim(
    sentence: str,
    value: object,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    on: str | Iterable[str] | None = None,
    skip: str | None = None,
) -> None:
    """Print that the sentence holds, or raise.

    Args:
        sentence: what is claimed, in one line. It is compared with the stored output, so it must
            hold no measured figure.
        value: a number (or a tensor with one element), or a bool; or a function without arguments
            that returns one, which is not called where the claim is skipped.
        at_most: the largest number that fulfils the claim.
        at_least: the smallest number that fulfils the claim. A number needs exactly one of the
            two bounds, a bool none.
        on: names of the parameters about whose default values it is. None means all of them; an
            empty tuple means none, so that the claim is enforced in every run.
        skip: a reason why the claim cannot be checked in this run. The value may then be None.

    Raises:
        AssertionError: the claim does not hold, and nothing that it depends on was changed. A
            value that is NaN or infinite never holds.
        InputError: the arguments make no claim.

    >>> claim("the int8 file is at most 0.30 of the fp32 file", 0.27, at_most=0.30)
    holds: the int8 file is at most 0.30 of the fp32 file (0.27, at most 0.3)
    >>> claim("int8 is faster than fp32", None, skip="no int8 kernels on this processor")
    skipped: int8 is faster than fp32 (no int8 kernels on this processor)
    >>> claim("the file is smaller", 1.5, at_most=1.0)
    Traceback (most recent call last):
    AssertionError: does not hold: the file is smaller (value 1.5, expected at most 1)
    """
    if not isinstance(sentence, str) or not sentence.strip() or "\n" in sentence:
        raise InputError(f"claim {sentence!r}: expected a sentence of one line")
    if skip is not None:
        if not isinstance(skip, str) or not skip.strip():
            raise InputError(f"claim {sentence!r}: skip={skip!r} is no reason; write one, or None")
        _record(claim=sentence, result="skipped", reason=skip)
        print(f"skipped: {sentence} ({skip})")
        return
    value = _plain(sentence, value() if callable(value) else value)
    holds, bound = _judge(sentence, value, at_most, at_least)
    result = "held" if holds else "reported" if _depends(on) else "broken"
    _record(claim=sentence, result=result, value=value, at_most=at_most, at_least=at_least)
    failure = f"does not hold: {sentence} (value {value!r}, expected {bound})"
    if result == "broken":
        raise AssertionError(failure)
    figures = "" if isinstance(value, bool) else f" ({_short(value)}, {bound})"
    print(f"holds: {sentence}{figures}" if holds else failure)


def _depends(on: str | Iterable[str] | None) -> bool:
    """Whether a parameter that a claim depends on has another value in this run."""
    changed = set(filter(None, os.environ.get("TUTORIAL_UTILS_CHANGED", "").split(",")))
    names = changed if on is None else {on} if isinstance(on, str) else set(on)
    return bool(changed & names)


def _plain(sentence: str, value: object) -> bool | float:
    """A Python bool, int or float from those and from tensors and arrays with one element."""
    if hasattr(value, "item"):
        try:
            value = value.item()
        except (RuntimeError, ValueError) as error:
            raise InputError(f"claim {sentence!r}: expected one value, got several") from error
    if not isinstance(value, bool | int | float):
        raise InputError(f"claim {sentence!r}: {value!r} is neither a number nor a bool")
    return value


def _judge(
    sentence: str, value: bool | float, at_most: float | None, at_least: float | None
) -> tuple[bool, str]:
    """Whether the value is as claimed, and what was expected of it in words."""
    bounds = [bound for bound in (at_most, at_least) if bound is not None]
    if isinstance(value, bool):
        if bounds:
            raise InputError(f"claim {sentence!r}: a bool takes no bound")
        return value, "True"
    if len(bounds) != 1 or not math.isfinite(bounds[0]):
        raise InputError(f"claim {sentence!r}: a number needs one bound, at_most or at_least")
    if at_most is not None:
        return math.isfinite(value) and value <= at_most, f"at most {_short(at_most)}"
    return math.isfinite(value) and value >= at_least, f"at least {_short(at_least)}"


def _short(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:.4g}"


def _record(**entry: object) -> None:
    path = os.environ.get("TUTORIAL_UTILS_CLAIMS")
    if not path:
        return
    if isinstance(entry.get("value"), float) and not math.isfinite(entry["value"]):
        entry["value"] = str(entry["value"])  # JSON knows neither NaN nor infinity
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def count_claims(path: Path) -> Counter[str]:
    """Count the results in a file of claims: held, broken, reported and skipped."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return Counter(json.loads(line)["result"] for line in lines)


def claims_table(files: dict[str, Path]) -> str:
    """Return the lines that say how many claims of each notebook held, or "" without any claim.

    Args:
        files: name of each notebook, and the file of its claims.
    """
    counts = {name: count_claims(path) for name, path in files.items()}
    counts = {name: count for name, count in counts.items() if count}
    if not counts:
        return ""
    counts["all"] = sum(counts.values(), Counter())
    width = max(map(len, counts))
    lines = [f"{'claims':{width}}" + "".join(f"{result:>10}" for result in RESULTS)]
    for name, count in counts.items():
        lines.append(f"{name:{width}}" + "".join(f"{count[result]:10}" for result in RESULTS))
    return "\n".join(lines)
