"""A teacher's answers, asked for once and stored, for students that train on the same images.

A student should hear what the teacher says of the very image that the student sees, varied as it
is. So what is stored belongs to a *view*, one varied copy of an image, and not to the image.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from tutorial_utils.data import Dataset, Split, augment
from tutorial_utils.distillation.losses import check_mix, distillation_loss
from tutorial_utils.errors import InputError, check_positive

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def numbered_views(data: Dataset, n_views: int, seed: int) -> tuple[Split, Tensor]:
    """Return several varied copies of the training images, each with a number for its label.

    ``training.fit`` hands labels to the loss; given numbers, the loss finds both the label and
    the stored answer of the teacher.

    Args:
        data: of which the training part, N images, is read.
        n_views: copies of each image, at least 1.
        seed: decides how they are varied (see `tutorial_utils.data.augment`).

    Returns:
        the n_views x N views, labelled 0, 1, 2, ..., and the labels of all (n_views x N,).

    Source: Beyer et al. 2022, "Knowledge distillation: A good teacher is patient and consistent",
    section 3.1: teacher and student must be given the same view.

    >>> from tutorial_utils.data import load
    >>> views, labels = numbered_views(load("digits", n_train=10), n_views=3, seed=0)
    >>> views.labels.tolist() == list(range(30)), len(labels)
    (True, 30)
    """
    check_positive(n_views=n_views)
    generator = torch.Generator().manual_seed(seed)
    images = [
        augment(data.train.images, generator, flip=data.flip, recolour=data.recolour)
        for _ in range(n_views)
    ]
    numbers = torch.arange(n_views * len(data.train))
    source = None if data.train.source is None else data.train.source.repeat(n_views)
    views = replace(data.train, images=torch.cat(images), labels=numbers, source=source)
    return views, data.train.labels.repeat(n_views)


def find_labels(labels: Tensor, loss: Loss) -> Loss:
    """Make of a loss that takes labels one that takes the numbers of `numbered_views`.

    Args:
        labels: as `numbered_views` returns them.
        loss: ``loss(model, inputs, labels)``.
    """
    return lambda model, inputs, numbers: loss(model, inputs, labels[numbers])


def stored_kd_loss(answers: Tensor, labels: Tensor, temperature: float, alpha: float) -> Loss:
    """As `kd_loss`, for ``training.fit(student, views, loss=...)`` on `numbered_views`.

    Args:
        answers: logits of the teacher for all views, (N, n_classes), as from
            ``measuring.predict(teacher, views)``.
        labels: (N,), as `numbered_views` returns them.
        temperature, alpha: as for `distillation_loss`.

    Raises:
        InputError: not one answer for each label, or temperature or alpha out of range.
    """
    check_mix(temperature, alpha)
    if answers.dim() != 2 or len(answers) != len(labels):
        raise InputError(
            f"answers {tuple(answers.shape)} for {len(labels)} labels: expected the teacher's "
            "logits for each of the views, (N, n_classes)"
        )

    def loss(model: nn.Module, inputs: Tensor, numbers: Tensor) -> Tensor:
        logits = model(inputs)
        return distillation_loss(logits, answers[numbers], labels[numbers], temperature, alpha)

    return loss
