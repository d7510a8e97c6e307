"""Compiling a model for inference: TorchInductor with the weights frozen in."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch._dynamo.config
import torch._inductor.config
from torch import Tensor, nn

from tutorial_utils.deploying.integer_kernels import (
    counting_integer_kernels,
    warn_of_float_layers,
)
from tutorial_utils.errors import InputError
from tutorial_utils.logs import errors_only


class CompilerMissing(RuntimeError):
    """TorchInductor needs a C++ compiler and found none."""


def has_compiler() -> bool:
    """Whether TorchInductor finds a C++ compiler: g++, clang++, cl, or what $CXX names."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, RuntimeError):
        return False
    return True


class CompiledModel:
    """A model compiled for inference; called, it computes the outputs without gradients.

    Attributes:
        model: what was compiled; it can be counted, measured and saved.
        compile_s: seconds that compiling it for the first shape took.
        n_integer_kernels: convolutions and linear layers that run on integer kernels.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self.compile_s = 0.0
        self.n_integer_kernels = 0
        self._backend = _Inductor()

    def __repr__(self) -> str:
        n_shapes = len(self._backend.compiled)
        return f"CompiledModel({type(self.model).__name__}, compiled for {n_shapes} shapes)"

    @torch.inference_mode(False)  # a caller's inference mode would compile again, without freezing
    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the outputs (N, n_classes) for inputs (N, C, H, W)."""
        layout = inputs.shape, inputs.stride(), inputs.dtype, inputs.is_inference()
        if layout in self._backend.compiled:
            return self._backend.compiled[layout](inputs)
        if not self._backend.compiled:
            self._backend = _Inductor()
        compiled = torch.compile(self.model, dynamic=False, fullgraph=True, backend=self._backend)
        with _freezing(), counting_integer_kernels() as found:
            outputs = compiled(inputs)
        self.n_integer_kernels = found[0]
        self._backend.compiled[layout] = compiled
        return outputs


def compile_for_inference(model: nn.Module, example: Tensor) -> CompiledModel:
    """Compile a float or quantized model; its weights become constants of the code.

    Each shape of input is compiled by itself, on its first use: kernels for a known batch size
    are faster than those for any. So call the result once with each batch size before timing it;
    past 64 shapes it raises. Later changes to the weights of `model` are not seen. Where layers of
    a quantized model will be computed in float all the same, a warning names them.

    Args:
        model: in eval mode, `nn.Module` or graph of `quantization.quantize_ptq`.
        example: inputs (N, C, H, W) of the first shape to compile.

    Raises:
        InputError: a model in training mode.
        CompilerMissing: no C++ compiler.
    """
    if model.training:
        raise InputError("the model is in training mode: call model.eval() first")
    if not has_compiler():
        raise CompilerMissing(
            "no C++ compiler found: install g++ or clang (Ubuntu: apt install g++; "
            "macOS: xcode-select --install; Windows: Visual Studio Build Tools)"
        )
    compiled = CompiledModel(model)
    start = time.perf_counter()
    compiled(example)
    compiled.compile_s = time.perf_counter() - start
    warn_of_float_layers(model, compiled.n_integer_kernels)
    return compiled


def count_integer_kernels(compiled: CompiledModel) -> int:
    """Number of convolutions and linear layers of a compiled model that run on integer kernels.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval()
    >>> count_integer_kernels(compile_for_inference(model, torch.ones(1, 3, 2, 2)))
    0
    """
    return compiled.n_integer_kernels


class _Inductor:
    """TorchInductor, and the layouts of inputs that it has compiled a model for.

    Whenever anything is exported, for quantization say, torch forgets all that it has compiled, and
    would compile it again at its next call, without freezing. It tells a backend so by `reset`.
    """

    def __init__(self):
        self.compiled: dict[tuple, Callable[[Tensor], Tensor]] = {}

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable:
        return torch._dynamo.lookup_backend("inductor")(graph, inputs)

    def reset(self) -> None:
        self.compiled.clear()


@contextmanager
def _freezing() -> Iterator[None]:
    """Settings while something is compiled; all are put back afterwards.

    All models of one class share one count of recompilations, 8 by default, which a notebook that
    compares a few models uses up.
    """
    with (
        errors_only("torch.utils.cpp_extension"),  # "No CUDA runtime": we compile for the CPU
        torch._inductor.config.patch(freezing=True),
        torch._dynamo.config.patch(recompile_limit=64, accumulated_recompile_limit=1024),
        warnings.catch_warnings(),
    ):
        # Inductor copies zero points with torch.tensor(tensor), against torch's own advice.
        warnings.filterwarnings("ignore", "To copy construct from a tensor", UserWarning)
        # torch 2.11 says this of its own code, when Inductor is first used.
        warnings.filterwarnings("ignore", "`torch.jit.script_method` is deprecated")
        yield
