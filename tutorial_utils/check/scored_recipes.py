"""Networks of chapters 7 and 8 that are to be compressed, their budgets, what is known."""

import math
from dataclasses import replace
from functools import cache

import torch
from torch import nn

from tutorial_utils.check.compression import Figures, compress_exercise, seen
from tutorial_utils.check.tries import Reached
from tutorial_utils.data import load
from tutorial_utils.models import load_baseline
from tutorial_utils.pruning import prune_channels

N_LABELS = 100


def _network() -> nn.Module:
    return load_baseline("resnet8", load("digits"))


@cache
def _student() -> nn.Module:
    return prune_channels(_network(), torch.zeros(1, 3, 32, 32), ratio=0.5, criterion="l1")


def _to_teach() -> dict[str, object]:
    train, val = seen(3000)
    unlabelled = replace(train[N_LABELS:], labels=torch.zeros_like(train.labels[N_LABELS:]))
    args = {"teacher": _network(), "student": _student(), "labelled": train[:N_LABELS]}
    return args | {"unlabelled": unlabelled, "val": val}


TEACH = compress_exercise(
    7,
    "teach",
    _to_teach,
    most={"bytes": 90_000},
    reached=Reached(lazy=61.5, solution=93.1, best=94.65, how="twice as many epochs", wanted=88),
    advice=(
        (
            lambda figures: True,
            "that is what a student reaches alone: hardly an image has a label, but the teacher "
            "has an answer to each of them",
        ),
    ),
    after="The teacher's answers made a lesson of every image, also of those without a label. In "
    "practice labels cost money and images are free, and that is where distillation pays most.",
)


def _to_combine() -> dict[str, object]:
    train, val = seen(2000)
    return {"model": _network(), "train": train, "val": val}


def _points_and_bytes(figures: Figures) -> float:
    """Accuracy in percent, and three points for each halving of the zipped file."""
    return figures["accuracy"] + 3 * math.log2(100_000 / figures["zipped bytes"])


COMBINE = compress_exercise(
    8,
    "combine",
    _to_combine,
    most={"zipped bytes": 100_000},
    reached=Reached(
        lazy=98.6,
        solution=101.6,
        best=102.8,
        how="best_ptq, 2 bits, 8 in the first and the last layer",
        wanted=100.5,
    ),
    score=_points_and_bytes,
    advice=(
        (
            lambda figures: figures["accuracy"] > 95 and figures["zipped bytes"] > 30_000,
            "hardly a point is lost, and a halving of the file is worth three: compress more",
        ),
        (
            lambda figures: figures["accuracy"] < 90,
            "more is lost than the bytes are worth: train after the cut, or round with the best "
            "PTQ, before you compress less",
        ),
    ),
    after="Zeros and few bits share the same bytes, so both save less than their product, and the "
    "best that is known is one alone, done well. In practice any combination is compared with "
    "that rival, and the price of a byte is fixed before the first try.",
)
