"""Exercises in which a training, a cut or a teacher runs, looks right and is wrong."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tutorial_utils.check.examine import Case, Exercise


def _training_cases() -> list[Case]:
    def case(what: str, n_in: int, scale: float, lr: float, n_steps: int) -> Case:
        generator = torch.Generator().manual_seed(n_in)
        inputs = torch.randn(24, n_in, generator=generator)
        targets = inputs @ torch.randn(n_in, generator=generator)
        args = {"weight": torch.zeros(n_in), "inputs": inputs, "targets": targets}
        return Case(what, args | {"scale": scale, "lr": lr, "n_steps": n_steps})

    return [
        case("one step to the next marks", 3, 0.5, 0.3, 1),
        case("small steps that have to add up", 3, 0.5, 0.02, 40),
        case("finer marks", 5, 0.1, 0.03, 30),
    ]


def _trained(
    weight, inputs, targets, scale: float, lr: float, n_steps: int, *, lossy=False, stored=True
) -> Tensor:
    for _ in range(n_steps):
        start = torch.round(weight / scale) * scale if lossy else weight
        seen = torch.round(start / scale) * scale
        weight = start - lr * 2 / len(targets) * inputs.T @ (inputs @ seen - targets)
    return torch.round(weight / scale) * scale if stored else weight


TRAIN_ROUNDED = Exercise(
    4,
    "train_rounded",
    _training_cases,
    _trained,
    (
        (
            lambda *args: _trained(*args, lossy=True),
            "the weight that is kept was rounded: a step of less than half a mark is lost",
        ),
        (
            lambda *args: _trained(*args, stored=False),
            "that is the weight before conversion: what is stored is the rounded one",
        ),
        (
            lambda *args: _trained(*args, lossy=True, stored=False),
            "two faults: the kept weight is rounded at each step, and the returned one is not",
        ),
    ),
    after="Such a loop trains, and its loss even falls a little. In practice measure the "
    "converted model, and look whether any rounded weight has changed at all.",
)


def _masked_cases() -> list[Case]:
    def case(what: str, n: int, momentum: float, n_steps: int) -> Case:
        generator = torch.Generator().manual_seed(n)
        matrix = torch.randn(n, n, generator=generator)
        target = torch.randn(n, generator=generator)

        def gradient(weight: Tensor) -> Tensor:
            return matrix.T @ (matrix @ weight - target) / n

        weight, mask = torch.randn(n, generator=generator), torch.arange(n) % 3 > 0
        args = {"weight": weight, "mask": mask, "gradient": gradient, "lr": 0.1}
        return Case(what, args | {"momentum": momentum, "n_steps": n_steps})

    return [
        case("one step without momentum", 4, 0.0, 1),
        case("several steps", 6, 0.0, 5),
        case("momentum, which remembers what was removed", 6, 0.9, 8),
    ]


def _masked_training(
    weight, mask, gradient, lr: float, momentum: float, n_steps: int, *, each=True, end=True
) -> Tensor:
    weight, velocity = weight * mask, torch.zeros_like(weight)
    for _ in range(n_steps):
        velocity = momentum * velocity + gradient(weight)
        weight = weight - lr * velocity
        weight = weight * mask if each else weight
    return weight * mask if end else weight


FINE_TUNE_MASKED = Exercise(
    5,
    "fine_tune_masked",
    _masked_cases,
    _masked_training,
    (
        (
            lambda *args: _masked_training(*args, each=False, end=False),
            "the optimizer's step brings removed weights back: mask after each step",
        ),
        (
            lambda *args: _masked_training(*args, each=False),
            "the zeros were only put back at the end: the others were trained with weights that "
            "are gone; mask after each step",
        ),
    ),
    after="The loss of the loop looked better than it was. In practice count the zeros after the "
    "training, before you report a sparsity.",
)


def _dead_cases() -> list[Case]:
    def case(what: str, dead: list[int], biases: list[float]) -> Case:
        generator = torch.Generator().manual_seed(len(dead))
        weight = torch.randn(4, 3, generator=generator)
        weight[dead] = 0
        args = {"weight": weight, "bias": torch.tensor(biases)}
        args["next_weight"] = torch.randn(2, 4, generator=generator)
        return Case(what, args | {"next_bias": torch.randn(2, generator=generator)})

    return [
        case("nothing to remove", [], [0.5, -0.5, 1.0, 0.0]),
        case("a dead unit without a bias", [2], [0.5, -0.5, 0.0, 0.3]),
        case("a dead unit with a bias", [1], [0.5, 0.7, 1.0, 0.3]),
        case("two dead units, one with a bias below 0", [0, 3], [0.5, -0.5, 1.0, -0.8]),
    ]


def _without_dead(
    weight: Tensor, bias: Tensor, next_weight: Tensor, next_bias: Tensor, low: float | None = 0.0
) -> tuple[Tensor, ...]:
    gone = (weight == 0).all(1)
    constant = bias[gone] if low is None else bias[gone].clamp(min=low)
    next_bias = next_bias + next_weight[:, gone] @ constant
    return weight[~gone], bias[~gone], next_weight[:, ~gone], next_bias


REMOVE_DEAD_UNITS = Exercise(
    6,
    "remove_dead_units",
    _dead_cases,
    _without_dead,
    (
        (
            lambda weight, bias, next_weight, next_bias: (
                *_without_dead(weight, bias, next_weight, next_bias)[:3],
                next_bias,
            ),
            "a unit without weights still puts out its bias, and the next layer reads that: add "
            "it to the next bias",
        ),
        (
            lambda *args: _without_dead(*args, None),
            "a ReLU is between the layers: a bias below 0 puts out 0",
        ),
    ),
    after="After batch norm it is its shift that stays. In practice compare the outputs before "
    "and after a cut on some inputs: they must agree to rounding.",
)


def _teacher_cases() -> list[Case]:
    def case(what: str, temperature: float, *layers: nn.Module, train: bool = False) -> Case:
        generator = torch.Generator().manual_seed(1)
        teacher = nn.Sequential(nn.Linear(3, 4), *layers, nn.Linear(4, 3))
        for values in teacher.parameters():
            nn.init.normal_(values, generator=generator)
        batches = [torch.randn(n, 3, generator=generator) for n in (5, 4)]
        args = {"teacher": teacher.train(train), "batches": batches}
        return Case(what, args | {"temperature": temperature})

    return [
        case("temperature 1", 1.0, nn.ReLU()),
        case("temperature 4", 4.0, nn.ReLU()),
        case("a teacher in training mode, with dropout", 4.0, nn.Dropout(0.5), train=True),
        case("a teacher in training mode, with batch norm", 2.0, nn.BatchNorm1d(4), train=True),
    ]


def _answers_and_graph(function: Callable, teacher, batches, temperature) -> dict[str, object]:
    """The answers, and whether a gradient would go on to the teacher (1) or not (0)."""
    answers = function(teacher, batches, temperature)
    graph = float(isinstance(answers, Tensor) and answers.requires_grad)
    return {"answers": answers, "gradient to the teacher": graph}


def _answers(teacher, batches, temperature, *, train=False, keep=False, power=False) -> Tensor:
    with torch.set_grad_enabled(keep):
        logits = torch.cat([teacher.train(train)(inputs) for inputs in batches])
        if power:
            return logits.softmax(1) ** (1 / temperature)
        return (logits / temperature).softmax(1)


TEACHER_ANSWERS = Exercise(
    7,
    "teacher_answers",
    _teacher_cases,
    _answers,
    (
        (
            lambda *args: _answers(*args, power=True, keep=True),
            "the rows do not add up to 1: the temperature divides the logits",
        ),
        (
            lambda *args: _answers(*args, power=True),
            "the rows do not add up to 1: the temperature divides the logits",
        ),
        (
            lambda *args: _answers(*args, keep=True),
            "the answers carry the teacher's graph: memory and time for gradients nobody wants",
        ),
        (
            lambda *args: _answers(*args, train=True),
            "in training mode the teacher answers differently each time: teacher.eval() first",
        ),
    ),
    observe=_answers_and_graph,
    after="A teacher in training mode still teaches, only worse, so nothing looks broken. In "
    "practice ask it for the same image twice.",
)
