"""ONNX files, and ONNX Runtime's own quantization of them."""

import contextlib
import io
import os
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from tutorial_utils.deploying.formats import (
    checked_path,
    require,
)
from tutorial_utils.logs import errors_only
from tutorial_utils.quantization.calibration import Calibration, calibration_batches
from tutorial_utils.quantization.exporting import export_program
from tutorial_utils.storage.files import replacing


def save_onnx(model: nn.Module, example: Tensor, path: str | os.PathLike) -> Path:
    """Write an ONNX file, with inputs named "images" and outputs named "logits".

    Arguments are those of `save_exported`. A graph of `quantize_ptq` keeps its scales: its
    quantize and dequantize nodes have counterparts in ONNX.

    Raises:
        RuntimeMissing: onnx or onnxscript is not installed.
    """
    path = checked_path(model, path, ".onnx")
    require("onnx")
    program = export_program(model, example)
    with contextlib.redirect_stdout(io.StringIO()):  # a progress report
        exported = torch.onnx.export(
            program, dynamo=True, input_names=["images"], output_names=["logits"], verbose=False
        )
    with replacing(path) as part:
        exported.save(part, external_data=False)
    return path


def quantize_onnx(
    source: str | os.PathLike,
    path: str | os.PathLike,
    calibration: Calibration,
    *,
    unsigned: bool = False,
) -> Path:
    """Quantize a float ONNX file with ONNX Runtime's own `quantize_static`.

    Args:
        source: the float file, from `save_onnx`.
        path: where to write the int8 file.
        calibration: what sets the ranges of the activations, as for `quantize_ptq`.
        unsigned: U8S8, unsigned activations and one weight scale for each channel; otherwise
            ONNX Runtime's default, S8S8, signed activations and one weight scale for each layer.

    Raises:
        RuntimeMissing: onnxruntime is not installed.
    """
    require("onnx")
    from onnxruntime import quantization
    from onnxruntime.quantization import QuantType

    class Reader(quantization.CalibrationDataReader):
        batches = iter(calibration_batches(calibration))

        def get_next(self) -> dict | None:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch.contiguous().numpy()}

    settings = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
    if unsigned:
        settings |= {"activation_type": QuantType.QUInt8, "per_channel": True}
    path = Path(path)
    with replacing(path) as part, errors_only("root"):  # advice on a step not needed here
        quantization.quantize_static(str(source), str(part), Reader(), **settings)
    return path


def count_integer_convolutions(path: str | os.PathLike) -> int:
    """How many convolutions of an ONNX file ONNX Runtime computes with integers on this machine.

    Raises:
        RuntimeMissing: onnxruntime is not installed.
    """
    require("onnx")
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # not that the optimized file is for this machine only
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(options.optimized_model_filepath).graph.node
    return sum(node.op_type == "QLinearConv" for node in nodes)
