"""Oracles and typical mistakes for the exercises of chapter 6."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.pruning.channels import channel_scores, remove_channels

Cut = tuple[Tensor, Tensor, Tensor]


def _taylor_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def case(what: str, *shape: int) -> Case:
        args = {name: torch.randn(*shape, generator=generator) for name in ("weight", "gradient")}
        return Case(what, args)

    return [
        case("a linear layer", 3, 2),
        case("a square matrix", 3, 3),
        case("a convolution", 4, 4, 3, 3),
    ]


def _taylor(weight: Tensor, gradient: Tensor) -> Tensor:
    layer = nn.Linear(1, 1, bias=False)
    layer.weight = nn.Parameter(weight)
    layer.weight.grad = gradient
    return channel_scores(layer, criterion="taylor")


def _cut_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def case(what: str, weight: tuple, following: tuple, keep: list[int]) -> Case:
        shapes = {"weight": weight, "bias": weight[:1], "following": following}
        args = {name: torch.randn(*s, generator=generator) for name, s in shapes.items()}
        return Case(what, args | {"keep": torch.tensor(keep)})

    return [
        case("a convolution into a convolution", (5, 3, 3, 3), (4, 5, 3, 3), [0, 3, 4]),
        case("as many channels everywhere", (4, 4, 1, 1), (4, 4, 1, 1), [1, 2]),
        case("into a linear layer, 1 pixel for each channel", (3, 2, 3, 3), (5, 3), [0, 2]),
        case("into a linear layer, flattened from 2 x 2 pixels", (3, 2, 3, 3), (2, 12), [0, 2]),
    ]


def _cut(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    n_out, n_in = weight.shape[:2]
    conv = nn.Conv2d(n_in, n_out, weight.shape[2:])
    conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
    if following.dim() == 4:
        reader = nn.Conv2d(n_out, len(following), following.shape[2:], bias=False)
    else:
        reader = nn.Linear(following.shape[1], len(following), bias=False)
    reader.weight = nn.Parameter(following)
    small, _, narrow = remove_channels(conv, None, reader, keep)
    return small.weight.detach(), small.bias.detach(), narrow.weight.detach()


def _only_first_cut(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    return weight[keep], bias[keep], following


def _outputs_cut(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    return weight[keep], bias[keep], following[keep % len(following)]


def _bias_kept(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    return weight[keep], bias, _cut(weight, bias, following, keep)[2]


def _kept_removed(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    others = torch.tensor([c for c in range(len(weight)) if c not in keep.tolist()])
    return _cut(weight, bias, following, others)


def _one_column_each(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    return weight[keep], bias[keep], following[:, keep]


def _columns_interleaved(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    if following.dim() == 4:
        return _one_column_each(weight, bias, following, keep)
    columns = [c for c in range(following.shape[1]) if c % len(weight) in keep.tolist()]
    return weight[keep], bias[keep], following[:, columns]


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


EXERCISES = (
    Exercise(
        6,
        "taylor_scores",
        _taylor_cases,
        _taylor,
        (
            (
                lambda weight, gradient: (weight * gradient).square().flatten(1).sum(1),
                "sum over the channel first, then square: removing a channel removes all of it",
            ),
            (
                lambda weight, gradient: (weight * gradient).flatten(1).sum(1),
                "gains and losses both count: square the sum",
            ),
            (
                lambda weight, gradient: (weight * gradient).flatten(1).sum(1).abs(),
                "the score is the square of the sum, not its absolute value",
            ),
            (
                lambda weight, gradient: (weight * gradient).transpose(0, 1).flatten(1).sum(1) ** 2,
                "a channel is an output: sum over every dimension but the first",
            ),
            (
                lambda weight, gradient: (weight * gradient).flatten(1).mean(1) ** 2,
                "a sum, not a mean: a large channel costs more when it goes",
            ),
        ),
    ),
    Exercise(
        6,
        "remove_channels",
        _cut_cases,
        _cut,
        (
            (_only_first_cut, "the next layer still reads all channels: cut its inputs as well"),
            (_outputs_cut, "the channels are inputs of the next layer: its dimension 1"),
            (_bias_kept, "each output channel has a bias: cut it as well"),
            (_kept_removed, "keep holds the channels that stay"),
            (
                _one_column_each,
                "flattened, a channel is several neighbouring columns: keep all of them",
            ),
            (_columns_interleaved, "flattening puts the pixels of one channel next to each other"),
        ),
    ),
    Exercise(6, "choose_widths", _width_cases, _same_share, judge=_judge_widths),
)
