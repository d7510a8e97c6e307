"""ExecuTorch programs for XNNPACK, in int8 or in float."""

import copy
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from tutorial_utils.deploying.formats import (
    checked_path,
    require,
)
from tutorial_utils.quantization.calibration import Calibration, calibration_batches
from tutorial_utils.quantization.exporting import export_program
from tutorial_utils.quantization.quantizers import convert_pt2e, prepare_pt2e
from tutorial_utils.storage.files import replacing

MAX_BATCH = 64  # of an ExecuTorch program, which plans its memory before it runs


def save_executorch(
    model: nn.Module,
    calibration: Calibration,
    path: str | os.PathLike,
    *,
    quantized: bool = True,
) -> Path:
    """Write an ExecuTorch program of a float model, for up to 64 images.

    XNNPACK wants signed activations, so the float model is quantized again with its quantizer.

    Args:
        model: float model in eval mode; it stays as it is.
        calibration: what sets the ranges of the activations, as for `quantize_ptq`; of a program
            in float, the first images as an example.
        path: where to write; the name ends in .pte.
        quantized: whether to quantize to int8 first.

    Raises:
        RuntimeMissing: executorch is not installed.
    """
    path = checked_path(model, path, ".pte")
    require("executorch")
    with warnings.catch_warnings():  # it reads its own files with deprecated functions
        warnings.filterwarnings("ignore", ".*Use files\\(\\) instead", DeprecationWarning)
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        batches = calibration_batches(calibration)
        model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
        if quantized:
            model = _quantize_for_xnnpack(model, batches)
        program = export_program(model, batches[0], max_batch=MAX_BATCH)
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        content = lowered.to_executorch().buffer
    with replacing(path) as part:
        part.write_bytes(content)
    return path


def _quantize_for_xnnpack(model: nn.Module, batches: list[Tensor]) -> nn.Module:
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer as xnnpack

    config = xnnpack.get_symmetric_quantization_config(is_per_channel=True)
    exported = export_program(model, batches[0], max_batch=MAX_BATCH, strict=True).module()
    prepared = prepare_pt2e(exported, xnnpack.XNNPACKQuantizer().set_global(config))
    with torch.no_grad():
        for batch in batches:
            for part in batch.contiguous().split(MAX_BATCH):
                prepared(part)
    return convert_pt2e(prepared)
