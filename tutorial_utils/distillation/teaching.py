"""Makers of a ``loss(model, inputs, labels)`` for `training.fit`, and what they need."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_utils.distillation.losses import (
    attention_loss,
    check_mix,
    distillation_loss,
    feature_loss,
)
from tutorial_utils.errors import InputError
from tutorial_utils.modes import device_of, in_eval_mode

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


@contextmanager
def capture_features(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Within the block, every call of the model leaves the outputs of `layers` in the dict.

    Raises:
        InputError: a name that is not in ``model.named_modules()``.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    >>> with capture_features(model, ["0"]) as features:
    ...     _ = model(torch.zeros(4, 3))
    >>> features["0"].shape
    torch.Size([4, 2])
    """
    modules = dict(model.named_modules())
    unknown = sorted(set(layers) - set(modules))
    if unknown:
        raise InputError(f"layers {unknown}: expected names among {list(modules)[1:]}")
    features: dict[str, Tensor] = {}

    def keep(name):
        return lambda module, inputs, outputs: features.update({name: outputs})

    hooks = [modules[name].register_forward_hook(keep(name)) for name in layers]
    try:
        yield features
    finally:
        for hook in hooks:
            hook.remove()


def ask(teacher: nn.Module, inputs: Tensor) -> Tensor:
    """The teacher's logits, in eval mode and without gradients. The teacher stays as it is.

    Raises:
        InputError: teacher and inputs are on different devices. Whose model it is moves it.
    """
    device = device_of(teacher)
    if device not in (None, inputs.device):
        raise InputError(
            f"the teacher is on {device}, the inputs, which follow the student, are on "
            f"{inputs.device}: call teacher.to({str(inputs.device)!r}) first"
        )
    with torch.no_grad(), in_eval_mode(teacher) as run:
        return run(inputs)


class Remembering(nn.Module):
    """A teacher that is asked about each batch once, however often the batch comes back.

    Runs of ``training.fit`` with the same data and seed see the same batches, augmentation
    included. Students that differ in nothing but the loss can then share the teacher's answers:
    ``patient = Remembering(teacher)``, then ``kd_loss(patient, ...)`` for each of them.

    Args:
        teacher: in eval mode whenever it is asked (see `ask`), and not changed meanwhile.

    Raises:
        InputError: when called in training mode, where an answer cannot be repeated.

    >>> patient = Remembering(nn.Linear(3, 2)).eval()
    >>> bool(patient(torch.ones(4, 3)) is patient(torch.ones(4, 3)))
    True
    """

    def __init__(self, teacher: nn.Module):
        super().__init__()
        self.teacher = teacher
        self.answers: dict[tuple, Tensor] = {}

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the teacher's logits for these inputs, remembered or new."""
        if self.training:
            raise InputError("a teacher in training mode cannot be remembered: call .eval() first")
        digest = hashlib.blake2b(inputs.detach().contiguous().cpu().numpy()).digest()
        key = (digest, tuple(inputs.shape), inputs.device)
        if key not in self.answers:
            self.answers[key] = self.teacher(inputs)
        return self.answers[key]


def kd_loss(teacher: nn.Module, temperature: float = 4.0, alpha: float = 0.9) -> Loss:
    """For ``training.fit(student, data, loss=kd_loss(teacher))``: `distillation_loss`.

    Raises:
        InputError: temperature or alpha out of range, at once; another number of classes than
            the student's, at the first step.
    """
    check_mix(temperature, alpha)

    def loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        teacher_logits = ask(teacher, inputs)
        return distillation_loss(model(inputs), teacher_logits, labels, temperature, alpha)

    return loss


def attention_transfer_loss(
    teacher: nn.Module, layers: Sequence[str], beta: float = 1000.0
) -> Loss:
    """For ``training.fit``: cross entropy + beta x the sum of `attention_loss` over `layers`.

    Args:
        teacher: not trained.
        layers: names that both teacher and student have.
        beta: weight; the default is the paper's.
    """

    def loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        with capture_features(teacher, layers) as targets:
            ask(teacher, inputs)
        with capture_features(model, layers) as features:
            logits = model(inputs)
        transfer = sum(attention_loss(features[name], targets[name]) for name in layers)
        return F.cross_entropy(logits, labels) + beta * transfer

    return loss


class Hinted(nn.Module):
    """A student and the regressor that is trained along with it; called, it is the student.

    After ``fit(Hinted(student, regressor), data, loss=hint_loss(teacher, "stage2"))`` the student
    is trained, and the regressor has done its duty.
    """

    def __init__(self, student: nn.Module, regressor: nn.Module):
        super().__init__()
        self.student = student
        self.regressor = regressor

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the student's logits."""
        return self.student(inputs)


def hint_loss(teacher: nn.Module, layer: str, beta: float = 1.0) -> Loss:
    """For ``training.fit(Hinted(student, regressor), ...)``: cross entropy + beta x `feature_loss`.

    Romero et al. train with hints alone first and then with soft targets; here both terms act
    together, so that all methods get the same number of steps.

    Args:
        teacher: not trained.
        layer: name of a layer that both teacher and student have.
        beta: weight of the hint.
    """

    def loss(model: Hinted, inputs: Tensor, labels: Tensor) -> Tensor:
        with capture_features(teacher, [layer]) as targets:
            ask(teacher, inputs)
        with capture_features(model.student, [layer]) as features:
            logits = model(inputs)
        hint = feature_loss(model.regressor(features[layer]), targets[layer])
        return F.cross_entropy(logits, labels) + beta * hint

    return loss
