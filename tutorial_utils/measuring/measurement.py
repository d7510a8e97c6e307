"""One `Measurement` for any model: all that a comparison needs."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from tutorial_utils.data.batches import to_inputs
from tutorial_utils.data.splits import Split
from tutorial_utils.errors import InputError
from tutorial_utils.measuring.counts import (
    compressed_bytes,
    count_macs,
    count_nonzero,
    count_params,
    size_bytes,
)
from tutorial_utils.measuring.machine import describe_machine
from tutorial_utils.measuring.prediction import predict
from tutorial_utils.measuring.statistics import wilson_interval
from tutorial_utils.measuring.timing import Latency, measure_latency, time_in_turns


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
