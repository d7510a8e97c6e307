"""The one exception for input that cannot be used."""


class InputError(ValueError):
    """Input was refused before any work was done.

    The message is one line: the value, what was expected, and what to do about it. The command
    line prints it without a traceback and exits with status 2.

    >>> raise InputError("seed=-1: expected an integer of at least 0")
    Traceback (most recent call last):
    tutorial_utils.errors.InputError: seed=-1: expected an integer of at least 0
    """
