"""Fitting a classifier by stochastic gradient descent."""

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from tutorial_utils.data.batches import augment, batches
from tutorial_utils.data.splits import Dataset
from tutorial_utils.errors import check_positive
from tutorial_utils.memory import keep_freed_memory

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
    data: Dataset,
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
    device: str = "cpu",
    show: bool = True,
) -> list[dict[str, float]]:
    """Train a model on `data.train`, by SGD with Nesterov momentum of 0.9.

    The model itself is changed; it ends in eval mode and channels_last. The same seed, machine and
    number of threads give the same weights.

    Args:
        model: returns logits (N, n_classes) for inputs (N, 3, 32, 32).
        data: only its training part is read.
        epochs: passes over the training part; a fraction stops in the middle of one.
        lr: highest learning rate (see `learning_rate`).
        seed: decides order, augmentation and dropout. The first weights are the model's own.
        batch_size: images per step. A smaller last batch of an epoch is left out.
        weight_decay: L2 penalty on all parameters.
        loss: `loss(model, inputs, labels)`, a scalar; cross entropy by default.
        on_step: called as `on_step(step, n_steps, model)` after each step, `step` from 1.
        augmented: whether to vary the images (see `tutorial_utils.data.augment`).
        bf16: compute in bfloat16 where that is safe (autocast); the weights stay float32.
        device: "cpu" or "cuda".
        show: whether to draw a progress bar.

    Returns:
        one dict per epoch with `epoch` (from 1), and `loss` and `accuracy` on its training
        batches as they were seen.

    Raises:
        InputError: for epochs, lr or batch_size that are not positive.
        FloatingPointError: when the loss is NaN or infinite.
    """
    check_positive(epochs=epochs, lr=lr, batch_size=batch_size)
    keep_freed_memory()
    per_epoch = max(1, len(data.train) // batch_size)
    n_steps = max(1, round(epochs * per_epoch))
    loss = loss or cross_entropy
    model.to(device).to(memory_format=torch.channels_last)
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
                optimizer.param_groups[0]["lr"] = learning_rate(step, n_steps, lr)
                with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
                    value = loss(model, inputs, labels)
                check_finite(value.item(), step + 1, n_steps, optimizer.param_groups[0]["lr"])
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


def check_finite(value: float, step: int, n_steps: int, lr: float) -> None:
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


def train_batches(
    data: Dataset, batch_size: int, seed: int, augmented: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Go through the training part again and again, in a new order and varied anew each time."""
    generator = torch.Generator().manual_seed(seed)
    vary = partial(augment, flip=data.flip, recolour=data.recolour) if augmented else None
    per_epoch = max(1, len(data.train) // batch_size)
    while True:
        epoch = batches(data.train, batch_size, generator=generator, augment=vary)
        yield from islice(epoch, per_epoch)


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


def set_training(model: nn.Module, training: bool) -> None:
    """Put a model in train or eval mode, exported ones included."""
    try:
        model.train(training)
    except NotImplementedError:  # the graph of an exported model is rewritten instead
        from torchao.quantization.pt2e import (
            move_exported_model_to_eval,
            move_exported_model_to_train,
        )

        (move_exported_model_to_train if training else move_exported_model_to_eval)(model)
