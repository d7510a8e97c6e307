"""The exercise of chapter 6 that chooses widths of layers under a budget of work."""

from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_utils.check.examine import Case, Exercise


def _width_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def case(what: str, sizes: list, loud: list, pixels: list, share: float = 0.5) -> Case:
        scores = [
            size_of * (0.1 + torch.rand(n, generator=generator))
            for n, size_of in zip(sizes, loud, strict=True)
        ]

        def macs(widths: list[int]) -> int:
            pairs = zip([3, *widths[:-1]], widths, pixels, strict=True)
            return sum(9 * n_in * n_out * area for n_in, n_out, area in pairs)

        return Case(what, {"scores": scores, "macs": macs, "budget": int(share * macs(sizes))})

    return [
        case("layers alike", [8, 8, 8], [1.0, 1.0, 1.0], [16, 16, 16]),
        case("one layer matters less, and works more", [8, 8, 8], [1.0, 0.1, 1.0], [64, 64, 4]),
        case(
            "a layer with tiny scores must keep a channel", [6, 6, 6], [1, 0.001, 1], [9, 9, 9], 0.1
        ),
        case("room for one channel in each", [4, 4, 4], [1, 1, 1], [9, 9, 9], 0.12),
    ]


def _kept_score(scores: list[Tensor], widths: list[int]) -> float:
    parts = zip(scores, widths, strict=True)
    return float(sum(s.sort(descending=True).values[:w].sum() for s, w in parts))


def _same_share(scores: list[Tensor], macs: Callable, budget: int) -> list[int]:
    widths = [len(s) for s in scores]
    for percent in range(100, 0, -1):
        widths = [max(1, len(s) * percent // 100) for s in scores]
        if macs(widths) <= budget:
            break
    return widths


def _least_loss_first(scores: list[Tensor], macs: Callable, budget: int) -> list[int]:
    ordered = [s.sort(descending=True).values for s in scores]
    widths = [len(s) for s in scores]
    while macs(widths) > budget:
        options = []
        for i, width in enumerate(widths):
            narrower = [*widths[:i], width - 1, *widths[i + 1 :]]
            if width > 1:
                saved = macs(widths) - macs(narrower)
                options.append((float(ordered[i][width - 1]) / saved, narrower))
        widths = min(options)[1]
    return widths


def _lowest_score_first(scores: list[Tensor], macs: Callable, budget: int) -> list[int]:
    """What a channel costs is left out of account."""
    everything = sorted((float(s), i) for i, values in enumerate(scores) for s in values)
    widths = [len(s) for s in scores]
    for _, i in everything:
        if macs(widths) <= budget:
            break
        widths[i] = max(1, widths[i] - 1)
    return widths


def _judge_widths(
    answer: list, scores: list[Tensor], macs: Callable, budget: int
) -> tuple[str, str] | None:
    sizes = [len(s) for s in scores]
    fits = [1 <= w <= n for w, n in zip(answer, sizes, strict=False)]
    if len(answer) != len(sizes) or not all(fits):
        return (
            f"{len(sizes)} widths, each at least 1 and at most {sizes}",
            "a layer without a channel cuts the network in two: keep one in each",
        )
    widths = [int(w) for w in answer]
    if macs(widths) > budget:
        return f"at most {budget} MACs, yours are {macs(widths)}", "ask macs(widths) as you cut"
    uniform = _kept_score(scores, _same_share(scores, macs, budget))
    best = _kept_score(scores, _least_loss_first(scores, macs, budget))
    needed, yours = max(uniform, 0.97 * best), _kept_score(scores, widths)
    if yours >= needed * (1 - 1e-6):
        return None
    expected = f"a score of at least {needed:.4g} kept (all: {_kept_score(scores, sizes):.4g}; "
    expected += f"the same share everywhere: {uniform:.4g}), yours {yours:.4g}"
    if widths == _lowest_score_first(scores, macs, budget):
        return expected, "weigh the score of a channel against the MACs that its removal saves"
    if widths == _same_share(scores, macs, budget):
        return (
            expected,
            "the same share everywhere: but some channels cost more than others",
        )
    room = [
        macs([*widths[:i], w + 1, *widths[i + 1 :]]) <= budget and w < sizes[i]
        for i, w in enumerate(widths)
    ]
    if any(room):
        return expected, "there is budget left for another channel"
    return expected, "weigh the score of a channel against the MACs that its removal saves"


CHOOSE_WIDTHS = Exercise(
    6,
    "choose_widths",
    _width_cases,
    _same_share,
    judge=_judge_widths,
    after="In practice the budget is better given in milliseconds, measured: MACs and time "
    "are not proportional.",
)
