"""Where files go, and how they are written so that none looks whole before it is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from tutorial_utils.errors import InputError


def cache_dir() -> Path:
    """Return the folder for downloads, generated data and trained weights (it may not exist yet).

    `$TUTORIAL_UTILS_CACHE` if that is set, else where this system keeps caches: on Linux
    `~/.cache/tutorial_utils` (or under `$XDG_CACHE_HOME`), on macOS
    `~/Library/Caches/tutorial_utils`, on Windows `%LOCALAPPDATA%\\tutorial_utils\\Cache`.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, TUTORIAL_UTILS_CACHE="/tmp/example"):
    ...     print(cache_dir().as_posix())
    /tmp/example
    """
    if own := os.environ.get("TUTORIAL_UTILS_CACHE"):
        return Path(own).expanduser()
    return user_cache_path("tutorial_utils", appauthor=False)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; it becomes `path` only when the block has succeeded.

    Args:
        path: the final name; its folder is made if needed. The temporary name has the same ending.

    Raises:
        InputError: when the file cannot be written (no permission, disk full).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "new", "a.txt")) as temporary:
    ...         n_characters = temporary.write_text("all of it")
    ...     print(os.listdir(Path(folder, "new")))
    ['a.txt']
    """
    # The same folder, because os.replace is atomic only within one file system.
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({error}): make room or choose another folder; that of the cache "
            "is named by the environment variable TUTORIAL_UTILS_CACHE"
        ) from error
