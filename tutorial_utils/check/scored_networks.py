"""Networks of chapters 3, 5 and 6 that are to be compressed, their budgets, what is known."""

from functools import partial

from tutorial_utils.check.compression import compress_exercise, seen
from tutorial_utils.check.tries import Reached
from tutorial_utils.data import load
from tutorial_utils.models import load_baseline


def _network(budget: int) -> dict[str, object]:
    """The shipped ResNet-8, images to train and to choose with, and a budget."""
    train, val = seen(4000)
    model = load_baseline("resnet8", load("digits"))
    return {"model": model, "train": train, "val": val, "budget": budget}


def _to_quantize() -> dict[str, object]:
    model, train, val, budget = _network(40_000).values()
    return {"model": model, "calibration": train[:256], "val": val, "budget": budget}


QUANTIZE_TO_BUDGET = compress_exercise(
    3,
    "quantize_to_budget",
    _to_quantize,
    most={"bytes": 40_000},
    reached=Reached(
        lazy=83.5,
        solution=95.1,
        best=97.5,
        how="the same layers in float, best_ptq for the others",
        wanted=92,
    ),
    advice=(
        (
            lambda figures: figures["bytes"] < 36_000 and figures["accuracy"] > 20,
            "some thousand bytes are left: that is enough to keep small layers in float, and the "
            "small ones often mind most",
        ),
    ),
    after="Two small layers, the first and the last, cost a tenth of the file and win back most of "
    "the loss. In practice that is the first thing to try below 8 bits; careful rounding (GPTQ, "
    "least-squares ranges) is the second, costs no byte, and wins more.",
)


PRUNE_AND_TRAIN = compress_exercise(
    5,
    "prune_and_train",
    partial(_network, 8_500),
    most={"nonzero weights": 8_500},
    reached=Reached(lazy=10.5, solution=90.8, best=90.8, how="the solution", wanted=80),
    advice=(
        (
            lambda figures: figures["accuracy"] < 60,
            "nine tenths of the weights in one step is more than the network bears: train the "
            "weights that stay, with the zeros kept",
        ),
    ),
    after="A tenth of the weights carries nearly all of the accuracy. Their file is as large as "
    "before: zeros pay only in a format that leaves them out. In practice compare with a network "
    "of 4 bits, which is a seventh of the size without any training.",
)


NARROW_NETWORK = compress_exercise(
    6,
    "narrow_network",
    partial(_network, 3_750_000),
    most={"MACs": 3_750_000},
    reached=Reached(
        lazy=23.0, solution=91.0, best=92.8, how="the same, trained for eight epochs", wanted=80
    ),
    advice=(
        (
            lambda figures: figures["accuracy"] < 60,
            "the layers behind a cut expect what is gone: fine-tune the smaller network",
        ),
    ),
    after="A cut network is a good start, not a result: most of what is lost comes back in a few "
    "epochs. In practice measure its time as well, and train it as long as the original was.",
)
