"""Quantization-aware training with PT2E: fake quantizers, their freezing, and conversion.

Source: Jacob et al. 2018, section 3; torchao's guide to PT2E quantization-aware training.
"""

import copy
import math
from collections.abc import Collection, Mapping

import torch
from torch import nn
from torch.fx import GraphModule

from tutorial_utils.errors import InputError
from tutorial_utils.quantization.calibration import Calibration, calibration_batches
from tutorial_utils.quantization.conv_bn import ConvBN, fold_conv_bn
from tutorial_utils.quantization.ptq import NOTHING, convert_graph, prepare_graph
from tutorial_utils.quantization.quantizers import LearnedFakeQuantize, TrainedFakeQuantize


def prepare_qat(
    model: nn.Module,
    calibration: Calibration,
    *,
    n_bits: int = 8,
    learned_scales: bool = False,
    other_bits: Mapping[str, int] | None = None,
    per_channel: bool = True,
    skip: str | Collection[str] = (),
    backend: str | None = None,
) -> GraphModule:
    """Put fake quantizers into a copy of `model`, for quantization-aware training.

    With torchao's default configuration the model that is trained below 8 bits is not the one
    that conversion makes (see `quantizers.make_quantizer`). Here the two agree to the bit.

    Arguments are those of `quantize_ptq`, but for the model, which is no exported graph: that has
    no batch norms to train. The ranges start from the calibration data, so that training starts
    where post-training quantization ends; a batch of it is enough.

    With `learned_scales`, the scales of the weights are parameters that are trained with them
    (see `learned_fake_quantize`), the best way that we know below 4 bits. Otherwise they follow
    the largest weight of each channel.

    Returns:
        Trainable graph on the CPU in eval mode, with `train`, `eval` and `copy.deepcopy` as for
        any module. Ranges move in training mode only, so evaluating changes nothing. Batch norms
        that follow no convolution stay in eval mode.
    """
    if isinstance(model, GraphModule):
        raise InputError("the model is an exported graph: expected the module that it came from")
    batches = calibration_batches(calibration)
    prepared = prepare_graph(
        model,
        batches[0],
        n_bits=n_bits,
        other_bits=other_bits,
        per_channel=per_channel,
        skip=skip,
        backend=backend,
        trained=LearnedFakeQuantize if learned_scales else TrainedFakeQuantize,
    )
    fake_quantizers = _fake_quantizers(prepared.eval())
    if not fake_quantizers:
        raise InputError(NOTHING)
    for module in fake_quantizers:
        module.enable_observer()
    with torch.no_grad():
        prepared(torch.cat(batches))
    return prepared.eval()


def freeze_observers_(prepared: GraphModule) -> None:
    """Fix all ranges from now on, also after the next `train()`."""
    for module in _fake_quantizers(prepared):
        module.frozen = True
        module.disable_observer()


def freeze_batch_norm_(prepared: GraphModule) -> None:
    """Use and keep the running statistics of batch norm, also after the next `train()`.

    The converted model has them folded into its weights, so the last epochs should see the same.
    """
    for module in prepared.modules():
        if isinstance(module, ConvBN):
            module.frozen = True


def freeze_late_(step: int, n_steps: int, prepared: GraphModule) -> None:
    """`freeze_batch_norm_` once four fifths of the steps are done: for `on_step` of `fit`.

    Not earlier: without the statistics of the batch, a learning rate that is still high can make
    training diverge.
    """
    if step == math.ceil(0.8 * n_steps):
        freeze_batch_norm_(prepared)


def finish_qat(prepared: GraphModule) -> GraphModule:
    """Convert a copy of a model that `prepare_qat` made and training changed.

    Returns:
        Quantized graph on the CPU as from `quantize_ptq`, which computes what `prepared.eval()`
        computes.

    Raises:
        InputError: a model without fake quantizers.
    """
    if not _fake_quantizers(prepared):
        raise InputError(
            f"no fake quantizer in this {type(prepared).__name__}: expected the model that "
            "prepare_qat returned"
        )
    return convert_graph(fold_conv_bn(copy.deepcopy(prepared).cpu().eval()))


def _fake_quantizers(model: nn.Module) -> list[TrainedFakeQuantize]:
    return [module for module in model.modules() if isinstance(module, TrainedFakeQuantize)]
