"""The recipe that all baselines were trained with."""

from collections.abc import Collection
from pathlib import Path

from torch import nn

from tutorial_utils.data.loading import load
from tutorial_utils.data.splits import Dataset
from tutorial_utils.errors import InputError, check_choice
from tutorial_utils.measuring.prediction import evaluate
from tutorial_utils.models.baselines import SHIPPED, baseline_path, save_baseline
from tutorial_utils.models.named import make_model
from tutorial_utils.storage.tensors import write_tensors
from tutorial_utils.training.fitting import (
    fit,
    seed_everything,
    smoothed_cross_entropy,
)


def train_baseline(
    name: str,
    data: Dataset,
    *,
    epochs: float,
    seed: int = 0,
    bf16: bool = False,
    show: bool = True,
) -> Path:
    """Train a baseline for a data set, store it in the cache, and return its file.

    Args:
        name: "resnet8", "resnet20", "resnet56" or "mobilenet".
        data: the data set; `tutorial_utils.models.load_baseline` finds the weights by its key.
        epochs: passes over the training part.
        seed: decides the first weights, order and augmentation.
        bf16, show: as for `fit`.

    Raises:
        InputError: for an unknown name, bad epochs, or weights that the package ships already.
    """
    if (path := baseline_path(name, data)).parent == SHIPPED:
        raise InputError(f"{name} for {data.name!r} is shipped with the package: {path}")
    model = make_baseline(name, data, epochs=epochs, seed=seed, bf16=bf16, show=show)
    return save_baseline(model, name, data)


def make_baseline(
    name: str, data: Dataset, *, epochs: float, seed: int, bf16: bool, show: bool
) -> nn.Module:
    """Return a model trained with the recipe of all baselines (arguments as `train_baseline`)."""
    seed_everything(seed)
    model = make_model(name, len(data.classes))
    fit(model, data, epochs=epochs, seed=seed, loss=smoothed_cross_entropy, bf16=bf16, show=show)
    return model


SHIPPED_EPOCHS = {"resnet8": 15, "resnet20": 20, "mobilenet": 15}


def train_shipped(names: Collection[str] = ()) -> None:
    """Train models from seed 0, print their accuracy, and store the weights in the package.

    Args:
        names: which of the shipped models; all by default.

    Raises:
        InputError: for a name that is not shipped.
    """
    for name in names:
        check_choice("model", name, SHIPPED_EPOCHS)
    data = load("digits")
    for name in names or SHIPPED_EPOCHS:
        bf16 = name != "mobilenet"  # depthwise convolutions gain nothing from 16 bits
        epochs = SHIPPED_EPOCHS[name]
        model = make_baseline(name, data, epochs=epochs, seed=0, bf16=bf16, show=True)
        write_tensors(SHIPPED / f"{name}-{data.key}.safetensors", model.state_dict())
        for part in ("val", "test"):
            print(f"{name} {part}: {evaluate(model, getattr(data, part)):.4f}")
