"""A reader's own network and images: found by name, and refused at once if they do not fit."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tutorial_utils.data import Dataset, Split, first_inputs, labelled_batches, load
from tutorial_utils.data.batches import LabelledBatches
from tutorial_utils.errors import InputError
from tutorial_utils.models import load_baseline


class Parts(NamedTuple):
    """Images for training, for choosing and for the last measurement: each a split or a loader."""

    train: Dataset | Split | LabelledBatches
    val: Split | LabelledBatches
    test: Split | LabelledBatches


@dataclass(frozen=True)
class Brought:
    """A trained model in eval mode, its images, and the arguments of `bring` that give both."""

    model: nn.Module
    data: Parts
    arguments: dict[str, object]

    @property
    def example(self) -> Tensor:
        """Two inputs (2, C, H, W), to trace the model with."""
        return first_inputs(self.data.val, 2)


def bring(
    factory: str | None = None,
    weights: str | None = None,
    data: str | None = None,
    data_dir: str | None = None,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Brought:
    """Return a network and its images; without arguments the book's ResNet-20 and scene digits.

    Args:
        factory: "module:function" or "file.py:function"; called without arguments it returns the
            network, an `nn.Module` with logits (N, n_classes).
        weights: file with its state dict, .safetensors or what `torch.save` wrote. It is read
            without running any code in it. None if the factory returns a trained network.
        data: "module:function" or "file.py:function", which returns three loaders or lists of
            batches `(inputs, labels)`: for training, choosing and testing.
        data_dir: in the place of `data`, a folder of images (see `data.load`), resized to squares
            of `image_size` pixels, a multiple of 32.
        mean, std: three numbers each, for pixels from 0 to 1, that the network was trained with;
            by default those of the training images.

    Raises:
        InputError: for anything that is not there, does not fit or would run into an error.

    >>> brought = bring()
    >>> brought.model(brought.example).shape
    torch.Size([2, 10])
    """
    given = {name: value for name, value in locals().items() if value is not None}
    if not given:
        digits = load()
        return Brought(load_baseline("resnet20", digits), as_parts(digits), given)
    if factory is None:
        raise InputError(f"{', '.join(given)} without a factory: pass factory='module:function'")
    if (data is None) == (data_dir is None):
        raise InputError("pass the images of the network as data='module:function' or as data_dir")
    model = call(factory, "factory")
    if not isinstance(model, nn.Module):
        raise InputError(
            f"factory={factory!r} returned a {type(model).__name__}, expected an nn.Module"
        )
    if weights is not None:
        put_weights_(model, Path(weights).expanduser())
    if data_dir is not None:
        parts = as_parts(load("folder", data_dir, image_size=image_size), mean, std)
    else:
        if extra := [name for name in ("image_size", "mean", "std") if name in given]:
            raise InputError(f"{extra[0]} goes with data_dir: {data!r} gives inputs as they are")
        parts = check_parts(call(data, "data"), data)
    brought = Brought(model.eval(), parts, given)
    check_answers(brought)
    return brought


def call(path: str, name: str) -> object:
    """Import what "module:function" or "file.py:function" names, and call it.

    Raises:
        InputError: another form, no such module or function, or the call raised.

    >>> call("collections:OrderedDict", "factory")
    OrderedDict()
    """
    where, _, function = path.rpartition(":")
    if not where or not function.isidentifier():
        raise InputError(f"{name}={path!r}: expected module:function or file.py:function")
    try:
        found = getattr(_module(where), function)
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        raise InputError(f"{name}={path!r}: {one_line(error)}") from error
    if not isinstance(found, Callable):
        raise InputError(f"{name}={path!r} is a {type(found).__name__}, expected a function")
    try:
        return found()
    except Exception as error:  # the reader's code: whatever it raises is the reason
        raise InputError(f"{name}={path!r} failed: {one_line(error)}") from error


def _module(where: str):
    if not where.endswith(".py"):
        return importlib.import_module(where)
    path = Path(where).expanduser().resolve()
    name = f"own_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as importlib's guide says: dataclasses and pickling look there
    spec.loader.exec_module(module)
    return module


def put_weights_(model: nn.Module, path: Path) -> None:
    """Load a state dict into a model; nothing that is stored in the file is run."""
    if not path.is_file():
        raise InputError(f"weights={str(path)!r}: no such file")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state)
    except Exception as error:  # torch.load raises what pickle, zipfile and torch have
        raise InputError(f"weights={str(path)!r} do not fit: {one_line(error)}") from error


def as_parts(dataset: Dataset, mean=None, std=None) -> Parts:
    """Return the splits of a data set, normalised with the mean and std of a network if given."""
    changed = {k: tuple(v) for k, v in (("mean", mean), ("std", std)) if v is not None}
    for name, values in changed.items():
        if len(values) != 3 or not all(isinstance(value, int | float) for value in values):
            raise InputError(f"{name}={list(values)}: expected three numbers")
    parts = {p: replace(getattr(dataset, p), **changed) for p in ("train", "val", "test")}
    return Parts(replace(dataset, **parts), parts["val"], parts["test"])


def check_parts(found: object, path: str) -> Parts:
    """Refuse anything but three sources of labelled batches that can be read again."""
    if not isinstance(found, tuple | list) or len(found) != 3:
        raise InputError(
            f"data={path!r} returned a {type(found).__name__}: expected three loaders, for "
            "training, choosing and testing"
        )
    for part in found:
        first_inputs(part, 1)
        next(labelled_batches(part, 1))
    return Parts(*found)


def check_answers(brought: Brought) -> None:
    """Run the model on a few images, and refuse outputs that are no logits of their labels."""
    inputs, labels = next(labelled_batches(brought.data.val, 8))
    try:
        with torch.no_grad():
            outputs = brought.model(inputs)
    except Exception as error:  # the reader's network: whatever it raises is the reason
        shape = tuple(inputs.shape)
        raise InputError(f"the model fails on inputs {shape}: {one_line(error)}") from error
    shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    if not isinstance(outputs, Tensor) or outputs.dim() != 2 or len(outputs) != len(inputs):
        raise InputError(f"the model returned {shape}: expected logits ({len(inputs)}, n_classes)")
    if (largest := int(labels.max())) >= outputs.shape[1]:
        raise InputError(f"label {largest} with {outputs.shape[1]} outputs: the classes do not fit")


def one_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its kind, at most 200 characters.

    >>> one_line(ValueError("first\\nsecond"))
    'first'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # torch says in the second line which weights do not fit
    text = " ".join(lines[:2]) if lines and lines[0].endswith(":") else (lines or [""])[0]
    return (text or type(error).__name__)[:200]
