"""What is quantized, and how: the quantizers of torchao for x86 and ARM, in our setting."""

import dataclasses
import math
import platform
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tutorial_utils.errors import check_choice
from tutorial_utils.logs import errors_only
from tutorial_utils.quantization.affine import EPS, int_range
from tutorial_utils.quantization.learned import first_scale, learned_fake_quantize


@contextmanager
def _quiet_import() -> Iterator[None]:
    """torch speaks to torchao while that is imported: a log line in 2.14, a warning in 2.11."""
    with errors_only("torch.utils._pytree"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script_method` is deprecated")
        yield


with _quiet_import():
    from torchao.quantization.pt2e import (
        FakeQuantize,
        MinMaxObserver,
        MovingAverageMinMaxObserver,
        MovingAveragePerChannelMinMaxObserver,
        PerChannelMinMaxObserver,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import QuantizationSpec, Quantizer

__all__ = ["convert_pt2e", "prepare_pt2e"]


class TrainedFakeQuantize(FakeQuantize):
    """Fake quantizer that moves its range in training mode only, and never once `frozen`."""

    frozen = False

    def train(self, mode: bool = True) -> "TrainedFakeQuantize":
        """Switch to training or evaluation."""
        self.enable_observer(mode and not self.frozen)
        return super().train(mode)


class LearnedFakeQuantize(TrainedFakeQuantize):
    """Fake quantizer of a weight (n_out, ...) that learns its scales, as in LSQ.

    The scales are a parameter from the first call on, which `prepare_qat` makes. Conversion asks
    `calculate_qparams`, and so gets the scales that were trained. `frozen` scales learn no more.
    """

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """The learned scales, and zero points, which are 0."""
        scale = self.scale.detach().clamp(min=EPS)
        return scale, torch.zeros_like(scale, dtype=torch.int32)

    def set_scale(self, scale: Tensor) -> None:
        """Start from these scales: one for each output channel, or one."""
        del self.scale
        self.scale = nn.Parameter(scale.detach().clone().reshape(-1))

    def forward(self, weight: Tensor, factor: Tensor | None = None) -> Tensor:
        """What the layer computes with.

        Args:
            weight: (n_out, ...).
            factor: (n_out,), not negative, by which weight and scales are multiplied, where the
                scales are those of weights without it (see `ConvBN`).
        """
        channels = weight.flatten(1) if self.is_per_channel else weight.reshape(1, -1)
        if not isinstance(self.scale, nn.Parameter):
            first = first_scale(channels.detach(), (self.quant_max + 1).bit_length())
            self.set_scale(first if factor is None else first / factor.detach().clamp(min=EPS))
        scale = (self.scale.detach() if self.frozen else self.scale).clamp(min=EPS)
        if scale.requires_grad:
            # A scale's gradient is a sum over a channel, a weight's is not. Divided by the root
            # of that sum's length and range, both learn at one rate (section 2.2 of the paper).
            share = 1 / math.sqrt(channels.shape[1] * self.quant_max)
            scale.register_hook(lambda gradient: gradient * share)
        if factor is not None:
            scale = (scale * factor).clamp(min=EPS)
        axis = 0 if self.is_per_channel else None
        return learned_fake_quantize(weight, scale, self.quant_min, self.quant_max, axis)


def default_backend() -> str:
    """The backend for this processor: "x86" or "arm"."""
    return "arm" if platform.machine().lower() in ("arm64", "aarch64") else "x86"


def short_sums(backend: str) -> bool:
    """Whether activations should have 7 bits: without VNNI, x86 adds two products in 16 bits."""
    return backend == "x86" and not torch.cpu._is_vnni_supported()


def why_no_int8_kernels() -> str | None:
    """Why a compiled int8 model would compute in float on this machine, or None if it would not.

    TorchInductor takes its integer convolutions from oneDNN, which a build of torch may lack.

    >>> why_no_int8_kernels() is None or "oneDNN" in why_no_int8_kernels()
    True
    """
    available = torch.backends.mkldnn.is_available()
    return None if available else "this build of torch has no oneDNN, and so no int8 kernels"


def _x86_quantizer() -> tuple:
    with _quiet_import():
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86
    short = short_sums("x86")
    config = x86.get_default_x86_inductor_quantization_config(reduce_range=short)
    return x86.X86InductorQuantizer(), config


def _arm_quantizer() -> tuple:
    with _quiet_import():
        from torchao.quantization.pt2e.quantizer import arm_inductor_quantizer as arm
    return arm.ArmInductorQuantizer(), arm.get_default_arm_inductor_quantization_config()


# Only the one that is asked for is imported: another processor's may not work here
# (pytorch/ao#4403).
QUANTIZERS = {"x86": _x86_quantizer, "arm": _arm_quantizer}


def default_quantizer(*, n_bits: int = 8, is_qat: bool = False) -> Quantizer:
    """torchao's quantizer for this processor with its default configuration, as in its guides.

    `quantize_ptq` and `prepare_qat` use another configuration; this one is there to compare with.

    >>> type(default_quantizer()).__name__ in ("X86InductorQuantizer", "ArmInductorQuantizer")
    True
    """
    with _quiet_import():
        if default_backend() == "arm":
            from torchao.quantization.pt2e.quantizer import arm_inductor_quantizer as arm

            quantizer = arm.ArmInductorQuantizer()
            config = arm.get_default_arm_inductor_quantization_config(is_qat=is_qat)
        else:
            from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

            quantizer = x86.X86InductorQuantizer()
            config = x86.get_default_x86_inductor_quantization_config(is_qat=is_qat)
    qmin, qmax = int_range(n_bits, signed=True)
    weight = dataclasses.replace(config.weight, quant_min=qmin, quant_max=qmax)
    return quantizer.set_global(dataclasses.replace(config, weight=weight))


def make_quantizer(
    backend: str,
    n_bits: int,
    *,
    other_bits: Mapping[str, int],
    per_channel: bool,
    skip: Collection[str],
    trained: type[TrainedFakeQuantize] | None,
) -> Quantizer:
    """The quantizer of a backend, which decides what in a graph becomes an integer.

    Activations stay as the backend has them: 8 bits, asymmetric. Weights are symmetric with
    min-max range. For training, observers become fake quantizers; not the fused ones of torchao's
    default, whose scale for weights below 8 bits is another than the one conversion computes.

    Args:
        backend: "x86" or "arm".
        n_bits: bits of the weights.
        other_bits: bits of the weights of the modules of these names, in the place of `n_bits`.
        per_channel: one weight scale for each output channel.
        skip: names of modules that stay in float.
        trained: fake quantizer of the weights for `prepare_qat`, None for `quantize_ptq`.
    """
    check_choice("backend", backend, QUANTIZERS)
    for bits in (n_bits, *other_bits.values()):
        int_range(bits, signed=True)  # refuses bad ones
    quantizer, config = QUANTIZERS[backend]()
    activation = config.input_activation
    if trained:
        fake_quantize = TrainedFakeQuantize.with_args(
            observer=MovingAverageMinMaxObserver, eps=2**-12
        )
        activation = dataclasses.replace(activation, observer_or_fake_quant_ctr=fake_quantize)
    config = dataclasses.replace(config, input_activation=activation, output_activation=activation)

    def with_bits(bits: int):
        return dataclasses.replace(config, weight=_weight_spec(bits, per_channel, trained))

    quantizer.set_global(with_bits(n_bits))
    for name, bits in other_bits.items():
        quantizer.set_module_name_qconfig(name, with_bits(bits))
    for name in skip:
        quantizer.set_module_name_qconfig(name, None)
    return quantizer


def _weight_spec(
    n_bits: int, per_channel: bool, trained: type[TrainedFakeQuantize] | None
) -> QuantizationSpec:
    qmin, qmax = int_range(n_bits, signed=True)
    if per_channel:
        scheme, axis = torch.per_channel_symmetric, 0
        observer, moving = PerChannelMinMaxObserver, MovingAveragePerChannelMinMaxObserver
    else:
        scheme, axis = torch.per_tensor_symmetric, None
        observer, moving = MinMaxObserver, MovingAverageMinMaxObserver
    # A weight is known exactly in each step, so its range need not be an average over steps: the
    # range that training sees is then that of the weights which conversion gets. (ResNet-8, 2 bits,
    # 2 epochs of 5,000 scene digits, seeds 0 to 2, validation: 88.3, 87.5, 88.2 % with a constant
    # of 1; 72.8, 85.0, 87.5 % with torch's 0.01; 86.7, 90.6, 89.9 % with 0.1, no clear difference.)
    if trained:
        observer = trained.with_args(observer=moving, averaging_constant=1)
    return QuantizationSpec(
        dtype=torch.int8,
        quant_min=qmin,
        quant_max=qmax,
        qscheme=scheme,
        ch_axis=axis,
        observer_or_fake_quant_ctr=observer,
    )
