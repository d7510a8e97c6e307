"""Files that outlive a run: where they go, and how none of them is ever half there."""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tutorial_utils.errors import InputError
from tutorial_utils.storage.files import replacing


def cache_dir() -> Path:
    """Return the folder for downloads, generated data and trained weights (it may not exist yet).

    `$TUTORIAL_UTILS_CACHE` if that is set, else `tutorial_utils` under `$XDG_CACHE_HOME`, else
    `~/.cache/tutorial_utils`.

    >>> os.environ["TUTORIAL_UTILS_CACHE"] = "/tmp/example"
    >>> cache_dir().as_posix()
    '/tmp/example'
    >>> del os.environ["TUTORIAL_UTILS_CACHE"]
    """
    if own := os.environ.get("TUTORIAL_UTILS_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(shared).expanduser() / "tutorial_utils"


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Write a file of the cache under a temporary name, as `files.replacing`.

    Args:
        path: the final name; its folder is made if needed.

    Raises:
        InputError: when the file cannot be written (no permission, disk full).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({error}): make room or choose another folder with "
            "the environment variable TUTORIAL_UTILS_CACHE"
        ) from error


def read_cached(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """Return what `write_cached` stored, or None when there is nothing that can be used.

    A damaged file, one that holds more than tensors and plain values, and one with another
    fingerprint all count as nothing: whoever asks makes the content afresh and overwrites it.
    """
    try:
        with path.open("rb") as file:
            digest, content = file.read(32), file.read()
        if hashlib.sha256(content).digest() != digest:  # torch.load does not see a flipped bit
            return None
        stored = torch.load(io.BytesIO(content), weights_only=True)
        return stored if stored["fingerprint"] == fingerprint else None
    except Exception:  # whatever is wrong with the file, the answer is the same
        return None


def write_cached(path: Path, fingerprint: str, **content: Any) -> None:
    """Store tensors and plain values under a fingerprint of what they were made from.

    The file is 32 bytes of SHA-256 and then what `torch.save` writes.
    """
    buffer = io.BytesIO()
    torch.save({"fingerprint": fingerprint, **content}, buffer)
    with new_file(path) as temporary, temporary.open("wb") as file:
        file.write(hashlib.sha256(buffer.getbuffer()).digest())
        file.write(buffer.getbuffer())
