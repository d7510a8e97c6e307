"""Reading a reader's own images from `DIR/train/<class>/` and `DIR/test/<class>/`."""

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from tutorial_utils.errors import InputError
from tutorial_utils.storage.files import cache_dir
from tutorial_utils.storage.tensors import cached_tensors

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
# Pillow goes by the content and not by the name, and knows formats that start other programs.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
Part = tuple[Tensor, Tensor]


def read_arrays(root: Path, size: int) -> tuple[tuple[str, ...], Part, Part, str]:
    """Read all images of a folder, resized to squares in RGB.

    An image that is not square is squeezed. The result is cached until a file's name, size or
    modification time changes.

    Args:
        root: holds `train` and `test`, with one folder per class in each.
        size: the height and width to resize to, in pixels.

    Returns:
        the class names (sorted); images, uint8 (N, 3, size, size), and labels of train and of
        test; a fingerprint of names and contents, the same wherever the folder is.

    Raises:
        InputError: for a folder with another layout, a class without images, a broken image.
    """
    classes = list_classes(root)
    files = {part: list_files(root / part, classes, part) for part in ("train", "test")}
    paths = files["train"] + files["test"]
    seen = fingerprint_files(root, paths, size)
    cached_file = cache_dir() / "folders" / f"{seen[:16]}.safetensors"
    stored = cached_tensors(cached_file, seen, lambda: decode_all(paths, size))
    images, content = stored["images"], fingerprint_contents(root, paths, stored["sha256"])
    label_of = {name: label for label, name in enumerate(classes)}
    labels = torch.tensor([label_of[path.parent.name] for path in paths])
    n_train = len(files["train"])
    train, test = (images[:n_train], labels[:n_train]), (images[n_train:], labels[n_train:])
    return classes, train, test, content


def list_classes(root: Path) -> tuple[str, ...]:
    """Return the names of the classes after checking that both parts have the same ones."""
    if not root.is_dir():
        raise InputError(f"data_dir={str(root)!r}: no such folder")
    names = {}
    for part in ("train", "test"):
        if not (root / part).is_dir():
            raise InputError(
                f"data_dir={str(root)!r} has no folder {part!r}: expected train/<class>/ and "
                "test/<class>/ with images"
            )
        # Names with a dot in front are what file managers and notebooks leave behind.
        names[part] = {p.name for p in (root / part).iterdir() if p.is_dir() and p.name[0] != "."}
    if len(names["train"]) < 2:
        raise InputError(
            f"{root / 'train'} has {len(names['train'])} class folders: expected at least 2"
        )
    if differ := sorted(names["train"] ^ names["test"]):
        here = "train" if differ[0] in names["train"] else "test"
        there = "test" if here == "train" else "train"
        raise InputError(
            f"data_dir={str(root)!r}: class {differ[0]!r} is in {here}/ but not in {there}/: "
            "both need the same classes"
        )
    return tuple(sorted(names["train"]))


def list_files(folder: Path, classes: tuple[str, ...], part: str) -> list[Path]:
    """Return the images of one part in order of class and name."""
    least = 2 if part == "train" else 1
    files = []
    for name in classes:
        found = sorted(
            path
            for path in (folder / name).iterdir()
            if path.suffix.lower() in SUFFIXES and path.name[0] != "." and not path.is_dir()
        )
        if len(found) < least:
            why = " (one of them goes to validation)" if least == 2 else ""
            raise InputError(
                f"{folder / name} has {len(found)} images: expected at least {least}{why}, "
                f"with names that end in {', '.join(SUFFIXES)}"
            )
        files += found
    return files


def fingerprint_files(root: Path, paths: list[Path], size: int) -> str:
    """Return a hash that changes with a file's name, size or time, and with this module."""
    digest = hashlib.sha256(Path(__file__).read_bytes() + b"%d" % size)
    for path in paths:
        try:
            about = path.stat()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}): remove it") from error
        name = os.fsencode(path.relative_to(root).as_posix())
        digest.update(b"%s\0%d %d\n" % (name, about.st_size, about.st_mtime_ns))
    return digest.hexdigest()


def fingerprint_contents(root: Path, paths: list[Path], sums: Tensor) -> str:
    """Return a hash of the names of files below `root` and of their SHA-256, uint8 (N, 32)."""
    digest = hashlib.sha256()
    for path, content in zip(paths, sums.numpy(), strict=True):
        name = os.fsencode(path.relative_to(root).as_posix())
        digest.update(b"%s\0%s\n" % (name, content.tobytes()))
    return digest.hexdigest()[:16]


def decode_all(paths: list[Path], size: int) -> dict[str, Tensor]:
    """Decode images on two threads; return them with the SHA-256 of each file, uint8 (N, 32)."""
    images = np.empty((len(paths), 3, size, size), np.uint8)
    sums = np.empty((len(paths), 32), np.uint8)
    with ThreadPoolExecutor(2) as pool:
        decoded = pool.map(partial(decode, size=size), paths)
        for i, found in enumerate(tqdm(decoded, "reading images", len(paths), mininterval=1)):
            images[i], sums[i] = found
    return {"images": torch.from_numpy(images), "sha256": torch.from_numpy(sums)}


def decode(path: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of one image, uint8 (3, size, size), and the SHA-256 of the file."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            pixels = to_pixels(image, size)
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        reason = " ".join(str(error).split()).replace(" <_io.BytesIO object>", "")
        raise InputError(
            f"{path}: not a readable image ({reason}): replace or remove it"
        ) from error
    return pixels, np.frombuffer(hashlib.sha256(content).digest(), np.uint8)


def to_pixels(image: Image.Image, size: int) -> np.ndarray:
    """Return an image as uint8 (3, size, size): upright, transparent parts white, in RGB."""
    if image.mode.startswith(("I", "F")):
        raise ValueError("more than 8 bits per channel")  # RGB would cut these off, not scale them
    image.draft(None, (4 * size, 4 * size))  # a large JPEG is decoded at a fraction of its size
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    small = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(small).transpose(2, 0, 1)
