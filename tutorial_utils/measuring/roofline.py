"""The roofline of this machine: what memory and arithmetic allow a layer, and what it reaches.

A layer has to move its bytes and to do its multiply-accumulates (MACs), and the slower of the two
sets its time. So a layer that does `x` MACs for each byte reaches at most
``min(peak, x * bandwidth)`` MACs a second (Williams et al. 2009, "Roofline").
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tutorial_utils.measuring.counts import count_macs
from tutorial_utils.measuring.timing import fastest_ms
from tutorial_utils.modes import in_eval_mode

_FLOATS = 2**25  # 128 MiB, more than the caches of most processors hold
_CHANNELS = 128
_INT8_SIZE = 512


@dataclass(frozen=True)
class Roofline:
    """Limits of a machine, with the threads of this process.

    Attributes:
        gb_per_s: 10^9 bytes a second, read and written, from and to memory.
        gmacs_per_s: 10^9 MACs a second in 32-bit floats.
        int8_gmacs_per_s: the same in 8-bit integers.
    """

    gb_per_s: float
    gmacs_per_s: float
    int8_gmacs_per_s: float

    @property
    def ridge(self) -> float:
        """MACs for each byte from which on arithmetic is the limit, not memory."""
        return self.gmacs_per_s / self.gb_per_s

    def limit(self, macs_per_byte: float) -> float:
        """The most 10^9 MACs a second that a layer in 32-bit floats can reach.

        >>> Roofline(10, 100, 400).limit(2), Roofline(10, 100, 400).limit(50)
        (20, 100)
        """
        return min(self.gmacs_per_s, macs_per_byte * self.gb_per_s)


class LayerSpeed(NamedTuple):
    """How much a layer does for one call, what it reads and writes, and how long it takes."""

    macs: int
    n_bytes: int
    ms: float

    @property
    def macs_per_byte(self) -> float:
        """Arithmetic intensity."""
        return self.macs / self.n_bytes

    @property
    def gmacs_per_s(self) -> float:
        """10^9 MACs a second."""
        return self.macs / self.ms / 1e6


def measure_roofline() -> Roofline:
    """Measure the limits of this machine: the best that a copy, a convolution, a product reach.

    The shortest of some times counts, since other work only ever adds to them. Data that is still
    in a cache comes faster than from memory, so that a layer may lie above the slope. It takes
    about a second and 256 MiB of memory.
    """
    here, there = torch.ones(_FLOATS), torch.zeros(_FLOATS)
    copy_ms = fastest_ms(there.copy_, here, n_calls=8)
    conv = nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False)
    images = torch.randn(8, _CHANNELS, 32, 32).to(memory_format=torch.channels_last)
    conv = conv.to(memory_format=torch.channels_last)
    conv_ms = fastest_ms(conv, images, n_calls=15)
    integers = torch.randint(-100, 100, (_INT8_SIZE, _INT8_SIZE), dtype=torch.int8)
    product_ms = fastest_ms(lambda x: torch._int_mm(x, integers), integers, n_calls=8)
    return Roofline(
        gb_per_s=2 * 4 * _FLOATS / copy_ms / 1e6,
        gmacs_per_s=count_macs(conv, images) / conv_ms / 1e6,
        int8_gmacs_per_s=_INT8_SIZE**3 / product_ms / 1e6,
    )


def measure_layers(model: nn.Module, inputs: Tensor) -> dict[str, LayerSpeed]:
    """Time every convolution and linear layer alone, on what it reads when the model runs.

    The bytes are those of its inputs, weights and outputs, each moved once.

    Args:
        model: stays as it is.
        inputs: (N, C, H, W).

    Returns:
        by the name of the layer, in the order of the calls; of a layer that is called twice, the
        last call.

    >>> speed = measure_layers(nn.Sequential(nn.Linear(3, 2)), torch.zeros(1, 3))["0"]
    >>> speed.macs, speed.n_bytes
    (6, 52)
    """
    calls = {}

    def note(name: str) -> Callable:
        return lambda layer, args, outputs: calls.update({name: (layer, args[0], outputs)})

    with in_eval_mode(model) as run, torch.inference_mode():
        hooks = [
            layer.register_forward_hook(note(name))
            for name, layer in run.named_modules()
            if isinstance(layer, nn.Conv2d | nn.Linear)
        ]
        try:
            run(inputs)
        finally:
            for hook in hooks:
                hook.remove()
    speeds = {}
    for name, (layer, read, written) in calls.items():
        moved = [read, written, *layer.parameters()]
        n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in moved)
        speeds[name] = LayerSpeed(count_macs(layer, read), n_bytes, fastest_ms(layer, read))
    return speeds
