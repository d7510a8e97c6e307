"""Files of trained weights: written whole, read only when they are what was written."""

import hashlib
import io
from pathlib import Path

import torch
from torch import Tensor, nn

from tutorial_utils.errors import InputError
from tutorial_utils.storage.cache import new_file


def write_weights(model: nn.Module, path: Path) -> str:
    """Store the weights of a model and return the SHA-256 of the file."""
    # Through memory, because torch.save writes the name of the file into the file.
    buffer = io.BytesIO()
    torch.save({key: value.cpu().contiguous() for key, value in model.state_dict().items()}, buffer)
    content = buffer.getvalue()
    with new_file(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file, if the file is the one whose SHA-256 was recorded.

    A pickle can run code while it is read. So the sum is compared first, and then the file is read
    in a way that builds tensors and nothing else: a matching sum alone does not make it safe.

    Raises:
        InputError: when the sum is missing or differs, or the file holds anything but weights.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != recorded_sha256(path):
        raise InputError(f"{path}: its SHA-256 is not the recorded one: delete it and make it anew")
    try:
        weights = torch.load(io.BytesIO(content), weights_only=True)
        plain = all(isinstance(value, Tensor) for value in weights.values())
    except Exception:  # what is wrong shows in many types of exception, none worth passing on
        plain = False
    if not plain:
        raise InputError(f"{path}: not a plain file of weights: delete it and make it anew")
    return weights


def recorded_sha256(path: Path) -> str | None:
    """Return the recorded sum of a file: from `FILE.sha256`, else from `SHA256SUMS` beside it."""
    for sums in (checksum_path(path), path.with_name("SHA256SUMS")):
        if sums.is_file():
            for line in sums.read_text().splitlines():
                digest, _, name = line.partition("  ")
                if name == path.name:
                    return digest
    return None


def checksum_path(path: Path) -> Path:
    """Return the name of the file that holds the sum of one file, as `sha256sum` writes it.

    >>> checksum_path(Path("resnet8.pt")).name
    'resnet8.pt.sha256'
    """
    return path.with_name(path.name + ".sha256")
