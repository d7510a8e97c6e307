"""Following a recipe, and what can be said of it before: its steps and its training."""

import time
from dataclasses import replace

from tutorial_utils.recipes.checking import Recipe, check_recipe, check_setting
from tutorial_utils.recipes.steps import STEPS, Compressed, Setting
from tutorial_utils.training.fitting import seed_everything


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
    >>> compress([], Setting(teacher, None, seed=0)).model is teacher
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


def training_epochs(recipe: Recipe) -> float:
    """Passes over the training data in all steps of a recipe together.

    >>> training_epochs([("train", {"epochs": 2, "lr": 0.1}), ("quantize", {"n_bits": 8})])
    2
    """
    return sum(options.get("epochs", 0) for _, options in recipe)


def without_training(recipe: Recipe) -> Recipe:
    """The recipe for the same shape and the same numbers of bits, without any training.

    How large a model is and how long it takes depends on these alone, so both can be measured
    without the training that the accuracy needs.

    >>> without_training([("train", {"epochs": 2, "lr": 0.1}), ("quantize", {"n_bits": 8})])
    [('quantize', {'n_bits': 8})]
    """
    steps = []
    for name, options in recipe:
        if name in ("train_quantized", "quantize_best"):
            steps.append(("quantize", {"n_bits": options["n_bits"]}))
        elif "epochs" not in options:
            steps.append((name, options))
    return steps


def describe(recipe: Recipe) -> str:
    """A recipe in one line, for a table.

    >>> describe([("cut_stage", {"stage": "stage3", "ratio": 0.5}), ("quantize", {"n_bits": 8})])
    "`cut_stage(stage='stage3', ratio=0.5)`, `quantize(n_bits=8)`"
    """
    calls = [
        f"`{name}({', '.join(f'{key}={value!r}' for key, value in options.items())})`"
        for name, options in recipe
    ]
    return ", ".join(calls) or "nothing"
