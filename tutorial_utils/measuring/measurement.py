"""One `Measurement` for any model: all that a comparison needs."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from tutorial_utils.data.batches import LabelledBatches, first_inputs
from tutorial_utils.data.splits import Split
from tutorial_utils.errors import InputError
from tutorial_utils.measuring.clustered import accuracy_interval
from tutorial_utils.measuring.counts import (
    compressed_bytes,
    count_macs,
    count_nonzero,
    count_params,
    size_bytes,
)
from tutorial_utils.measuring.machine import describe_machine
from tutorial_utils.measuring.prediction import correct_answers
from tutorial_utils.measuring.timing import Latency, time_in_turns
from tutorial_utils.modes import module_of


@dataclass(frozen=True)
class Measurement:
    """One row of a comparison.

    ``accuracy`` is between 0 and 1 with its 95 % interval (`accuracy_interval`), sizes are in
    bytes, ``macs`` are multiply-accumulates for one image, ``latency`` maps a batch size to its
    `Latency`. ``compile_s`` is the one-off compile time in seconds, None for an eager model.
    ``correct`` says of each image whether the answer was right, bool (N,), and ``source`` what the
    image came from (`Split.source`): with them two rows are compared image by image.
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
    correct: Tensor | None = field(default=None, repr=False, compare=False)
    source: Tensor | None = field(default=None, repr=False, compare=False)

    def latency_ms(self, batch_size: int) -> float:
        """Median latency of one batch in milliseconds."""
        return self.latency[batch_size].median_ms


def measure(
    name: str,
    model: Callable[[Tensor], Tensor],
    source: Split | LabelledBatches,
    *,
    batch_sizes: tuple[int, ...] = (1, 64),
) -> Measurement:
    """Measure one model; several that are to be compared are for `measure_in_turns`.

    Args:
        name: how the row is called in a table.
        model, source, batch_sizes: as for `measure_in_turns`.

    >>> from tutorial_utils.data import load
    >>> data = load("digits", n_train=10)
    >>> row = measure("line", nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), data.train[:8],
    ...               batch_sizes=(1, 8))
    >>> row.n_params, row.macs, sorted(row.latency)
    (30730, 30720, [1, 8])
    """
    return measure_in_turns({name: model}, source, batch_sizes=batch_sizes)[name]


def measure_in_turns(
    models: dict[str, Callable[[Tensor], Tensor]],
    source: Split | LabelledBatches,
    *,
    batch_sizes: tuple[int, ...] = (1, 64),
) -> dict[str, Measurement]:
    """Measure several models, and time them in turns, so that their times can be compared.

    Nothing is changed or moved: a model is scored and timed in eval mode, on the device that it is
    on.

    Args:
        models: by name. A `deploying.CompiledModel` is run as it is; counted and saved is the
            module that it was made from.
        source: images and labels for the accuracy: a split, or a `DataLoader` or other iterable
            of (inputs, labels) that can be gone through again. Its first images are timed.
        batch_sizes: numbers of images per call to time; without any, nothing is timed.

    Raises:
        InputError: if ``source`` has fewer images than the largest batch, or a callable is
            neither a module nor made from one; before anything is measured.
    """
    modules = {name: module_of(model) for name, model in models.items()}
    if None in modules.values():
        names = [name for name, module in modules.items() if module is None]
        raise InputError(f"{names}: expected modules, or models from compile_for_inference")
    largest = max(batch_sizes, default=100)
    inputs = first_inputs(source, largest)
    if batch_sizes and len(inputs) < largest:
        raise InputError(
            f"{len(inputs)} images cannot fill a batch of {largest}: pass more images "
            "or smaller batch_sizes"
        )
    # The models answer first: one that fails does so before the others are timed.
    scores = {name: _score(model, source, largest) for name, model in models.items()}
    turns = {n: time_in_turns(list(models.values()), inputs[:n]) for n in batch_sizes}
    return {
        name: Measurement(
            name=name,
            **scores[name],
            **_count(modules[name], inputs[:1]),
            latency={n: latencies[i] for n, latencies in turns.items()},
            compile_s=getattr(model, "compile_s", None),
        )
        for i, (name, model) in enumerate(models.items())
    }


def _score(model: Callable, source: Split | LabelledBatches, batch_size: int) -> dict:
    correct = correct_answers(model, source, batch_size=batch_size)
    origin = source.source if isinstance(source, Split) else None
    return {
        "accuracy": int(correct.sum()) / len(correct),
        "accuracy_interval": accuracy_interval(correct, origin),
        "correct": correct,
        "source": origin,
    }


def _count(module: nn.Module, example: Tensor) -> dict:
    return {
        "n_params": count_params(module),
        "n_nonzero": count_nonzero(module),
        "size_bytes": size_bytes(module),
        "compressed_bytes": compressed_bytes(module),
        "macs": count_macs(module, example),
    }
