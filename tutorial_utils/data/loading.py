"""One function that loads any of the data sets."""

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from tutorial_utils.data import digits, downloads, folder
from tutorial_utils.data.splits import (
    Dataset,
    Split,
    make_dataset,
    subset,
)
from tutorial_utils.errors import InputError

NAMES = ("digits", "cifar10", "fashion_mnist", "folder")


def load(
    name: str = "digits",
    data_dir: str | Path | None = None,
    n_train: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Load a data set into memory.

    Args:
        name: "digits" (embedded), "cifar10", "fashion_mnist" (downloaded once), or "folder" (your
            images in `DIR/train/<class>/` and `DIR/test/<class>/`).
        data_dir: DIR for "folder"; where to download to, for those that are (default: the cache).
        n_train: how many training images to keep, as evenly over the classes as they allow.
            Default: all.
        seed: chooses which ones are kept. The splits themselves never depend on it.

    Raises:
        InputError: for input that cannot be used; the message is one line and says what to do.

    >>> data = load("digits", n_train=100)
    >>> len(data.train), len(data.val), len(data.test)
    (100, 2500, 5000)
    >>> data.train.labels.bincount().tolist()
    [10, 10, 10, 10, 10, 10, 10, 10, 10, 10]
    """
    if name not in NAMES:
        near = get_close_matches(str(name), NAMES, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"dataset={name!r}: expected one of {', '.join(NAMES)}{hint}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise InputError(f"seed={seed!r}: expected an integer from 0 to 2**32 - 1")
    if n_train is not None and (isinstance(n_train, bool) or not isinstance(n_train, int)):
        raise InputError(f"n_train={n_train!r}: expected an integer, or None for all")
    data_dir = str(data_dir) if data_dir else None  # notebooks pass "" for "not given"
    data = LOADERS[name](data_dir)
    return data if n_train is None else replace(data, train=subset(data.train, n_train, seed))


def load_digits(data_dir: str | None) -> Dataset:
    """Return scene digits (see `tutorial_utils.digits`)."""
    if data_dir:
        raise InputError(
            f"data_dir={data_dir!r}: 'digits' has no folder; leave it out, or set dataset='folder'"
        )
    splits = {
        part: Split(images, labels, digits.MEAN, digits.STD)
        for part, (images, labels) in digits.load_scenes().items()
    }
    return Dataset("digits", digits.CLASSES, **splits, flip=False, key="digits", recolour=True)


def load_download(name: str, data_dir: str | None) -> Dataset:
    """Return one of torchvision's data sets (see `tutorial_utils.downloads`)."""
    classes, train, test = downloads.read_arrays(name, data_dir)
    return make_dataset(name, classes, train, test, key=name, data_dir=data_dir)


def load_folder(data_dir: str | None) -> Dataset:
    """Return a reader's own images (see `tutorial_utils.folder`)."""
    if not data_dir:
        raise InputError("dataset='folder' needs data_dir: the folder that holds train/ and test/")
    classes, train, test, fingerprint = folder.read_arrays(Path(data_dir).expanduser())
    return make_dataset(
        "folder", classes, train, test, key=f"folder-{fingerprint}", data_dir=data_dir
    )


LOADERS: dict[str, Callable[[str | None], Dataset]] = {
    "digits": load_digits,
    "cifar10": lambda data_dir: load_download("cifar10", data_dir),
    "fashion_mnist": lambda data_dir: load_download("fashion_mnist", data_dir),
    "folder": load_folder,
}
