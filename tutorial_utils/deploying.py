"""Files that run without this package.

Every `save_` function writes one file for any batch size. `apart.run_apart` runs it.

Inputs have the layout of a NumPy array (N, C, H, W), not channels_last: that is what a program
that knows nothing of PyTorch passes in, and an AOTInductor package does not check it.
"""

import contextlib
import copy
import importlib.util
import io
import json
import os
import tempfile
import warnings
import zipfile
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

from tutorial_utils import fresh
from tutorial_utils.errors import InputError
from tutorial_utils.files import replacing
from tutorial_utils.inference import CompilerMissing, has_compiler
from tutorial_utils.logs import errors_only
from tutorial_utils.quantization import convert_pt2e, export_program, prepare_pt2e

MAX_BATCH = 64  # of an ExecuTorch program, which plans its memory before it runs
_MODULES = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "executorch": ("executorch",),
}


class RuntimeMissing(RuntimeError):
    """A format needs a package that is not installed, or a compiler."""


def missing(kind: str) -> str | None:
    """Why files of a format cannot be made here, or None.

    Args:
        kind: "exported", "aoti", "onnx" or "executorch".

    >>> missing("exported") is None
    True
    """
    if kind not in fresh.LOADERS:
        raise InputError(f"kind={kind!r}: expected one of {', '.join(fresh.LOADERS)}")
    if kind == "aoti" and not has_compiler():
        return "no C++ compiler"
    absent = [name for name in _MODULES.get(kind, ()) if importlib.util.find_spec(name) is None]
    return f"not installed: {' '.join(absent)}" if absent else None


def save_exported(model: nn.Module, example: Tensor, path: str | os.PathLike) -> Path:
    """Write a `torch.export` file: the graph and the weights, for PyTorch on any processor.

    The graph does not say which lines of which files it comes from. By default it does, with the
    folders of the machine that exported it, which also makes it larger.

    Args:
        model: in eval mode, float or from `quantization.quantize_ptq`.
        example: inputs (N, C, H, W), of which the shape of one image matters.
        path: where to write; the name ends in .pt2.

    Returns:
        the path.

    Raises:
        InputError: a model in training mode, or another ending of the name.
    """
    path = _checked(model, path, ".pt2")
    program = export_program(model, example)
    for node in program.graph.nodes:
        for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
            node.meta.pop(key, None)
    with replacing(path) as part, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No complete tensor found", UserWarning)  # harmless
        torch.export.save(program, part)
    return path


def save_aoti(
    model: nn.Module, example: Tensor, path: str | os.PathLike, *, autotune: bool = True
) -> Path:
    """Write an AOTInductor package: machine code for this kind of processor, with the weights.

    Arguments are those of `save_exported`; `autotune` tries several kernels where there are some.

    Raises:
        CompilerMissing: no C++ compiler.
    """
    path = _checked(model, path, ".pt2")
    if not has_compiler():
        raise CompilerMissing("no C++ compiler found, so no AOTInductor package can be built")
    from torch._inductor import aoti_compile_and_package, select_algorithm

    settings = {
        "freezing": True,
        "max_autotune": autotune,
        "max_autotune_report_choices_stats": False,
    }
    with (
        replacing(path) as part,
        errors_only("torch.utils.cpp_extension"),  # "No CUDA runtime": we compile for the CPU
        mock.patch.object(select_algorithm, "PRINT_AUTOTUNE", False),
        warnings.catch_warnings(),
        torch.no_grad(),
    ):
        # Inductor copies zero points with torch.tensor(tensor), against torch's own advice.
        warnings.filterwarnings("ignore", "To copy construct from a tensor", UserWarning)
        aoti_compile_and_package(
            export_program(model, example), package_path=str(part), inductor_configs=settings
        )
    return path


def save_onnx(model: nn.Module, example: Tensor, path: str | os.PathLike) -> Path:
    """Write an ONNX file, with inputs named "images" and outputs named "logits".

    Arguments are those of `save_exported`. A graph of `quantize_ptq` keeps its scales: its
    quantize and dequantize nodes have counterparts in ONNX.

    Raises:
        RuntimeMissing: onnx or onnxscript is not installed.
    """
    path = _checked(model, path, ".onnx")
    _require("onnx")
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
    calibration: Tensor,
    *,
    unsigned: bool = False,
) -> Path:
    """Quantize a float ONNX file with ONNX Runtime's own `quantize_static`.

    Args:
        source: the float file, from `save_onnx`.
        path: where to write the int8 file.
        calibration: inputs (N, C, H, W) that set the ranges of the activations.
        unsigned: U8S8, unsigned activations and one weight scale for each channel; otherwise
            ONNX Runtime's default, S8S8, signed activations and one weight scale for each layer.

    Raises:
        RuntimeMissing: onnxruntime is not installed.
    """
    _require("onnx")
    from onnxruntime import quantization
    from onnxruntime.quantization import QuantType

    class Reader(quantization.CalibrationDataReader):
        batches = iter(calibration.contiguous().split(64))

        def get_next(self) -> dict | None:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch.numpy()}

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
    _require("onnx")
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # not that the optimized file is for this machine only
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(options.optimized_model_filepath).graph.node
    return sum(node.op_type == "QLinearConv" for node in nodes)


def save_executorch(model: nn.Module, calibration: Tensor, path: str | os.PathLike) -> Path:
    """Quantize a float model for XNNPACK, and write an ExecuTorch program for up to 64 images.

    XNNPACK wants signed activations, so the float model is quantized again with its quantizer.

    Args:
        model: float model in eval mode; it stays as it is.
        calibration: inputs (N, C, H, W) that set the ranges of the activations.
        path: where to write; the name ends in .pte.

    Raises:
        RuntimeMissing: executorch is not installed.
    """
    path = _checked(model, path, ".pte")
    _require("executorch")
    with warnings.catch_warnings():  # it reads its own files with deprecated functions
        warnings.filterwarnings("ignore", ".*Use files\\(\\) instead", DeprecationWarning)
        program = _lower_for_xnnpack(model, calibration)
    with replacing(path) as part:
        part.write_bytes(program)
    return path


def _lower_for_xnnpack(model: nn.Module, calibration: Tensor) -> bytes:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer as xnnpack
    from executorch.exir import to_edge_transform_and_lower

    model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    config = xnnpack.get_symmetric_quantization_config(is_per_channel=True)
    exported = export_program(model, calibration, max_batch=MAX_BATCH, strict=True).module()
    prepared = prepare_pt2e(exported, xnnpack.XNNPACKQuantizer().set_global(config))
    with torch.no_grad():
        for batch in calibration.contiguous().split(MAX_BATCH):
            prepared(batch)
    program = export_program(convert_pt2e(prepared), calibration, max_batch=MAX_BATCH)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    return lowered.to_executorch().buffer


def package_target(path: str | os.PathLike) -> dict[str, str]:
    """The machine that an AOTInductor package was compiled for. Nothing of it is executed.

    Returns:
        "platform" (as in `sys.platform`), "machine" (as in `platform.machine()`) and "isa", the
        instruction sets that the code uses.

    Raises:
        InputError: not an AOTInductor package.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith(".wrapper_metadata.json")]
            found = json.loads(archive.read(names[0]))
    except (OSError, zipfile.BadZipFile, IndexError) as error:
        raise InputError(f"{Path(path).name}: not an AOTInductor package") from error
    keys = {"platform": "AOTI_PLATFORM", "machine": "AOTI_MACHINE", "isa": "AOTI_CPU_ISA"}
    return {name: found.get(key, "") for name, key in keys.items()}


def _checked(model: nn.Module, path: str | os.PathLike, ending: str) -> Path:
    if model.training:
        raise InputError("the model is in training mode: call model.eval() first")
    if Path(path).suffix != ending:
        raise InputError(f"{Path(path).name}: expected a name that ends in {ending}")
    return Path(path)


def _require(kind: str) -> None:
    reason = missing(kind)
    if reason:
        names = " ".join(_MODULES[kind])
        raise RuntimeMissing(f"{reason}. Install with: python -m pip install {names}")
