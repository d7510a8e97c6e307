"""Which layers of a compiled model really compute with integers.

TorchInductor looks for patterns, dequantize and then a convolution, and puts an integer kernel in
the place of each that it finds. What it does not find is computed in float, with the roundings of
the integer model and slower than the float one; nothing says so. It finds scales per channel only.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch._dynamo.utils import counters
from torch.fx import GraphModule

from tutorial_utils.quantization.ptq import per_tensor_layers, quantized_layers
from tutorial_utils.quantization.quantizers import why_no_int8_kernels

_COUNTED = ("qconv_weight_prepack_matcher_count", "qlinear_weight_prepack_matcher_count")


@contextmanager
def counting_integer_kernels() -> Iterator[list[int]]:
    """Count the integer kernels that are made inside; the list gets their number at the end.

    >>> with counting_integer_kernels() as found:
    ...     pass
    >>> found
    [0]
    """
    found: list[int] = []
    before = _counted()
    yield found
    found.append(_counted() - before)


def warn_of_float_layers(model: nn.Module, n_kernels: int) -> None:
    """Warn where layers have integer weights and will be computed in float, and name them.

    Silent on a processor without integer kernels, of which `why_no_int8_kernels` tells.

    Args:
        model: what was compiled.
        n_kernels: its integer kernels.
    """
    layers = quantized_layers(model) if isinstance(model, GraphModule) else []
    if n_kernels >= len(layers) or why_no_int8_kernels():
        return
    found = f"{n_kernels} of {len(layers)} quantized layers run on integer kernels"
    if names := per_tensor_layers(model):
        found += f"; no kernel knows one scale for a whole layer ({', '.join(names)})"
        found += ": quantize with per_channel=True"
    else:
        found += f": among {', '.join(layers)} the compiler did not know every pattern"
    warnings.warn(f"{found}. The others are computed in float, slowly.", stacklevel=3)


def _counted() -> int:
    return sum(counters["inductor"][name] for name in _COUNTED)
