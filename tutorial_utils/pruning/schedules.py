"""Pruning during training: keep zeros at zero, prune step by step.

Each maker returns a callable for ``training.fit(..., on_step=...)``, which calls it as
``on_step(step, n_steps, model)`` after each optimiser step, with steps counted from 1.
"""

from collections.abc import Callable, Collection, Mapping

from torch import Tensor, nn

from tutorial_utils.errors import InputError, check_fraction
from tutorial_utils.pruning.masks import Masks, apply_masks_, make_masks

OnStep = Callable[[int, int, nn.Module], None]


def keep_masked(masks: Mapping[str, Tensor]) -> OnStep:
    """For ``training.fit(..., on_step=keep_masked(masks))``: zeros stay zero while training.

    The optimiser moves a masked weight (by its gradient and by momentum), this moves it back
    before the next forward pass, so the model that is trained is always the pruned one.
    """

    def on_step(step: int, n_steps: int, model: nn.Module) -> None:
        apply_masks_(model, masks)

    return on_step


def cubic_sparsity(
    step: float, start: float, end: float, final: float, initial: float = 0.0
) -> float:
    """Sparsity at a step of gradual pruning: fast while weights abound, slow towards the end.

    Before `start` it is `initial`, after `end` it is `final`.

    Source: Zhu and Gupta 2017, "To prune, or not to prune", equation 1.

    >>> [cubic_sparsity(step, 0, 2, 0.5) for step in (0, 1, 2, 3)]
    [0.0, 0.4375, 0.5, 0.5]
    """
    check_fraction("final", final)
    check_fraction("initial", initial)
    if not start < end:
        raise InputError(f"start={start}, end={end}: expected start before end")
    progress = min(max((step - start) / (end - start), 0.0), 1.0)
    return final + (initial - final) * (1 - progress) ** 3


def prune_gradually(
    sparsity: float,
    *,
    start: float = 0.0,
    end: float = 0.75,
    every: int = 10,
    scope: str = "global",
    skip: Collection[str] = (),
) -> OnStep:
    """For ``training.fit(..., on_step=...)``: prune by magnitude more and more while training.

    Args:
        sparsity: at the end of the schedule; it is kept until the end of the training.
        start, end: where the cubic schedule starts and ends, as fractions of all steps.
        every: optimiser steps between two updates of the masks.
        scope, skip: as in `make_masks`.

    Source: Zhu and Gupta 2017, "To prune, or not to prune".
    """
    check_fraction("sparsity", sparsity)
    if not 0 <= start < end <= 1 or every < 1:
        raise InputError(
            f"start={start}, end={end}, every={every}: expected 0 <= start < end <= 1, every >= 1"
        )
    masks: Masks = {}  # of one training; the next one starts anew

    def on_step(step: int, n_steps: int, model: nn.Module) -> None:
        nonlocal masks
        if step == 1:  # of another training, maybe of another model
            masks = {}
        # First the old masks: a removed weight that just moved must not win its place back.
        apply_masks_(model, masks)
        first, last = round(start * n_steps), max(1, round(end * n_steps))
        if step == last or (first < step < last and (step - first) % every == 0):
            target = sparsity if step == last else cubic_sparsity(step, first, last, sparsity)
            masks = make_masks(model, target, scope=scope, skip=skip)
            apply_masks_(model, masks)

    return on_step
