"""Fitting a classifier by stochastic gradient descent."""

import math
import random
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from tutorial_utils.data.batches import LabelledBatches, augment, batches, labelled_batches
from tutorial_utils.data.splits import Dataset, Split
from tutorial_utils.errors import InputError, check_positive
from tutorial_utils.memory import keep_freed_memory
from tutorial_utils.modes import device_of, set_training
from tutorial_utils.training.layout import choose_layout

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, NumPy and torch.

    >>> seed_everything(1); first = torch.rand(1)
    >>> seed_everything(1); bool(first == torch.rand(1))
    True
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def learning_rate(step: int, n_steps: int, peak: float) -> float:
    """Return the learning rate of a step: up in a straight line, then down along a cosine to 0.

    The first twentieth of the steps is the way up.

    Args:
        step: from 0 to `n_steps - 1`.
        n_steps: steps in all.
        peak: the highest learning rate.

    Source: the cosine is equation 5, without restarts, of Loshchilov and Hutter, SGDR (2017).

    >>> [round(learning_rate(step, 40, 1.0), 3) for step in (0, 1, 2, 20, 39)]
    [0.5, 1.0, 1.0, 0.541, 0.002]
    """
    n_up = max(1, n_steps // 20)
    if step < n_up:
        return peak * (step + 1) / n_up
    return peak * (1 + math.cos(math.pi * (step - n_up) / (n_steps - n_up))) / 2


def cross_entropy(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy of a batch."""
    return F.cross_entropy(model(inputs), labels)


def smoothed_cross_entropy(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy against labels that are nine tenths sure.

    Source: Szegedy et al., Rethinking the Inception Architecture (2016), section 7.
    """
    return F.cross_entropy(model(inputs), labels, label_smoothing=0.1)


def fit(
    model: nn.Module,
    data: Dataset | Split | LabelledBatches,
    *,
    epochs: float,
    lr: float = 0.1,
    seed: int = 0,
    batch_size: int = 128,
    weight_decay: float = 5e-4,
    loss: Loss | None = None,
    on_step: Callable[[int, int, nn.Module], None] | None = None,
    augmented: bool = True,
    bf16: bool = False,
    show: bool = True,
) -> list[dict[str, float]]:
    """Train a model by SGD with Nesterov momentum of 0.9.

    The model itself is changed, on the device that it is on; it ends in eval mode, and in
    channels_last where that is safe (see `training.layout`). The same seed, machine and number of
    threads give the same weights.

    Args:
        model: returns logits (N, n_classes) for inputs (N, C, H, W).
        data: a data set, of which the training part is read, a split, or a `DataLoader` or other
            iterable of (inputs, labels) that can be gone through again: once for each epoch, and
            once more to count its batches if it has no `len()`.
        epochs: passes over the data; a fraction stops in the middle of one.
        lr: highest learning rate (see `learning_rate`).
        seed: decides order, augmentation and dropout. The first weights are the model's own.
        batch_size: images per step. A smaller last batch of an epoch is left out. A loader has
            its own batches, and all of them count.
        weight_decay: L2 penalty on all parameters.
        loss: `loss(model, inputs, labels)`, a scalar; cross entropy by default.
        on_step: called as `on_step(step, n_steps, model)` after each step, `step` from 1.
        augmented: whether to vary the images of a data set (see `tutorial_utils.data.augment`).
            Splits and loaders are taken as they are.
        bf16: compute in bfloat16 where that is safe (autocast); the weights stay float32.
        show: whether to draw a progress bar.

    Returns:
        one dict per epoch with `epoch` (from 1), and `loss` and `accuracy` on its training
        batches as they were seen.

    Raises:
        InputError: for epochs, lr or batch_size that are not positive, and data of another kind.
        FloatingPointError: when the loss is NaN or infinite.
    """
    check_positive(epochs=epochs, lr=lr, batch_size=batch_size)
    keep_freed_memory()
    per_epoch = count_batches(data, batch_size)
    n_steps = max(1, round(epochs * per_epoch))
    loss = loss or cross_entropy
    device = device_of(model) or torch.device("cpu")
    layout = choose_layout(model, data, batch_size)
    model.to(memory_format=layout)
    optimizer = torch.optim.SGD(
        [weight for weight in model.parameters() if weight.requires_grad],
        lr=lr,
        momentum=0.9,
        nesterov=True,
        weight_decay=weight_decay,
    )
    history: list[dict[str, float]] = []
    progress = tqdm(total=n_steps, desc="fit", unit="step", mininterval=1, disable=not show)
    set_training(model, True)
    try:
        with progress, logits_seen(model) as seen, torch.random.fork_rng():
            torch.manual_seed(seed)  # for dropout
            stream = islice(train_batches(data, batch_size, seed, augmented), n_steps)
            for step, (inputs, labels) in enumerate(stream):
                inputs, labels = inputs.to(device), labels.to(device)
                if inputs.dim() == 4:
                    inputs = inputs.contiguous(memory_format=layout)
                optimizer.param_groups[0]["lr"] = learning_rate(step, n_steps, lr)
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    value = loss(model, inputs, labels)
                check_loss(value.item(), step + 1, n_steps, optimizer.param_groups[0]["lr"])
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                if on_step:
                    on_step(step + 1, n_steps, model)
                accuracy = (seen["logits"].argmax(1) == labels).float().mean().item()
                record(history, step, per_epoch, loss=value.item(), accuracy=accuracy)
                progress.set_postfix(history[-1], refresh=False)
                progress.update()
    finally:
        set_training(model, False)
    return history


def check_loss(value: float, step: int, n_steps: int, lr: float) -> None:
    """Raise FloatingPointError for a loss that training cannot recover from."""
    if not math.isfinite(value):
        raise FloatingPointError(
            f"the loss is {value} at step {step} of {n_steps} (lr={lr:.3g}): the learning rate is "
            "probably too high for this model; otherwise look for NaN in its weights or the inputs"
        )


def record(history: list[dict[str, float]], step: int, per_epoch: int, **values: float) -> None:
    """Take the values of a step into the running mean of its epoch, the last of `history`.

    >>> history = []
    >>> for step, loss in enumerate([4.0, 2.0, 1.0]):
    ...     record(history, step, per_epoch=2, loss=loss)
    >>> history
    [{'epoch': 1, 'loss': 3.0}, {'epoch': 2, 'loss': 1.0}]
    """
    if step % per_epoch == 0:
        history.append({"epoch": len(history) + 1} | dict.fromkeys(values, 0.0))
    n = step % per_epoch + 1
    for name, value in values.items():
        history[-1][name] += (value - history[-1][name]) / n


def count_batches(data: Dataset | Split | LabelledBatches, batch_size: int) -> int:
    """Return how many steps an epoch has.

    >>> count_batches([(torch.zeros(4, 3, 8, 8), torch.zeros(4, dtype=torch.long))] * 3, 128)
    3
    """
    source = data.train if isinstance(data, Dataset) else data
    if isinstance(source, Split):
        return max(1, len(source) // batch_size)
    if isinstance(source, Iterator):
        raise InputError(
            f"data is a {type(source).__name__}, which gives its batches only once: pass a "
            "DataLoader or a list of them"
        )
    if isinstance(source, Sized):
        with suppress(TypeError):  # a DataLoader has no length where its data set has none
            return max(1, len(source))
    with torch.random.fork_rng():  # which a DataLoader draws from
        return sum(1 for _ in labelled_batches(source, batch_size))


def train_batches(
    data: Dataset | Split | LabelledBatches, batch_size: int, seed: int, augmented: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Go through the data again and again; of a split, in a new order each time.

    The images of a data set are varied anew each time, those of other sources are not.
    """
    source = data.train if isinstance(data, Dataset) else data
    if not isinstance(source, Split):
        while True:
            yield from labelled_batches(source, batch_size)
    generator = torch.Generator().manual_seed(seed)
    vary = None
    if augmented and isinstance(data, Dataset):
        vary = partial(augment, flip=data.flip, recolour=data.recolour)
    while True:
        epoch = batches(source, batch_size, generator=generator, augment=vary)
        yield from islice(epoch, count_batches(source, batch_size))


@contextmanager
def logits_seen(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Catch what a model returns, because a loss function calls it and keeps the logits."""
    seen: dict[str, Tensor] = {}
    hook = model.register_forward_hook(
        lambda _model, _inputs, logits: seen.update(logits=logits.detach())
    )
    try:
        yield seen
    finally:
        hook.remove()
