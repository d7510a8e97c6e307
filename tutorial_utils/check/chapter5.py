"""Oracles and typical mistakes for the exercises of chapter 5."""

import torch
from torch import Tensor

from tutorial_utils.check.bugs_training import FINE_TUNE_MASKED
from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.check.gradual import GRADUAL_MASK
from tutorial_utils.check.scored_networks import PRUNE_AND_TRAIN
from tutorial_utils.pruning.masks import magnitude_scores, mask_from_scores

Masks = dict[str, Tensor]


def _mask_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def weights(**sizes: float) -> Masks:
        made = {n: s * torch.randn(4, 5, generator=generator) for n, s in sizes.items()}
        return made | {"conv": torch.randn(2, 2, 3, 3, generator=generator)}

    return [
        Case("nothing to remove", {"weights": weights(a=1), "sparsity": 0.0}),
        Case("large weights, small weights", {"weights": weights(a=3, b=0.3), "sparsity": 0.48}),
        Case("most of three layers", {"weights": weights(a=1, b=0.5), "sparsity": 0.85}),
    ]


def _right_masks(weights: Masks, sparsity: float) -> Masks:
    return _by_score(weights, sparsity, magnitude_scores)


def _by_score(weights: Masks, sparsity: float, score) -> Masks:
    flat = mask_from_scores(torch.cat([score(w).flatten() for w in weights.values()]), sparsity)
    parts = flat.split([w.numel() for w in weights.values()])
    return {name: part.view_as(weights[name]) for name, part in zip(weights, parts, strict=True)}


def _each_layer(weights: Masks, sparsity: float) -> Masks:
    return {name: mask_from_scores(w.abs(), sparsity) for name, w in weights.items()}


def _inverted(weights: Masks, sparsity: float) -> Masks:
    return {name: ~mask for name, mask in _right_masks(weights, sparsity).items()}


def _largest_removed(weights: Masks, sparsity: float) -> Masks:
    return _by_score(weights, sparsity, lambda w: -w.abs())


def _task_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(1)

    def case(what: str, sparsity: float, loudest: float, offset: float = 0.0) -> Case:
        loudness = torch.logspace(0, loudest, 24)[torch.randperm(24, generator=generator)]
        weight = torch.randn(8, 24, generator=generator)
        inputs = (offset + torch.randn(100, 24, generator=generator)) * loudness
        # Inputs that are always on vary little and count as much.
        inputs = inputs.lerp(
            loudness.expand_as(inputs), torch.rand(24, generator=generator) * offset
        )
        return Case(what, {"weight": weight, "inputs": inputs, "sparsity": sparsity})

    return [
        case("some inputs are louder than others, two fifths removed", 0.4, 1.5),
        case("inputs that are always on", 0.4, 0.5, 0.95),
        case("some inputs are louder, three quarters removed", 0.75, 1.0),
        case("all inputs alike: magnitude is hard to beat", 0.5, 0.0),
    ]


def _output_error(weight: Tensor, inputs: Tensor, mask: Tensor) -> float:
    return float((inputs @ (weight * ~mask).T).square().mean())


def _judge_mask(
    answer: Tensor, weight: Tensor, inputs: Tensor, sparsity: float
) -> tuple[str, str] | None:
    n_removed = round(sparsity * weight.numel())
    if (found := int((~answer).sum())) != n_removed:
        expected = f"{n_removed} of {weight.numel()} weights removed, yours {found}"
        if found == weight.numel() - n_removed:
            return expected, "True is a weight that stays"
        return expected, "count: the mask is False for exactly that many weights"
    plain = _output_error(weight, inputs, mask_from_scores(weight.abs(), sparsity))
    loudness = inputs.square().mean(0).sqrt()
    best = _output_error(weight, inputs, mask_from_scores(weight.abs() * loudness, sparsity))
    yours = _output_error(weight, inputs, answer)
    others = {
        "an input that is always on does not vary, and yet it counts: root of the mean square": (
            inputs.std(0)
        ),
        "the signs of an input cancel in its mean: square first": inputs.mean(0).abs(),
    }
    if yours <= 1.2 * best:
        return None
    expected = f"a squared error of the outputs of at most {1.2 * best:.4g}; magnitude alone gives "
    expected += f"{plain:.4g}, yours {yours:.4g}"
    for hint, loudness in others.items():
        if torch.equal(answer, mask_from_scores(weight.abs() * loudness, sparsity)):
            return expected, hint
    if yours >= 0.99 * plain:
        return (
            expected,
            "a small weight on a loud input may count more than a large one elsewhere",
        )
    return expected, "the right direction; what does one weight add to the output, on average?"


EXERCISES = (
    GRADUAL_MASK,
    Exercise(
        5,
        "global_masks",
        _mask_cases,
        _right_masks,
        (
            (
                _each_layer,
                "that is the same fraction of each layer: rank all weights together",
            ),
            (_inverted, "True is a weight that stays; yours is the other way round"),
            (_largest_removed, "the smallest magnitudes go, not the largest"),
            (
                lambda weights, sparsity: _by_score(weights, sparsity, lambda w: w),
                "a weight of -3 is large: rank by absolute value",
            ),
        ),
        after="In practice one threshold for all layers beats the same share of each, unless a "
        "small layer loses everything: look at the sparsity of each layer.",
    ),
    Exercise(
        5,
        "mask_for_inputs",
        _task_cases,
        lambda weight, inputs, sparsity: mask_from_scores(weight.abs(), sparsity),
        judge=_judge_mask,
        after="The rule is Wanda: the error that a missing weight makes is its size times the root "
        "mean square of its input. In practice a few hundred inputs are enough for it.",
    ),
    FINE_TUNE_MASKED,
    PRUNE_AND_TRAIN,
)
