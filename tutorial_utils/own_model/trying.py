"""Recipes tried on an unknown network: what works is measured, the rest has a reason."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from tutorial_utils.data import Split, first_inputs
from tutorial_utils.data.batches import LabelledBatches
from tutorial_utils.deploying import compile_for_inference, has_compiler
from tutorial_utils.errors import InputError, check_fraction
from tutorial_utils.measuring import Measurement, measure_in_turns
from tutorial_utils.own_model.bringing import Brought, one_line
from tutorial_utils.quantization import why_no_bf16
from tutorial_utils.recipes import Compressed, Setting, compress
from tutorial_utils.recipes.checking import Recipe, check_recipe


@dataclass(frozen=True)
class Attempt:
    """A recipe, and the model and its measurement, or the reason why there is none."""

    name: str
    recipe: Recipe
    model: nn.Module | None = None
    row: Measurement | None = None
    reason: str = ""


def own_recipes(
    epochs: float = 0, lr: float = 0.01, macs: float = 0.5, sparsity: float = 0.8
) -> dict[str, Recipe]:
    """Return the recipes for any network, by name; what needs training only with `epochs`.

    Args:
        epochs: passes over the training images after each cut, with the network as the teacher.
        lr: highest learning rate of that training.
        macs: fraction of the MACs that a structured cut leaves.
        sparsity: fraction of the weights that unstructured pruning removes.

    Raises:
        InputError: for anything that a step refuses.

    >>> list(own_recipes())[:4]
    ['float32', 'bfloat16', 'int8', '4 bits']
    """
    check_fraction("sparsity", sparsity)
    cut = ("cut_channels", {"macs": macs, "scope": "layer", "round_to": 8})
    zeros = ("prune_weights", {"sparsity": sparsity, "scope": "global"})
    int8 = ("quantize", {"n_bits": 8})
    recipes: dict[str, Recipe] = {
        "float32": [],
        "bfloat16": [("to_bfloat16", {})],
        "int8": [int8],
        "4 bits": [("quantize_best", {"n_bits": 4})],
        f"{macs:.0%} of the MACs": [cut],
        f"{sparsity:.0%} zeros": [zeros],
    }
    if why_no_bf16():
        del recipes["bfloat16"]
    if epochs:
        taught = ("distil", {"epochs": epochs, "lr": lr})
        recipes[f"{macs:.0%} of the MACs, taught"] = [cut, taught]
        recipes[f"{macs:.0%} of the MACs, taught, int8"] = [cut, taught, int8]
        recipes[f"{sparsity:.0%} zeros, taught"] = [zeros, taught]
    for recipe in recipes.values():
        check_recipe(recipe)
    return recipes


def try_recipes(
    brought: Brought,
    recipes: Mapping[str, Recipe],
    *,
    batch_size: int = 32,
    n_images: int = 2000,
    compiled: bool = True,
    seed: int = 0,
) -> list[Attempt]:
    """Follow each recipe, and measure what works on the images for choosing.

    Args:
        brought: the network and its images.
        recipes: by name, from `own_recipes`; one of them is empty, the baseline.
        batch_size: images per call to time.
        n_images: how many images to compare recipes on, at most (a loader is used whole).
        compiled: whether to compile the models before they are timed. Without it (or without a
            compiler) nothing is timed, because int8 that is not compiled is slower than float.
        seed: of every training.

    Raises:
        InputError: fewer than `batch_size` images for choosing, before anything is tried.
    """
    inputs = first_inputs(brought.data.val, batch_size)
    if len(inputs) < batch_size:
        raise InputError(f"{len(inputs)} images for choosing cannot fill a batch of {batch_size}")
    compiled = compiled and has_compiler()
    setting = Setting(brought.model, brought.data.train, seed)
    done: dict[str, Compressed] = {}
    found: dict[str, tuple[nn.Module, object]] = {}
    reasons: dict[str, str] = {}
    for name, recipe in recipes.items():
        try:
            model = compress(recipe, setting, done).model
            run = compile_for_inference(model, inputs) if compiled else model
            run(inputs)
            found[name] = model, run
        except Exception as error:  # of a library, about a network that it does not know
            reasons[name] = one_line(error)
    runs = {name: run for name, (_, run) in found.items()}
    sizes = (batch_size,) if compiled else ()
    rows = (
        measure_in_turns(runs, first_images(brought.data.val, n_images), batch_sizes=sizes)
        if runs
        else {}
    )
    return [
        Attempt(name, recipe, found[name][0], rows[name])
        if name in found
        else Attempt(name, recipe, reason=reasons[name])
        for name, recipe in recipes.items()
    ]


def first_images(source: Split | LabelledBatches, n: int) -> Split | LabelledBatches:
    """Return the first images of a split; a loader as it is."""
    return source[:n] if isinstance(source, Split) else source
