"""Files of tensors: no code runs when they are read, and damage is seen.

The format is safetensors. Its metadata hold a SHA-256 of all names, types, shapes and values, and
of what the tensors were made from.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from tutorial_utils.errors import InputError
from tutorial_utils.storage.files import replacing


def write_tensors(path: Path, tensors: dict[str, Tensor], made_from: str = "") -> None:
    """Store tensors, such as the `state_dict` of a model.

    Args:
        path: the file; its folder is made if needed.
        tensors: by name; no two may share memory.
        made_from: what `read_tensors` must be given to get them back, such as a hash of a source.

    Raises:
        InputError: when the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(tensor_bytes(tensors, made_from))


def tensor_bytes(tensors: dict[str, Tensor], made_from: str = "") -> bytes:
    """What `write_tensors` writes."""
    plain = {name: values.detach().cpu().contiguous() for name, values in tensors.items()}
    return save(plain, {"sha256": sha256_of(plain, made_from)})


def read_tensors(path: Path, made_from: str = "") -> dict[str, Tensor]:
    """Return the tensors that `write_tensors` stored.

    Raises:
        InputError: when the file is damaged, is none of these files, or was made from other things.
        FileNotFoundError: when there is no such file.
    """
    content = path.read_bytes()
    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        recorded = header["__metadata__"]["sha256"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not a whole file of tensors: delete it and make it anew"
        ) from error
    if recorded != sha256_of(tensors, made_from):
        raise InputError(f"{path}: its SHA-256 is not the recorded one: delete it and make it anew")
    return tensors


def cached_tensors(
    path: Path, made_from: str, make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return the tensors in a file, or make and store them when it has none that can be used."""
    with suppress(InputError, OSError):  # damaged, outdated or missing: the answer is the same
        return read_tensors(path, made_from)
    tensors = make()
    write_tensors(path, tensors, made_from)
    return tensors


def sha256_of(tensors: dict[str, Tensor], made_from: str) -> str:
    """Return a hash of all that a file of tensors holds, in whatever order.

    >>> sha256_of({"a": torch.zeros(2), "b": torch.ones(1)}, "")[:8]
    '004ddb88'
    """
    total = hashlib.sha256(made_from.encode())
    for name, values in sorted(tensors.items()):
        total.update(repr((name, str(values.dtype), tuple(values.shape))).encode())
        total.update(values.flatten().view(torch.uint8).numpy())
    return total.hexdigest()
