"""Files for PyTorch itself: an exported graph, or machine code."""

import importlib.util
import json
import os
import warnings
import zipfile
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

from tutorial_utils.deploying import load_and_time
from tutorial_utils.deploying.compiling import CompilerMissing, has_compiler
from tutorial_utils.errors import InputError
from tutorial_utils.logs import errors_only
from tutorial_utils.quantization.exporting import export_program
from tutorial_utils.storage.files import replacing

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
    if kind not in load_and_time.LOADERS:
        raise InputError(f"kind={kind!r}: expected one of {', '.join(load_and_time.LOADERS)}")
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
    path = checked_path(model, path, ".pt2")
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
    path = checked_path(model, path, ".pt2")
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


def checked_path(model: nn.Module, path: str | os.PathLike, ending: str) -> Path:
    """Refuse a model in training mode and a name with another ending."""
    if model.training:
        raise InputError("the model is in training mode: call model.eval() first")
    if Path(path).suffix != ending:
        raise InputError(f"{Path(path).name}: expected a name that ends in {ending}")
    return Path(path)


def require(kind: str) -> None:
    """Raise `RuntimeMissing` where files of a format cannot be made."""
    if reason := missing(kind):
        raise RuntimeMissing(f'{reason}: pip install "tutorial_utils[{kind}]"')
