"""Networks of chapters 3, 5 and 6 that are to be compressed, their budgets, what is known."""

from tutorial_utils.check.compression import compress_exercise, seen
from tutorial_utils.check.tries import Reached
from tutorial_utils.data import load
from tutorial_utils.models import load_baseline


def _to_quantize() -> dict[str, object]:
    train, val = seen(4000)
    model = load_baseline("resnet8", load("digits"))
    return {"model": model, "calibration": train[:256], "val": val, "budget": 40_000}


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
            lambda figures: figures["bytes"] < 36_000,
            "some thousand bytes are left: that is enough to keep small layers in float, and the "
            "small ones often mind most",
        ),
    ),
    after="Two small layers, the first and the last, cost a tenth of the file and win back most of "
    "the loss. In practice that is the first thing to try below 8 bits; careful rounding (GPTQ, "
    "least-squares ranges) is the second, costs no byte, and wins more.",
)
