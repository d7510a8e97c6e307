"""An exercise in which an exported file is called, answers, and is understood wrongly."""

from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_utils.check.examine import Case, Exercise

BATCH = 8


class _File:
    """An exported model: a fixed batch size, memory read as it lies, one buffer for answers."""

    def __init__(self, n_classes: int):
        generator = torch.Generator().manual_seed(n_classes)
        self.weight = torch.randn(3 * 4 * 4, n_classes, generator=generator)
        self.buffer = torch.zeros(BATCH, n_classes)

    def run(self, images: Tensor) -> Tensor:
        if len(images) != BATCH:
            raise ValueError(f"this file takes {BATCH} images a call, not {len(images)}")
        size = (BATCH, self.weight.shape[0])
        in_memory = torch.as_strided(images, size, (size[1], 1))
        self.buffer.copy_(in_memory @ self.weight)
        return self.buffer


def _cases() -> list[Case]:
    def case(what: str, n: int, layout: torch.memory_format = torch.contiguous_format) -> Case:
        generator = torch.Generator().manual_seed(n)
        images = torch.randn(n, 3, 4, 4, generator=generator).to(memory_format=layout)
        return Case(what, {"run": _File(5).run, "images": images})

    return [
        case("one batch", BATCH),
        case("two batches", 2 * BATCH),
        case("fewer than a batch", 3),
        case("one image less than a batch", BATCH - 1),
        case("a last batch that is not full", 2 * BATCH + 5),
        case("images in channels_last", BATCH, torch.channels_last),
        case("all at once", BATCH + 1, torch.channels_last),
    ]


def _answers(
    run: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    copied: bool = True,
    end: bool = True,
    contiguous: bool = True,
) -> Tensor:
    """All answers, with one thing overlooked."""
    answers = []
    for first in range(0, len(images), BATCH):
        batch = images[first : first + BATCH]
        if len(batch) < BATCH:
            batch = torch.cat([batch, torch.zeros(BATCH - len(batch), *images.shape[1:])])
        answer = run(batch.contiguous() if contiguous else batch)
        answers.append(answer.clone() if copied else answer)
    joined = torch.cat(answers)
    return joined[: len(images)] if end else joined[-len(images) :]


ANSWERS_OF_FILE = Exercise(
    9,
    "answers_of_file",
    _cases,
    _answers,
    (
        (
            lambda *args: _answers(*args, copied=False, end=False, contiguous=False),
            "the file writes every answer into the same buffer: copy it before the next call",
        ),
        (
            lambda *args: _answers(*args, copied=False),
            "the file writes every answer into the same buffer: copy it before the next call",
        ),
        (
            lambda *args: _answers(*args, end=False),
            "the last batch was filled up at its end: cut the answers off there",
        ),
        (
            lambda *args: _answers(*args, contiguous=False),
            "the file reads the memory as it lies: bring channel after channel into order first",
        ),
    ),
    after="None of the three raises, and the accuracy of one batch is right. In practice compare "
    "all answers of the file with those of the model, on a number of images that is no multiple "
    "of the batch.",
)
