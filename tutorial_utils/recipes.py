"""Several techniques one after the other, written down so that anybody can repeat them.

A recipe is a list of steps, each the name of a step and its options. `compress` takes a trained
model through them in their order. `RECIPES` and `ORDERS` hold what chapter 8 compares.
"""

import copy
import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import torch
from torch import nn

from tutorial_utils import data as datasets
from tutorial_utils.data.splits import Dataset
from tutorial_utils.distillation.teaching import kd_loss
from tutorial_utils.errors import InputError
from tutorial_utils.models.baselines import load_baseline
from tutorial_utils.pruning.masks import Masks, make_masks, prunable_layers
from tutorial_utils.pruning.networks import prune_channels, prune_to_macs
from tutorial_utils.pruning.schedules import keep_masked
from tutorial_utils.quantization.ptq import quantize_ptq
from tutorial_utils.quantization.qat import finish_qat, prepare_qat
from tutorial_utils.training.fitting import fit, seed_everything, smoothed_cross_entropy
from tutorial_utils.training.precision import has_fast_bf16

Step = tuple[str, dict]
Recipe = Sequence[Step]

_HALF: Step = ("cut_channels", {"macs": 0.5})
_SMALL: Step = ("take_student", {"model": "resnet8"})
_NARROW: Step = ("cut_stage", {"stage": "stage3", "ratio": 0.5})
_DISTIL: Step = ("distil", {})
_INT8: Step = ("quantize", {"n_bits": 8})
_INT4: Step = ("quantize", {"n_bits": 4})

RECIPES: dict[str, list[Step]] = {
    "float32": [],
    "control: trained on": [("train", {"share": 1.5})],
    "PTQ, 8 bits": [_INT8],
    "QAT, 4 bits": [("train_quantized", {"n_bits": 4, "share": 0.25})],
    "unstructured, 80 %": [("prune_and_train", {"sparsity": 0.8, "share": 1.5})],
    "structured, half": [_HALF, ("train", {})],
    "KD": [_SMALL, _DISTIL],
    "structured + KD": [_HALF, _DISTIL],
    "structured + KD + PTQ": [_HALF, _DISTIL, _INT8],
    "structured + KD + QAT, 4 bits": [
        _HALF, _DISTIL, ("train_quantized", {"n_bits": 4, "share": 0.25, "taught": True}),
    ],
    "KD + PTQ": [_SMALL, _DISTIL, _INT8],
    "cut student + KD + PTQ": [_SMALL, _NARROW, ("distil", {"share": 3}), _INT8],
}  # fmt: skip

ORDERS: dict[str, list[Step]] = {
    "prune, distil, quantize": [_SMALL, _NARROW, _DISTIL, _INT4],
    "prune, quantize, distil": [
        _SMALL, _NARROW, ("train_quantized", {"n_bits": 4, "taught": True}),
    ],
    "distil, prune, quantize": [_SMALL, _DISTIL, _NARROW, _INT4],
}  # fmt: skip


@dataclass(frozen=True)
class Compressed:
    """A model on its way, the masks that hold its zeros, and the seconds that it took."""

    model: nn.Module
    masks: Masks = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Setting:
    """What all steps of all recipes have in common (arguments as for `compress`)."""

    teacher: nn.Module
    data: Dataset
    epochs: float
    lr: float
    seed: int


def compress(
    recipe: Recipe, setting: Setting, done: dict[str, Compressed] | None = None
) -> Compressed:
    """Take a trained model, the teacher, through the steps of a recipe.

    Args:
        recipe: steps as (name, options); the names are those of `STEPS`.
        setting: the teacher (not changed; `distillation.Remembering` around it shares its answers
            between recipes), the data, the epochs of a training step (its option `share` scales
            them), the highest learning rate and the seed, which is set anew for every step.
        done: results of earlier calls with the same setting. Recipes that begin alike share them,
            and the result is the same as without.

    Raises:
        InputError: an unknown step or option, before anything runs; a step after one that
            quantizes, because a quantized model cannot be trained or cut any more.

    >>> teacher = nn.Sequential(nn.Linear(4, 4))
    >>> setting = Setting(teacher, None, epochs=1, lr=0.1, seed=0)
    >>> compress([], setting).model is teacher
    True
    """
    check_recipe(recipe)
    done = {} if done is None else done
    result = Compressed(getattr(setting.teacher, "teacher", setting.teacher).eval())
    taken = ""
    for name, options in recipe:
        taken += f"{name} {sorted(options.items())}; "
        if taken not in done:
            seed_everything(setting.seed)
            start = time.perf_counter()
            after = STEPS[name](result, setting, **options)
            seconds = result.seconds + time.perf_counter() - start
            done[taken] = replace(after, model=after.model.eval(), seconds=seconds)
        result = done[taken]
    return result


def check_recipe(recipe: Recipe) -> None:
    """Refuse a recipe that could not be followed to its end.

    >>> check_recipe([("quantise", {"n_bits": 8})])
    Traceback (most recent call last):
    tutorial_utils.errors.InputError: step 'quantise': did you mean 'quantize'?
    """
    for i, (name, options) in enumerate(recipe):
        if name not in STEPS:
            near = get_close_matches(name, STEPS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(STEPS)}"
            raise InputError(f"step {name!r}: {hint}")
        known = list(inspect.signature(STEPS[name]).parameters)[2:]
        if unknown := sorted(set(options) - set(known)):
            raise InputError(f"step {name!r} has no option {unknown}: expected some of {known}")
        if i and recipe[i - 1][0] in ("quantize", "train_quantized"):
            raise InputError(
                f"step {name!r} comes after {recipe[i - 1][0]!r}: quantizing has to be the last"
            )


def describe(recipe: Recipe) -> str:
    """A recipe in one line, for a table.

    >>> describe([("cut_channels", {"macs": 0.5}), ("distil", {})])
    '`cut_channels(macs=0.5)`, `distil()`'
    """
    calls = [
        f"`{name}({', '.join(f'{key}={value!r}' for key, value in options.items())})`"
        for name, options in recipe
    ]
    return ", ".join(calls) or "nothing"


def train(work: Compressed, setting: Setting, share: float = 1) -> Compressed:
    """Train on with the labels, smoothed as for the baselines; zeros stay zeros."""
    return _fit(work, setting, share, smoothed_cross_entropy)


def distil(work: Compressed, setting: Setting, share: float = 1) -> Compressed:
    """Train with the labels and the teacher; zeros stay zeros."""
    return _fit(work, setting, share, kd_loss(setting.teacher))


def take_student(work: Compressed, setting: Setting, model: str) -> Compressed:
    """Put a trained baseline of another architecture in the place of the model."""
    return Compressed(load_baseline(model, setting.data))


def cut_channels(work: Compressed, setting: Setting, macs: float, round_to: int = 16) -> Compressed:
    """Cut channels until a fraction of the MACs is left, in numbers that suit int8 kernels."""
    example = _example(setting)
    return Compressed(prune_to_macs(work.model, example, macs, scope="global", round_to=round_to))


def cut_stage(work: Compressed, setting: Setting, stage: str, ratio: float) -> Compressed:
    """Cut a fraction of the channels of one stage, and leave the other stages alone."""
    skip = [name for name in prunable_layers(work.model) if not name.startswith(stage)]
    return Compressed(prune_channels(work.model, _example(setting), ratio, skip=skip))


def prune_and_train(
    work: Compressed, setting: Setting, sparsity: float, share: float = 1
) -> Compressed:
    """Remove single weights by magnitude, at once, and train the others with the labels."""
    masks = make_masks(work.model, sparsity)
    return _fit(replace(work, masks=masks), setting, share, smoothed_cross_entropy, lr=0.1)


def quantize(work: Compressed, setting: Setting, n_bits: int) -> Compressed:
    """Post-training quantization of the weights to `n_bits`, of the activations to 8 bits."""
    return Compressed(quantize_ptq(work.model, _calibration(setting), n_bits=n_bits))


def train_quantized(
    work: Compressed, setting: Setting, n_bits: int, share: float = 1, taught: bool = False
) -> Compressed:
    """Quantization-aware training, with the labels or also with the teacher."""
    prepared = prepare_qat(work.model, _calibration(setting), n_bits=n_bits)
    loss = kd_loss(setting.teacher) if taught else smoothed_cross_entropy
    return Compressed(finish_qat(_fit(Compressed(prepared), setting, share, loss).model))


STEPS: dict[str, Callable[..., Compressed]] = {
    "train": train,
    "distil": distil,
    "take_student": take_student,
    "cut_channels": cut_channels,
    "cut_stage": cut_stage,
    "prune_and_train": prune_and_train,
    "quantize": quantize,
    "train_quantized": train_quantized,
}


def _fit(work: Compressed, setting: Setting, share: float, loss, lr=None) -> Compressed:
    model = copy.deepcopy(work.model)
    fit(
        model,
        setting.data,
        epochs=share * setting.epochs,
        lr=lr or setting.lr,
        seed=setting.seed,
        loss=loss,
        on_step=keep_masked(work.masks),
        bf16=has_fast_bf16(),
        show=False,
    )
    return replace(work, model=model)


def _example(setting: Setting) -> torch.Tensor:
    return datasets.to_inputs(setting.data.train[:1])


def _calibration(setting: Setting) -> torch.Tensor:
    return datasets.to_inputs(setting.data.train[:200])
