"""What is wrong with a recipe, said before any of it runs."""

import inspect
from collections.abc import Callable, Sequence

from tutorial_utils.errors import InputError, check_choice, check_fraction, check_positive, suggest
from tutorial_utils.models.named import MODELS
from tutorial_utils.pruning.masks import SCOPES, prunable_layers
from tutorial_utils.quantization.affine import int_range
from tutorial_utils.recipes.steps import STEPS, Compressed, Setting, take_student

Step = tuple[str, dict]
Recipe = Sequence[Step]


def _check_type(name: str, value: object, kind: type) -> None:
    if type(value) is not kind:
        raise InputError(f"{name}={value!r}: expected a value of type {kind.__name__}")


OPTIONS: dict[str, Callable[[object], None]] = {
    "epochs": lambda value: check_positive(epochs=value),
    "lr": lambda value: check_positive(lr=value),
    "macs": lambda value: check_positive(macs=value) or check_fraction("macs", value),
    "ratio": lambda value: check_fraction("ratio", value),
    "sparsity": lambda value: check_fraction("sparsity", value),
    "scope": lambda value: check_choice("scope", value, SCOPES),
    "round_to": lambda value: _check_type("round_to", value, int) or check_positive(round_to=value),
    "n_bits": lambda value: int_range(value, signed=True),
    "model": lambda value: check_choice("model", value, MODELS),
    "stage": lambda value: _check_type("stage", value, str),
    "taught": lambda value: _check_type("taught", value, bool),
}


# What changes the numbers: afterwards there is no gradient, or a coarse one.
QUANTIZING = ("to_bfloat16", "quantize", "quantize_best", "train_quantized")


def check_recipe(recipe: Recipe) -> None:
    """Refuse a recipe that could not be followed to its end.

    Raises:
        InputError: an unknown step, an unknown, missing or impossible option; a step after one
            that quantizes, because a quantized model cannot be trained or cut any more.

    >>> check_recipe([("quantise", {"n_bits": 8})])
    Traceback (most recent call last):
    tutorial_utils.errors.InputError: step='quantise'; did you mean 'quantize'?
    """
    for i, (name, options) in enumerate(recipe):
        check_choice("step", name, STEPS)
        try:
            inspect.signature(STEPS[name]).bind(None, None, **options)
        except TypeError as error:
            known = list(inspect.signature(STEPS[name]).parameters)[2:]
            raise InputError(f"step {name!r}: {error}; its options are {known}") from error
        for option, value in options.items():
            try:
                OPTIONS[option](value)
            except InputError as error:
                raise InputError(f"step {name!r}: {error}") from error
        if i and recipe[i - 1][0] in QUANTIZING:
            raise InputError(
                f"step {name!r} comes after {recipe[i - 1][0]!r}: quantizing has to be the last"
            )


def check_setting(recipe: Recipe, setting: Setting) -> None:
    """Refuse a stage that the model of that step does not have, and a student that is not there."""
    model = setting.model
    for name, options in recipe:
        if name == "take_student":
            model = take_student(Compressed(model), setting, **options).model
        if name == "cut_stage":
            stage, layers = options["stage"], prunable_layers(model)
            if not any(layer.startswith(stage) for layer in layers):
                stages = {layer.split(".")[0] for layer in layers}
                raise InputError(f"step {name!r}: stage={stage!r}{suggest(stage, stages)}")
