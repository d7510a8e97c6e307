"""A network of chapter 9 that is written to a file, which has to answer in a fresh process."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from tutorial_utils.check.compression import Figures, compress_exercise, seen, unseen
from tutorial_utils.check.sandbox import Refused
from tutorial_utils.check.tries import Reached
from tutorial_utils.data import load, to_inputs
from tutorial_utils.deploying import run_isolated
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import predict, size_bytes
from tutorial_utils.models import load_baseline

KINDS = ("exported", "aoti", "onnx", "executorch")


@cache
def _folder() -> TemporaryDirectory:
    return TemporaryDirectory(ignore_cleanup_errors=True)


def _to_ship() -> dict[str, object]:
    train, _ = seen(2000)
    model = load_baseline("resnet8", load("digits"))
    return {"model": model, "calibration": train[:256], "folder": Path(_folder().name)}


def measure_file(answer: object, model: nn.Module, *_: object) -> Figures:
    """Run a file in a fresh process, and compare its answers with those of the model.

    Args:
        answer: kind and path, as `run_isolated` takes them.
        model: whose answers are the right ones.

    Returns:
        how many percent of the answers changed, bytes, and how many times smaller the file is
        than the weights in float.

    Raises:
        Refused: when there is no such file, or the process fails.
    """
    if not isinstance(answer, tuple | list) or len(answer) != 2 or answer[0] not in KINDS:
        raise Refused(
            f"it is {type(answer).__name__}, expected a kind of {', '.join(KINDS)} and a path",
            'return for example ("exported", path): the process has to know how to load it',
        )
    scenes = unseen()[:300]
    try:
        report = run_isolated(answer[0], answer[1], to_inputs(scenes), limit_s=120)
    except InputError as error:
        raise Refused(str(error), "write the file, and return its path") from error
    except RuntimeError as error:
        raise Refused(
            f"{error}",
            "the fresh process has none of your classes, and it asks for one image, for 64, and "
            "for a last batch that is shorter: export a graph with a free batch size",
        ) from error
    changed = report.answers.argmax(1) != predict(model, scenes).argmax(1)
    return {
        "% of answers changed": 100 * changed.float().mean().item(),
        "bytes": report.size_bytes,
        "times smaller": size_bytes(model) / report.size_bytes,
    }


SHIP = compress_exercise(
    9,
    "ship",
    _to_ship,
    most={"% of answers changed": 2},
    reached=Reached(
        lazy=0.75,
        solution=2.37,
        best=2.45,
        how="one scale for each layer, which is slower",
        wanted=1.4,
    ),
    measure=measure_file,
    score=lambda figures: figures["times smaller"],
    advice=(
        (
            lambda figures: figures["times smaller"] < 1.1,
            "the weights are still float: quantize, then export what came out",
        ),
        (
            lambda figures: True,
            "int8 weights alone would be four times smaller: what else is in the file? Another "
            "format describes the same graph in fewer bytes",
        ),
    ),
    after="A file is weights and a description of the graph, and for a small network the second is "
    "not small. In practice run the file where nothing of yours is, with other batch sizes than "
    "yours, and count the answers that changed, before anybody else does.",
)
