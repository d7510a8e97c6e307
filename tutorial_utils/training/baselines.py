"""The recipe that all baselines were trained with."""

from pathlib import Path

from torch import nn

from tutorial_utils.data.loading import load
from tutorial_utils.data.splits import Dataset
from tutorial_utils.errors import InputError
from tutorial_utils.measuring.prediction import evaluate
from tutorial_utils.models.baselines import SHIPPED, baseline_path, save_baseline
from tutorial_utils.models.resnet import make_model
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
        name: "resnet8", "resnet20" or "resnet56".
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


SHIPPED_EPOCHS = {"resnet8": 15, "resnet20": 20}


def train_shipped() -> None:
    """Train each model from seed 0, print its accuracy, and store the weights."""
    data = load("digits")
    for name, epochs in SHIPPED_EPOCHS.items():
        model = make_baseline(name, data, epochs=epochs, seed=0, bf16=True, show=True)
        write_tensors(SHIPPED / f"{name}-{data.key}.safetensors", model.state_dict())
        for part in ("val", "test"):
            print(f"{name} {part}: {evaluate(model, getattr(data, part)):.4f}")
