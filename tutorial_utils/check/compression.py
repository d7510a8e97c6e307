"""Exercises that give a trained network, a budget and a score: compress it as well as you can.

`compress_exercise` makes one. The reader's function gets the arguments that ``args`` made (a model
first, data, a budget) and returns the compressed model. The check measures that model on scenes
that nobody has seen, and takes every figure itself: accuracy in percent, bytes of its file, bytes
of the zipped file, weights that are not zero, and MACs for one image. What exceeds the budget is
refused; what keeps to it gets a score and a place between a lazy answer, the solution and the best
that is known.

An exercise of another kind of answer (a file, say) brings its own ``measure``.
"""

import copy
from collections.abc import Callable, Mapping
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import nn

from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.check.honest import check_model
from tutorial_utils.check.tries import Reached
from tutorial_utils.data import Split, digits, first_inputs, load, subset
from tutorial_utils.measuring import (
    compressed_bytes,
    count_macs,
    count_nonzero,
    evaluate,
    size_bytes,
)

Figures = dict[str, float]
Advice = tuple[tuple[Callable[[Figures], bool], str], ...]
N_UNSEEN = 2000
_UNSEEN_SEED = 20_260  # no split has it


@cache
def unseen() -> Split:
    """Return scenes of no split: handwriting that no network was trained on, in new scenes."""
    pixels, labels = load_digits(return_X_y=True)
    strokes = digits.smooth_strokes(torch.from_numpy(pixels).view(-1, 8, 8) / 16)
    by_class = digits.split_sources(torch.from_numpy(labels))["test"]
    generator = torch.Generator().manual_seed(_UNSEEN_SEED)
    wanted = (torch.arange(N_UNSEEN) % 10).split(100)
    made = [digits.compose(strokes, by_class, batch, generator) for batch in wanted]
    images, sources = map(torch.cat, zip(*made, strict=True))
    return Split(images, torch.cat(wanted), digits.MEAN, digits.STD, sources)


@cache
def seen(n_train: int, n_val: int = 1000) -> tuple[Split, Split]:
    """Return training and validation scenes for an exercise, few enough to be quick."""
    data = load("digits")
    return subset(data.train, n_train, 0), data.val[:n_val]


def measure_model(answer: object, original: nn.Module, *_: object) -> Figures:
    """Return what a compressed model is worth and what it costs.

    Args:
        answer: what the reader's function returned.
        original: the model that was to be compressed, as it was.

    Returns:
        accuracy in percent on `unseen`, bytes, zipped bytes, weights and biases that are not
        zero, MACs of one image.

    Raises:
        Refused: when it is no model that could be used in the place of the other.
    """
    check_model(answer, original)
    images = unseen()
    return {
        "accuracy": 100 * evaluate(answer, images),
        "bytes": size_bytes(answer),
        "zipped bytes": compressed_bytes(answer),
        "nonzero weights": count_nonzero(answer),
        "MACs": count_macs(answer, first_inputs(images, 1)),
    }


def compress_exercise(
    chapter: int,
    name: str,
    args: Callable[[], dict[str, object]],
    *,
    most: Mapping[str, float],
    reached: Reached,
    after: str,
    advice: Advice = (),
    measure: Callable[..., Figures] = measure_model,
    score: Callable[[Figures], float] = lambda figures: figures["accuracy"],
) -> Exercise:
    """Make an exercise in which a network is compressed.

    Args:
        chapter, name, after: as of any exercise.
        args: makes what the reader's function is given, by name and in order: the model first,
            then data, a budget, whatever is needed. The function must leave all of it as it is.
        most: the budget, the highest value of some figures: {"bytes": 60_000}.
        reached: scores that others reached, and the score that solves the exercise.
        advice: hints for a score that is too low: (figures -> bool, hint); the first that holds.
        measure: from the answer and the arguments as they were to the figures; it raises `Refused`
            for an answer that is of no use.
        score: from the figures to the score; higher is better. The accuracy by default.
    """

    def observe(function: Callable, *values: object) -> Figures:
        before = copy.deepcopy(values)
        figures = measure(function(*values), *before)
        return {"score": score(figures), **figures}

    def judge(figures: Figures, **_: object) -> tuple[str, str] | None:
        for figure, limit in most.items():
            if figures[figure] > limit:
                over = f"at most {limit:,} {figure}, yours are {figures[figure]:,}"
                return over, f"it does not keep to the budget: count the {figure} before you return"
        if figures["score"] >= reached.wanted:
            return None
        expected = f"a score of at least {reached.wanted:.4g}, yours {figures['score']:.4g}"
        found = [
            hint for holds, hint in (_GUESSING, *advice, *_general(most, reached)) if holds(figures)
        ]
        return expected, found[0]

    return Exercise(
        chapter,
        name,
        lambda: [Case("the network to compress", args())],
        judge=judge,
        observe=observe,
        after=after,
        most=most,
        reached=reached,
    )


_GUESSING = (
    lambda figures: figures.get("accuracy", 100) < 20,
    "that is little better than guessing: does it answer well before it is compressed further, and "
    "are its batch norm statistics those of the smaller network?",
)


def _general(most: Mapping[str, float], reached: Reached) -> Advice:
    """Hints for any score that is too low, within the budget."""
    return (
        (
            lambda figures: all(figures[name] < 0.8 * limit for name, limit in most.items()),
            "a fifth of the budget is left: spend it where the network minds most",
        ),
        (
            lambda figures: figures["score"] <= reached.lazy,
            f"a lazy answer has {reached.lazy:.4g}: compress less where it hurts, or let the "
            "network recover",
        ),
        (lambda figures: True, "better than a lazy answer: which layer loses most, and why?"),
    )
