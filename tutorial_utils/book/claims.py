"""Claims: sentences that a chapter states and a run of it has to prove.

A claim prints its sentence but never its figure, so that the stored output of a notebook is the
same on every machine. The figure goes into the file named by ``$TUTORIAL_UTILS_CLAIMS``, one JSON
object a line, when that variable is set (``python -m tutorial_utils run`` sets it).

The claims are about the default parameters. A run with others, tiny ones or a reader's own images,
sets ``$TUTORIAL_UTILS_CLAIMS_REPORT``: then a claim that does not hold says so and goes on.
"""

import json
import math
import os

from tutorial_utils.errors import InputError


def claim(
    sentence: str,
    value: object,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    skip: str | None = None,
) -> None:
    """Print that the sentence holds, or raise.

    Args:
        sentence: what is claimed, in one line. It is compared with the stored output, so it must
            hold no measured figure.
        value: a number (or a tensor with one element), or a bool.
        at_most: the largest number that fulfils the claim.
        at_least: the smallest number that fulfils the claim. A number needs exactly one of the
            two bounds, a bool none.
        skip: a reason why the claim cannot be checked in this run. The value may then be None.

    Raises:
        AssertionError: the claim does not hold; a value that is NaN or infinite never does.
        InputError: the arguments make no claim.

    >>> claim("the int8 file is at most 0.30 of the fp32 file", 0.27, at_most=0.30)
    holds: the int8 file is at most 0.30 of the fp32 file
    >>> claim("int8 is faster than fp32", None, skip="no int8 kernels on this processor")
    skipped: int8 is faster than fp32 (no int8 kernels on this processor)
    >>> claim("the file is smaller", 1.5, at_most=1.0)
    Traceback (most recent call last):
    AssertionError: does not hold: the file is smaller (value 1.5, expected at most 1.0)
    """
    if not isinstance(sentence, str) or not sentence.strip() or "\n" in sentence:
        raise InputError(f"claim {sentence!r}: expected a sentence of one line")
    if skip is not None:
        if not isinstance(skip, str) or not skip.strip():
            raise InputError(f"claim {sentence!r}: skip={skip!r} is no reason; write one, or None")
        _record(claim=sentence, holds=None, skipped=skip)
        print(f"skipped: {sentence} ({skip})")
        return
    value = _plain(sentence, value)
    holds, expected = _judge(sentence, value, at_most, at_least)
    _record(claim=sentence, holds=holds, value=value, at_most=at_most, at_least=at_least)
    if holds:
        print(f"holds: {sentence}")
        return
    failure = f"does not hold: {sentence} (value {value!r}, expected {expected})"
    if not os.environ.get("TUTORIAL_UTILS_CLAIMS_REPORT"):
        raise AssertionError(failure)
    print(failure)


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
        return math.isfinite(value) and value <= at_most, f"at most {at_most}"
    return math.isfinite(value) and value >= at_least, f"at least {at_least}"


def _record(**entry: object) -> None:
    path = os.environ.get("TUTORIAL_UTILS_CLAIMS")
    if not path:
        return
    if isinstance(entry.get("value"), float) and not math.isfinite(entry["value"]):
        entry["value"] = str(entry["value"])  # JSON knows neither NaN nor infinity
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
