"""Writing files that never look whole before they are."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; it becomes `path` only when the block has succeeded.

    Args:
        path: the final name, in a folder that exists. The temporary name has the same ending.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "a.txt")) as temporary:
    ...         n_characters = temporary.write_text("all of it")
    ...     print(os.listdir(folder))
    ['a.txt']
    """
    # The same folder, because os.replace is atomic only within one file system.
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
