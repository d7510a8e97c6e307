"""The older quantization of `torch.ao.quantization`, kept apart until torch removes it.

It swaps modules for others that compute with integer tensors, so that each value must be
quantized before the first of them and made float again after the last, an addition must be one
that can be observed, and convolution, batch norm and ReLU must be made one. In its "FX graph mode"
torch traces the model and does all of this itself. The functions here have the names and
arguments of their successors in `quantization`. torch warns with every call that the flow is
deprecated; nothing else in this package uses it.
"""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.ao import quantization as tq
from torch.ao.quantization import quantize_fx
from torch.fx import GraphModule

from tutorial_utils.errors import InputError
from tutorial_utils.quantization.calibration import Calibration, calibration_batches
from tutorial_utils.quantization.quantizers import default_backend, short_sums

ENGINES = {"x86": "x86", "arm": "qnnpack"}


@contextmanager
def silenced() -> Iterator[None]:
    """Silence torch's notes that this flow is going away, and nothing else.

    The reader is told by the text around it, once, instead of with every layer.
    """
    with warnings.catch_warnings():
        for message in (
            r"torch\.ao\.quantization is deprecated",
            r"(?s).*pytorch/issues/184982",  # quantized dtypes
            r"Please use quant_min and quant_max",  # reduce_range, inside torch's own qconfigs
        ):
            warnings.filterwarnings("ignore", message)
        yield


def quantize_ptq(
    model: nn.Module, calibration: Calibration, *, backend: str | None = None
) -> GraphModule:
    """Post-training quantization to 8 bits: one weight scale for each channel.

    Args:
        model: float model; a copy of it, on the CPU, is quantized.
        calibration: what sets the ranges of the activations, as for `quantization.quantize_ptq`.
        backend: "x86" or "arm"; None for the one of this processor.

    Returns:
        Model with integer layers, for any batch size.

    Raises:
        InputError: this build of torch has no such integer kernels for the backend.
    """
    backend = backend or default_backend()
    _engine(backend)
    batches = calibration_batches(calibration)
    with silenced(), torch.no_grad():
        config = _config(backend, tq.HistogramObserver, tq.default_per_channel_weight_observer)
        prepared = quantize_fx.prepare_fx(copy.deepcopy(model).cpu().eval(), config, ())
        for batch in batches:
            prepared(batch)
    return finish_qat(prepared, backend=backend)


def prepare_qat(model: nn.Module, *, backend: str | None = None) -> GraphModule:
    """Put fake quantizers into a copy of `model`, in training mode, for 8-bit training."""
    backend = backend or default_backend()
    _engine(backend)
    with silenced():
        config = _config(
            backend, tq.FusedMovingAvgObsFakeQuantize, tq.default_fused_per_channel_wt_fake_quant
        )
        return quantize_fx.prepare_qat_fx(copy.deepcopy(model).cpu().train(), config, ())


def finish_qat(prepared: GraphModule, *, backend: str | None = None) -> GraphModule:
    """Copy of a calibrated or trained model with integer layers, in eval mode."""
    before = torch.backends.quantized.engine
    # Conversion packs the weights for one engine.
    torch.backends.quantized.engine = _engine(backend or default_backend())
    try:
        with silenced():
            return quantize_fx.convert_fx(copy.deepcopy(prepared).cpu().eval())
    finally:
        torch.backends.quantized.engine = before


def _config(backend: str, activation: type, weight: type) -> tq.QConfigMapping:
    # Torch's own default is 7 bits everywhere; only processors without VNNI need that.
    activation = activation.with_args(quant_min=0, quant_max=127 if short_sums(backend) else 255)
    return tq.QConfigMapping().set_global(tq.QConfig(activation=activation, weight=weight))


def _engine(backend: str) -> str:
    engine, supported = ENGINES.get(backend), torch.backends.quantized.supported_engines
    if engine not in supported:
        raise InputError(
            f"backend={backend!r}: expected one of {sorted(ENGINES)} with an engine among "
            f"{supported}"
        )
    return engine
