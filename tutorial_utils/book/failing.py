"""Errors on purpose: the page "When it goes wrong" runs what fails, and shows with which words."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def failing(words: str) -> Iterator[None]:
    """Run a block that is to fail, and print the kind of the error with these words of it.

    The rest of the message may differ between versions, so it is not shown.

    Raises:
        AssertionError: the block did not fail.
        Exception: it failed with other words; the error is passed on.

    >>> with failing("division by zero"):
    ...     1 / 0
    ZeroDivisionError: division by zero
    """
    try:
        yield
    except Exception as error:
        if words not in str(error):
            raise
        print(f"{type(error).__name__}: {words}")
    else:
        raise AssertionError(f"nothing failed, expected an error that says {words!r}")
