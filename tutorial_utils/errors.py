"""Input that cannot be used: the one exception for it, and the checks that several groups share."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from numbers import Real

import torch


class InputError(ValueError):
    """Input was refused before any work was done.

    The message is one line: the value, what was expected, and what to do about it. The command
    line prints it without a traceback and exits with status 2.

    >>> raise InputError("seed=-1: expected an integer of at least 0")
    Traceback (most recent call last):
    tutorial_utils.errors.InputError: seed=-1: expected an integer of at least 0
    """


def suggest(name: object, valid: Iterable[str]) -> str:
    """Return the end of an error message: the nearest valid name, or all of them.

    >>> suggest("cifar", ["digits", "cifar10"])
    "; did you mean 'cifar10'?"
    >>> suggest("x", ["digits", "cifar10"])
    '; expected one of cifar10, digits'
    """
    valid = sorted(valid)
    near = get_close_matches(str(name), valid, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; expected one of {', '.join(valid)}" if valid else ""


def check_choice(what: str, value: object, valid: Iterable[str]) -> None:
    """Refuse a value that is none of the valid ones.

    >>> check_choice("scope", "globl", ("global", "layer"))
    Traceback (most recent call last):
    tutorial_utils.errors.InputError: scope='globl'; did you mean 'global'?
    """
    valid = tuple(valid)
    if value not in valid:
        raise InputError(f"{what}={value!r}{suggest(value, valid)}")


def check_positive(**values: float) -> None:
    """Refuse a value that is not a finite number above 0."""
    for name, value in values.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 < value < math.inf:
            raise InputError(f"{name}={value!r}: expected a number above 0")


def check_fraction(name: str, value: float) -> None:
    """Refuse a fraction to remove that is not at least 0 and below 1 (NaN included)."""
    if not isinstance(value, Real) or not 0 <= value < 1:
        raise InputError(f"{name}={value!r}: expected a fraction of at least 0 and below 1")


def check_finite(name: str, values: torch.Tensor) -> None:
    """Refuse a tensor without values, of integers, or with NaN or infinity in it."""
    if values.numel() == 0:
        raise InputError(f"{name} is empty, expected at least one value")
    if not values.is_floating_point() or not torch.isfinite(values).all():
        n_bad = int((~torch.isfinite(values)).sum())
        raise InputError(
            f"{name} is {values.dtype} of shape {tuple(values.shape)} with {n_bad} NaN or infinite "
            "values, expected finite floats"
        )


@contextmanager
def requires_extra(extra: str) -> Iterator[None]:
    """Name the extra to install when an import in the block finds no such module.

    Raises:
        ModuleNotFoundError: naming the module and the extra.

    >>> with requires_extra("plots"):
    ...     import no_such_module
    Traceback (most recent call last):
    ModuleNotFoundError: No module named 'no_such_module': pip install "tutorial_utils[plots]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        reason = f'{error}: pip install "tutorial_utils[{extra}]"'
        raise ModuleNotFoundError(reason, name=error.name) from error
