"""The recommended model as files for several runtimes, each run in a fresh process."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tutorial_utils.data import first_inputs
from tutorial_utils.deploying import (
    Deployments,
    quantize_onnx,
    save_aoti,
    save_exported,
    save_onnx,
)
from tutorial_utils.own_model.bringing import Brought, one_line
from tutorial_utils.own_model.trying import Attempt
from tutorial_utils.recipes import Setting


def deploy(
    chosen: Attempt,
    brought: Brought,
    folder: Path,
    *,
    batch_sizes: tuple[int, ...] = (1, 32),
    compiled: bool = True,
) -> Deployments:
    """Write the network and the chosen model in each format that is there, and run the files.

    Args:
        chosen: from `recommend`.
        brought: the network and its images.
        folder: where the files go.
        batch_sizes: numbers of images per call to time.
        compiled: whether to build AOTInductor packages, which takes longest.

    Returns:
        what the processes found. A file that cannot be made of this network is a row with the
        reason.
    """
    images = first_inputs(brought.data.val, max(batch_sizes))
    without = {} if compiled else {"aoti": "not compiled"}
    runs = Deployments(images, batch_sizes, without)
    onnx = folder / "float32.onnx"
    plans: list[tuple[str, str, Callable[[], Path]]] = []
    models = {"float32": brought.model} | ({chosen.name: chosen.model} if chosen.recipe else {})
    for i, (name, model) in enumerate(models.items()):
        exported, aoti = folder / f"{i}_exported.pt2", folder / f"{i}_aoti.pt2"
        plans += [
            (
                f"{name}, export file",
                "exported",
                partial(save_exported, model, images, exported),
            ),
            (f"{name}, AOTInductor", "aoti", partial(save_aoti, model, images, aoti)),
        ]
    plans += [
        ("float32, ONNX", "onnx", lambda: save_onnx(brought.model, images, onnx)),
        (
            "int8 by ONNX Runtime (U8S8)",
            "onnx",
            lambda: quantize_onnx(
                onnx,
                folder / "int8.onnx",
                Setting(brought.model, brought.data.train, seed=0).calibration,
                unsigned=True,
            ),
        ),
    ]

    for name, kind, make in plans:
        try:
            runs.add(name, kind, make)
        except Exception as error:  # of a runtime, about a network that it does not know
            runs.reasons[name] = one_line(error)
    return runs
