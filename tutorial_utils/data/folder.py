"""Reading a reader's own images from `DIR/train/<class>/` and `DIR/test/<class>/`."""

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from tutorial_utils.errors import InputError
from tutorial_utils.storage.cache import cache_dir, read_cached, write_cached

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
SIZE = 32  # pixels
Part = tuple[Tensor, Tensor]


def read_arrays(root: Path) -> tuple[tuple[str, ...], Part, Part, str]:
    """Read all images of a folder, resized to 32x32 pixels in RGB.

    An image that is not square is squeezed. The result is cached until a file's name, size or
    modification time changes.

    Args:
        root: holds `train` and `test`, with one folder per class in each.

    Returns:
        the class names (sorted); images, uint8 (N, 3, 32, 32), and labels of train and of test;
        a fingerprint of names and contents, the same wherever the folder is.

    Raises:
        InputError: for a folder with another layout, a class without images, a broken image.
    """
    classes = list_classes(root)
    files = {part: list_files(root / part, classes, part) for part in ("train", "test")}
    paths = files["train"] + files["test"]
    seen = fingerprint_files(root, paths)
    cached_file = cache_dir() / "folders" / f"{seen[:16]}.pt"
    if (cached := read_cached(cached_file, seen)) is None:
        images, content = decode_all(root, paths)
        write_cached(cached_file, seen, images=images, content=content)
    else:
        images, content = cached["images"], cached["content"]
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


def fingerprint_files(root: Path, paths: list[Path]) -> str:
    """Return a hash that changes with a file's name, size or time, and with this module."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in paths:
        try:
            about = path.stat()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}): remove it") from error
        name = os.fsencode(path.relative_to(root).as_posix())
        digest.update(b"%s\0%d %d\n" % (name, about.st_size, about.st_mtime_ns))
    return digest.hexdigest()


def decode_all(root: Path, paths: list[Path]) -> tuple[Tensor, str]:
    """Decode images on two threads; return them with a hash of their names and contents."""
    images = np.empty((len(paths), 3, SIZE, SIZE), np.uint8)
    digest = hashlib.sha256()
    with ThreadPoolExecutor(2) as pool:
        decoded = tqdm(pool.map(decode, paths), "reading images", len(paths), mininterval=1)
        for i, (pixels, content) in enumerate(decoded):
            images[i] = pixels
            name = os.fsencode(paths[i].relative_to(root).as_posix())
            digest.update(b"%s\0%s\n" % (name, content))
    return torch.from_numpy(images), digest.hexdigest()[:16]


def decode(path: Path) -> tuple[np.ndarray, bytes]:
    """Return the pixels of one image file, uint8 (3, 32, 32), and the SHA-256 of the file."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            pixels = to_pixels(image)
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        reason = " ".join(str(error).split()).replace(" <_io.BytesIO object>", "")
        raise InputError(
            f"{path}: not a readable image ({reason}): replace or remove it"
        ) from error
    return pixels, hashlib.sha256(content).digest()


def to_pixels(image: Image.Image) -> np.ndarray:
    """Return an image as uint8 (3, 32, 32): upright, transparent parts white, in RGB."""
    if image.mode.startswith(("I", "F")):
        raise ValueError("more than 8 bits per channel")  # RGB would cut these off, not scale them
    image.draft(
        None, (4 * SIZE, 4 * SIZE)
    )  # lets a large JPEG be decoded at a fraction of its size
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    small = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return np.asarray(small).transpose(2, 0, 1)
