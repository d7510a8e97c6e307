"""Whether training in 16-bit floats pays."""

from functools import cache
from time import perf_counter

import torch
from torch import Tensor, nn

GAIN = 0.8  # what a step must take at most of the time in 32 bits; more is not worth other numbers


@cache
def has_fast_bf16() -> bool:
    """Whether this processor trains faster in 16-bit floats (bfloat16) than in 32-bit ones.

    That it can compute with them does not say so: of two processors with AVX512-BF16 and without
    AMX, one took 0.6 of the time for a step of ResNet-20, the other 1.2. So a convolution is
    trained for some steps each way, once in a process; where torch has no instructions for
    bfloat16, the answer is no.
    """
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    if not any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "arm_bf16")):
        return False
    return step_s(bf16=True) < GAIN * step_s(bf16=False)


def step_s(*, bf16: bool) -> float:
    """Seconds of the fastest of some steps of a small convolutional network."""
    layers = [nn.Conv2d(n, 32, 3, padding=1, bias=False) for n in (16, 32, 32)]
    model = nn.Sequential(*(m for conv in layers for m in (conv, nn.BatchNorm2d(32), nn.ReLU())))
    model = model.to(memory_format=torch.channels_last)
    inputs = torch.randn(64, 16, 16, 16).to(memory_format=torch.channels_last)
    return min(_step_s(model, inputs, bf16) for _ in range(8))


def _step_s(model: nn.Module, inputs: Tensor, bf16: bool) -> float:
    start = perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = model(inputs).float().square().mean()
    loss.backward()
    return perf_counter() - start
