"""Keeping other libraries' notes to their developers out of a notebook's output."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def errors_only(*names: str) -> Iterator[None]:
    """Let the loggers of these names report errors only, until the block ends.

    >>> with errors_only("example"):
    ...     logging.getLogger("example").isEnabledFor(logging.WARNING)
    False
    """
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
