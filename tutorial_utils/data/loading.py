"""One function that loads any of the data sets."""

from dataclasses import replace
from pathlib import Path

from tutorial_utils.data import digits, downloads, folder
from tutorial_utils.data.splits import (
    Dataset,
    Split,
    make_dataset,
    subset,
)
from tutorial_utils.errors import InputError, check_choice

NAMES = ("digits", "cifar10", "fashion_mnist", "folder")
IMAGE_SIZE = 32  # pixels, of all data sets, and of a folder unless another size is wanted


def load(
    name: str = "digits",
    data_dir: str | Path | None = None,
    n_train: int | None = None,
    seed: int = 0,
    image_size: int | None = None,
) -> Dataset:
    """Load a data set into memory.

    Args:
        name: "digits" (embedded), "cifar10", "fashion_mnist" (downloaded once), or "folder" (your
            images in `DIR/train/<class>/` and `DIR/test/<class>/`).
        data_dir: DIR for "folder"; where to download to, for those that are (default: the cache).
        n_train: how many training images to keep, as evenly over the classes as they allow.
            Default: all.
        seed: chooses which ones are kept. The splits themselves never depend on it.
        image_size: height and width, in pixels, that the images of "folder" are resized to.
            Default: 32, which is the size of the other data sets.

    Raises:
        InputError: for input that cannot be used; the message is one line and says what to do.

    >>> data = load("digits", n_train=100)
    >>> len(data.train), len(data.val), len(data.test)
    (100, 2500, 5000)
    >>> data.train.labels.bincount().tolist()
    [10, 10, 10, 10, 10, 10, 10, 10, 10, 10]
    """
    check_choice("dataset", name, NAMES)
    if not is_integer(seed) or not 0 <= seed < 2**32:
        raise InputError(f"seed={seed!r}: expected an integer from 0 to 2**32 - 1")
    if n_train is not None and not is_integer(n_train):
        raise InputError(f"n_train={n_train!r}: expected an integer, or None for all")
    if image_size is not None and name != "folder":
        raise InputError(
            f"image_size={image_size!r}: the images of {name!r} have {IMAGE_SIZE} pixels; leave it "
            "out, or set dataset='folder'"
        )
    data_dir = str(data_dir) if data_dir else None  # notebooks pass "" for "not given"
    if name == "digits":
        data = load_digits(data_dir)
    elif name == "folder":
        data = load_folder(data_dir, IMAGE_SIZE if image_size is None else image_size)
    else:
        classes, train, test = downloads.read_arrays(name, data_dir)
        data = make_dataset(name, classes, train, test, key=name, data_dir=data_dir)
    return data if n_train is None else replace(data, train=subset(data.train, n_train, seed))


def is_integer(value: object) -> bool:
    """Return whether a value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def load_digits(data_dir: str | None) -> Dataset:
    """Return scene digits (see `tutorial_utils.data.digits`)."""
    if data_dir:
        raise InputError(
            f"data_dir={data_dir!r}: 'digits' has no folder; leave it out, or set dataset='folder'"
        )
    splits = {
        part: Split(images, labels, digits.MEAN, digits.STD, sources)
        for part, (images, labels, sources) in digits.load_scenes().items()
    }
    return Dataset("digits", digits.CLASSES, **splits, flip=False, key="digits", recolour=True)


def load_folder(data_dir: str | None, size: int) -> Dataset:
    """Return a reader's own images (see `tutorial_utils.data.folder`)."""
    if not data_dir:
        raise InputError("dataset='folder' needs data_dir: the folder that holds train/ and test/")
    if not is_integer(size) or size < 1:
        raise InputError(f"image_size={size!r}: expected a number of pixels, an integer above 0")
    classes, train, test, content = folder.read_arrays(Path(data_dir).expanduser(), size)
    key = f"folder-{content}-{size}"
    return make_dataset("folder", classes, train, test, key=key, data_dir=data_dir)
