"""Compiled models, and files that run without this package.

Every `save_` function writes one file for any batch size. `run_isolated` runs it in a fresh
process.

Inputs have the layout of a NumPy array (N, C, H, W), not channels_last: that is what a program
that knows nothing of PyTorch passes in, and an AOTInductor package does not check it.
"""

from tutorial_utils.deploying.compiling import (
    CompiledModel,
    CompilerMissing,
    compile_for_inference,
    count_integer_kernels,
    has_compiler,
)
from tutorial_utils.deploying.executorch_files import save_executorch
from tutorial_utils.deploying.formats import (
    RuntimeMissing,
    missing,
    package_target,
    save_aoti,
    save_exported,
)
from tutorial_utils.deploying.isolated import IsolatedRun, run_isolated
from tutorial_utils.deploying.onnx_files import (
    count_integer_convolutions,
    quantize_onnx,
    save_onnx,
)
from tutorial_utils.deploying.runs import Deployments
