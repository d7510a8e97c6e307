"""Oracles and typical mistakes for the exercises of chapter 8."""

from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.check.scored_recipes import COMBINE
from tutorial_utils.check.step_order import PRUNE_AND_QUANTIZE

Models = dict[str, tuple[float, int]]


def _front_cases() -> list[Case]:
    def case(what: str, **models: tuple[float, int]) -> Case:
        return Case(what, {"models": models})

    return [
        case("each is better in one thing", float32=(0.93, 1100), int8=(0.92, 300), tiny=(0.7, 40)),
        case("one is worse in both", big=(0.9, 900), bad=(0.8, 950), small=(0.7, 100)),
        case("as good, but larger", a=(0.9, 500), b=(0.9, 400), c=(0.5, 30)),
        case("as large, but worse", first=(0.6, 50), second=(0.8, 50), third=(0.9, 500)),
        case("a single model", only=(0.5, 10)),
        case("two that are equal in both", one=(0.8, 60), other=(0.8, 60), worse=(0.7, 70)),
    ]


def _dominates(a: tuple[float, int], b: tuple[float, int]) -> bool:
    return a[0] >= b[0] and a[1] <= b[1] and a != b


def _dominates_if_larger(a: tuple[float, int], b: tuple[float, int]) -> bool:
    return a[0] >= b[0] and a[1] >= b[1] and a != b


def _front(models: Models, dominates: Callable = _dominates) -> list[str]:
    left = [m for m, b in models.items() if not any(dominates(a, b) for a in models.values())]
    return sorted(left, key=lambda name: models[name][1])


def _largest_first(models: Models) -> list[str]:
    return _front(models)[::-1]


def _in_order_of_the_table(models: Models) -> list[str]:
    return [name for name in models if name in _front(models)]


def _entropy_cases() -> list[Case]:
    return [
        Case("two values, equally often: 1 bit each", {"q": torch.tensor([0, 1] * 8)}),
        Case("four values", {"q": torch.tensor([-1, 0, 1, 2] * 4)}),
        Case("mostly zeros", {"q": torch.tensor([0] * 28 + [-3, 5, 5, 7])}),
        Case("a matrix of int8", {"q": torch.tensor([[0, 0, -9], [0, 1, 0]], dtype=torch.int8)}),
        Case("one value only: nothing to say", {"q": torch.zeros(9, dtype=torch.int8)}),
    ]


def _information(q: Tensor) -> float:
    """Bits of information in integers: -log2 of each one's frequency, summed."""
    _, counts = q.unique(return_counts=True)
    return float(-(counts * torch.log2(counts / q.numel())).sum())


def _log_of_e(q: Tensor) -> float:
    return _information(q) / 8 * 0.6931472


def _fixed_width(q: Tensor) -> float:
    n_values = len(q.unique())
    return q.numel() * float(torch.tensor(float(n_values)).log2().ceil()) / 8


def _budget_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def case(what: str, weight: Tensor, bits: float) -> Case:
        budget = weight.numel() * bits / 8
        return Case(what, {"weight": weight, "size_bytes": _size, "budget": budget})

    bell = torch.randn(40, 50, generator=generator)
    return [
        case("normal weights, 4 bits each", bell, 4.0),
        case("normal weights, 2 bits each", bell * 0.1, 2.0),
        case("many small weights and a few large, 3 bits each", bell**3, 3.0),
        case("all weights below 0, 3 bits each", -bell.abs() - 0.5, 3.0),
    ]


def _size(q: Tensor) -> float:
    """Bytes of integers after a perfect entropy coder."""
    return _information(q) / 8


_size.__name__ = "size_bytes"


def _relative_error(weight: Tensor, q: Tensor, scale: object) -> float:
    return float((weight - q * torch.as_tensor(scale)).norm() / weight.norm())


def _fixed_bits(weight: Tensor, size_bytes: Callable, budget: float) -> tuple[Tensor, Tensor]:
    """The largest fixed number of bits that fits, as if nothing was entropy-coded."""
    n_bits = int(8 * budget / weight.numel())
    qmax = 2 ** (n_bits - 1) - 1
    scale = weight.abs().max() / (qmax + 0.5)
    return torch.round(weight / scale).clamp(-qmax - 1, qmax).int(), scale


def _finest(weight: Tensor, size_bytes: Callable, budget: float) -> tuple[Tensor, Tensor]:
    """The finest of many scales whose integers fit after entropy coding."""
    for scale in weight.abs().max() * torch.logspace(-2.1, 0, 200):
        q = torch.round(weight / scale)
        if size_bytes(q) <= budget:
            break
    return q.int(), scale


def _judge_compressed(
    answer: tuple, weight: Tensor, size_bytes: Callable, budget: float
) -> tuple[str, str] | None:
    q, scale = answer
    size = size_bytes(q)
    if size > budget:
        expected = f"at most {budget:.5g} bytes, yours are {size:.5g}"
        return expected, "fewer different integers, or more zeros, take fewer bytes"
    plain, best = (
        _relative_error(weight, *method(weight, size_bytes, budget))
        for method in (_fixed_bits, _finest)
    )
    yours = _relative_error(weight, q, scale)
    if yours <= 1.1 * best:
        return None
    expected = f"an error of at most {1.1 * best:.4g} of the weights (fixed bits: {plain:.4g}), "
    expected += f"yours {yours:.4g}"
    if size < 0.9 * budget:
        return expected, f"only {size:.5g} of {budget:.5g} bytes are used: a finer scale has room"
    return expected, _why_far(weight, q.double(), float(scale))


def _why_far(weight: Tensor, q: Tensor, scale: float) -> str:
    """Why integers that use their bytes are far from the weight."""
    best_scale = float((weight * q).sum() / q.square().sum().clamp(min=1e-9))
    if not 0.95 < best_scale / scale < 1.05:
        return "q * scale is larger or smaller than the weight everywhere: which scale fits q?"
    if ((q == 0) & (weight.abs() > 0.55 * scale)).any():
        return (
            "weights were set to 0 that round to more: that costs more here than a coarser scale "
            "for all, which makes zeros, too"
        )
    if (weight.abs() > (q.abs().max() + 0.55) * scale).any():
        return "the largest weights are cut off: a coder does not limit the integers"
    return "each weight can be rounded to the nearest integer: does q * scale come near it?"


EXERCISES = (
    Exercise(
        8,
        "pareto_front",
        _front_cases,
        _front,
        (
            (
                lambda models: _front(models, lambda a, b: a[0] > b[0] and a[1] < b[1]),
                "equal in one and worse in the other is worse: such a model goes, too",
            ),
            (
                lambda models: _front(models, _dominates_if_larger),
                "smaller is better: compare the sizes the other way round",
            ),
            (
                lambda models: _front(models, lambda a, b: a[0] >= b[0] and a[1] <= b[1]),
                "a model must not exclude itself, nor one that is equal in both",
            ),
            (
                lambda models: list(
                    {models[name]: name for name in reversed(_front(models))}.values()
                )[::-1],
                "two models that are equal in both stay, both of them",
            ),
            (_largest_first, "the smallest comes first"),
            (_in_order_of_the_table, "sort by size, the smallest first"),
        ),
        after="In practice the front is drawn for each cost that counts, bytes and milliseconds, "
        "and with the intervals: two points inside each other's interval do not beat each other.",
    ),
    Exercise(
        8,
        "entropy_bytes",
        _entropy_cases,
        _size,
        (
            (_information, "these are bits: a byte has eight"),
            (_log_of_e, "information in bits takes the logarithm to base 2"),
            (
                lambda q: _information(q) / q.numel(),
                "that is the mean for one weight, in bits: all of them count, in bytes",
            ),
            (
                lambda q: _information(q) / q.numel() / 8,
                "that is the mean for one weight: all of them count",
            ),
            (_fixed_width, "that is a fixed width; a frequent value gets a shorter code"),
        ),
        after="In practice Huffman codes come within a bit of a value of this, and a zip file "
        "near it.",
    ),
    Exercise(
        8,
        "compress",
        _budget_cases,
        _fixed_bits,
        judge=_judge_compressed,
        after="A uniform scale with an entropy coder is hard to beat. In practice formats for fast "
        "kernels have fixed bits, and entropy coding is for what is sent or stored.",
    ),
    PRUNE_AND_QUANTIZE,
    COMBINE,
)
