"""What the studies of distillation share: the student, its images, its training, its figures."""

from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn

from tutorial_utils.data import Split, load, subset
from tutorial_utils.distillation import (
    Hinted,
    attention_transfer_loss,
    find_labels,
    hint_loss,
    numbered_views,
    stored_kd_loss,
)
from tutorial_utils.evidence.answers import pack_answers
from tutorial_utils.evidence.running import Row
from tutorial_utils.evidence.teachers import teacher_named
from tutorial_utils.measuring import agreement, calibration_error, evaluate, predict
from tutorial_utils.models import load_baseline
from tutorial_utils.pruning import prune_channels
from tutorial_utils.training import cross_entropy, fit, seed_everything, smoothed_cross_entropy

LAYERS = ("stage1", "stage2", "stage3")


@dataclass(frozen=True)
class Setting:
    """On what a student is trained.

    Attributes:
        n_labels: images that it gets; every seed draws others.
        n_views: varied copies of each image.
        lr: highest learning rate, the one that suits the student alone.
        batch_size: images per step.
    """

    n_labels: int
    n_views: int
    lr: float
    batch_size: int


FEW = Setting(n_labels=200, n_views=40, lr=0.01, batch_size=32)


@cache
def views_of(setting: Setting, seed: int) -> tuple[Split, Tensor]:
    """The views, and their labels."""
    data = load("digits")
    data = replace(data, train=subset(data.train, setting.n_labels, seed))
    return numbered_views(data, setting.n_views, seed)


@cache
def answers_of(teacher: str, setting: Setting, seed: int) -> Tensor:
    """The logits of a teacher for all views."""
    return predict(teacher_named(teacher), views_of(setting, seed)[0])


def new_student() -> nn.Module:
    """Half of the trained ResNet-8, cut: the channels with the largest weights."""
    uncut = load_baseline("resnet8", load("digits"))
    return prune_channels(uncut, torch.zeros(1, 3, 32, 32), ratio=0.5, criterion="l1")


def train_student(
    setting: Setting,
    epochs: float,
    seed: int,
    method: str,
    teacher: str = "smoothed",
    temperature: float = 4.0,
    alpha: float = 0.9,
    beta: float = 1.0,
) -> nn.Module:
    """Train a student: "alone", with "smoothing", "KD", "hints" or "attention".

    With the same setting and seed every method starts from the same weights and sees the same
    views in the same order.
    """
    views, labels = views_of(setting, seed)
    seed_everything(seed)  # for the regressor of the hints
    model = student = new_student()
    if method == "KD":
        answers = answers_of(teacher, setting, seed)
        loss = stored_kd_loss(answers, labels, temperature, alpha)
    elif method == "hints":
        model = Hinted(student, nn.Conv2d(16, 32, kernel_size=1))
        loss = find_labels(labels, hint_loss(teacher_named(teacher), "stage2", beta))
    elif method == "attention":
        transfer = attention_transfer_loss(teacher_named(teacher), LAYERS, beta)
        loss = find_labels(labels, transfer)
    else:
        plain = {"alone": cross_entropy, "smoothing": smoothed_cross_entropy}
        loss = find_labels(labels, plain[method])
    settings = {"lr": setting.lr, "batch_size": setting.batch_size, "seed": seed, "show": False}
    fit(model, views, epochs=epochs / setting.n_views, loss=loss, **settings)
    return student


def gap(logits: Tensor) -> float:
    """By how much the largest logit is above the mean of the others, on average.

    >>> gap(torch.tensor([[5.0, 1.0, 0.0]]))
    4.5
    """
    largest = logits.amax(1)
    others = (logits.sum(1) - largest) / (logits.shape[1] - 1)
    return (largest - others).mean().item()


def describe_student(student: nn.Module, teacher: str = "smoothed") -> Row:
    """What a student says of the test images, and its accuracy on the validation images."""
    data = load("digits")
    logits, taught = predict(student, data.test), predict(teacher_named(teacher), data.test)
    correct = logits.argmax(1) == data.test.labels
    wrong = taught.argmax(1) != data.test.labels
    return {
        "accuracy": correct.float().mean().item(),
        "val_accuracy": evaluate(student, data.val),
        "agreement": agreement(logits, taught),
        "same_mistake": agreement(logits[wrong], taught[wrong]),
        "confidence": logits.softmax(1).amax(1).mean().item(),
        "calibration_error": calibration_error(logits, data.test.labels),
        "gap": gap(logits),
        "correct": pack_answers(correct),
    }
