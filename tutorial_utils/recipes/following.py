"""The recipes of the book, and following one of them."""

import time
from dataclasses import replace

from tutorial_utils.recipes.checking import Recipe, Step, check_recipe, check_setting
from tutorial_utils.recipes.steps import STEPS, Compressed, Setting
from tutorial_utils.training.fitting import seed_everything

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


def compress(
    recipe: Recipe, setting: Setting, done: dict[str, Compressed] | None = None
) -> Compressed:
    """Take a trained model, the teacher, through the steps of a recipe.

    Args:
        recipe: steps as (name, options); the names are those of `STEPS`.
        setting: what the recipes have in common.
        done: results of earlier calls with the same setting. Recipes that begin alike share them,
            and the result is the same as without.

    Raises:
        InputError: what `check_recipe` refuses, a student without trained weights, a stage that
            the model does not have; all before anything runs.

    >>> from torch import nn
    >>> teacher = nn.Sequential(nn.Linear(4, 4))
    >>> setting = Setting(teacher, None, epochs=1, lr=0.1, seed=0)
    >>> compress([], setting).model is teacher
    True
    """
    check_recipe(recipe)
    check_setting(recipe, setting)
    done = {} if done is None else done
    result = Compressed(setting.model.eval())
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
