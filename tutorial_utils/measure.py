"""What a compressed model costs and what it is worth: one `Measurement` for any model.

The model may be a plain module, a pruned one, an eager quantized one or an exported int8 graph.
Everything is counted from what would be saved (its state dict) or observed while it runs.
"""

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from scipy.stats import binomtest
from torch.utils.flop_counter import FlopCounterMode

from tutorial_utils.data import Split, to_inputs
from tutorial_utils.errors import InputError
from tutorial_utils.timing import Latency, describe_machine, measure_latency, time_in_turns
from tutorial_utils.training import predict

# Entries of a state dict that describe weights or activations but are not weights themselves.
_BOOKKEEPING = ("running_mean", "running_var", "num_batches_tracked", "scale", "zero_point")


@dataclass(frozen=True)
class Measurement:
    """One row of a comparison.

    ``accuracy`` is between 0 and 1 with its 95 % Wilson interval, sizes are in bytes, ``macs``
    are multiply-accumulates for one image, ``latency`` maps a batch size to its `Latency`.
    ``compile_s`` is the one-off compile time in seconds, None for an eager model.
    """

    name: str
    accuracy: float
    accuracy_interval: tuple[float, float]
    n_params: int
    n_nonzero: int
    size_bytes: int
    compressed_bytes: int
    macs: int
    latency: dict[int, Latency]
    compile_s: float | None = None
    machine: dict[str, str] = field(default_factory=describe_machine)

    def latency_ms(self, batch_size: int) -> float:
        """Median latency of one batch in milliseconds."""
        return self.latency[batch_size].median_ms


def wilson_interval(n_correct: int, n: int) -> tuple[float, float]:
    """95 % confidence interval of an accuracy of ``n_correct`` out of ``n``.

    Raises:
        InputError: if ``n`` is not positive or ``n_correct`` is not between 0 and ``n``.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference.

    >>> low, high = wilson_interval(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    if n < 1 or not 0 <= n_correct <= n:
        raise InputError(f"{n_correct} correct out of {n}: expected 0 <= n_correct <= n, n >= 1")
    interval = binomtest(n_correct, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def stored_weights(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    """The weights and biases of a model as they are stored: float, or the integers themselves."""
    for name, value in model.state_dict().items():
        if name.rsplit(".", 1)[-1].strip("_").rstrip("_0123456789") in _BOOKKEEPING:
            continue
        for tensor in value if isinstance(value, tuple) else (value,):  # eager int8 Linear: a pair
            if isinstance(tensor, torch.Tensor):
                yield tensor.int_repr() if tensor.is_quantized else tensor


def count_params(model: torch.nn.Module) -> int:
    """Number of stored weights and biases, zeros included.

    >>> count_params(torch.nn.Linear(3, 2))
    8
    """
    return sum(weight.numel() for weight in stored_weights(model))


def count_nonzero(model: torch.nn.Module) -> int:
    """Number of stored weights and biases that are not zero."""
    return sum(int(weight.count_nonzero()) for weight in stored_weights(model))


def saved_bytes(model: torch.nn.Module) -> bytes:
    """What ``torch.save(model.state_dict(), file)`` writes."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.getvalue()


def size_bytes(model: torch.nn.Module) -> int:
    """Size of the model's file in bytes."""
    return len(saved_bytes(model))


def compressed_bytes(model: torch.nn.Module) -> int:
    """Size of the model's file in bytes after DEFLATE (zlib level 9, what zip uses)."""
    return len(zlib.compress(saved_bytes(model), 9))


def count_macs(model: Callable, example: torch.Tensor) -> int:
    """Multiply-accumulates of one call on ``example``, by PyTorch's own flop counter.

    The counter reports two floating-point operations for each multiply-accumulate, and counts
    convolutions and matrix products only.

    >>> count_macs(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    6
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(example)
    return counter.get_total_flops() // 2


def count_by_layer(
    model: torch.nn.Module, example: torch.Tensor
) -> tuple[dict[str, int], dict[str, int]]:
    """Weights and MACs of every convolution and linear layer, by the layer's name.

    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    >>> count_by_layer(model, torch.zeros(1, 3))
    ({'0': 6}, {'0': 6})
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(example)
    root = type(model).__name__
    flops = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    }
    weights = {name: layer.weight.numel() for name, layer in layers.items()}
    return weights, {name: flops.get(f"{root}.{name}", 0) // 2 for name in layers}


def measure(
    name: str,
    model: torch.nn.Module,
    split: Split,
    *,
    batch_sizes: tuple[int, ...] = (1, 64),
    run: Callable | None = None,
    compile_s: float | None = None,
    latency: dict[int, Latency] | None = None,
) -> Measurement:
    """Measure a model on the images of ``split``.

    Args:
        name: how the row is called in a table.
        model: what is counted and saved.
        split: images and labels for the accuracy; its first images are timed.
        batch_sizes: numbers of images per call to time.
        run: what is executed, if it is not ``model`` itself: the compiled form of it.
        compile_s: how long it took to compile ``run``, in seconds.
        latency: by batch size, if it was measured before (`time_in_turns`).

    Raises:
        InputError: if ``split`` has fewer images than the largest batch.
    """
    if len(split) < max(batch_sizes):
        raise InputError(
            f"{len(split)} images cannot fill a batch of {max(batch_sizes)}: pass more images "
            "or smaller batch_sizes"
        )
    run = run or model
    logits = predict(run, split, batch_size=max(batch_sizes))
    n_correct = int((logits.argmax(1) == split.labels).sum())
    inputs = to_inputs(split[: max(batch_sizes)])
    return Measurement(
        name=name,
        accuracy=n_correct / len(split),
        accuracy_interval=wilson_interval(n_correct, len(split)),
        n_params=count_params(model),
        n_nonzero=count_nonzero(model),
        size_bytes=size_bytes(model),
        compressed_bytes=compressed_bytes(model),
        macs=count_macs(model, inputs[:1]),
        latency=latency or {n: measure_latency(run, inputs[:n]) for n in batch_sizes},
        compile_s=compile_s,
    )


def measure_in_turns(
    models: dict[str, torch.nn.Module],
    split: Split,
    *,
    batch_sizes: tuple[int, ...] = (1, 64),
    runs: dict[str, Callable] | None = None,
) -> dict[str, Measurement]:
    """Measure several models, and time them in turns, so that their times can be compared.

    Args:
        models: by name.
        split: as for `measure`, like ``batch_sizes``.
        runs: by the same names, what is executed: the compiled forms.
    """
    runs = runs or models
    inputs = to_inputs(split[: max(batch_sizes)])
    calls = [runs[name] for name in models]
    turns = {n: time_in_turns(calls, inputs[:n]) for n in batch_sizes}
    rows = {}
    for i, (name, model) in enumerate(models.items()):
        latency = {n: Latency.of(times[i]) for n, times in turns.items()}
        rows[name] = measure(
            name, model, split, batch_sizes=batch_sizes, run=runs[name], latency=latency
        )
    return rows
