"""Knowledge distillation: a small student learns from what a larger teacher says.

First losses on tensors, then makers of a ``loss(model, inputs, labels)`` for ``training.fit``.
(`compare` says what the student has learned from its teacher.)
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_utils.errors import InputError

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def soft_target_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T² x KL(teacher || student) of the class probabilities at temperature T.

    Mean over the images, sum over the classes. The factor keeps the gradients at about the same
    size for every temperature, because they shrink with 1 / T².

    Args:
        student_logits, teacher_logits: (N, n_classes); the teacher gets no gradient.
        temperature: above 0; 1 gives the ordinary probabilities, more gives softer ones.

    Returns:
        scalar, at least 0, and 0 where both say the same.

    Raises:
        InputError: different shapes, or a temperature that is not above 0.

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2.

    >>> same = torch.tensor([[2.0, 1.0, 0.0]])
    >>> soft_target_loss(same, same, 4.0).item()
    0.0
    """
    check_mix(temperature, 1.0)
    if student_logits.shape != teacher_logits.shape:
        raise InputError(
            f"student logits {tuple(student_logits.shape)}, teacher logits "
            f"{tuple(teacher_logits.shape)}: expected the same images and the same classes"
        )
    student = F.log_softmax(_widen(student_logits) / temperature, dim=1)
    teacher = F.log_softmax(_widen(teacher_logits.detach()) / temperature, dim=1)
    # "batchmean" divides by N; the default, "mean", by N times the number of classes.
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    temperature: float,
    alpha: float,
) -> Tensor:
    """alpha x soft targets + (1 - alpha) x cross entropy with the labels.

    Args:
        student_logits, teacher_logits: (N, n_classes).
        labels: (N,), int64.
        temperature: of the soft targets, above 0.
        alpha: weight of the teacher, from 0 (none) to 1 (labels ignored).

    Raises:
        InputError: as `soft_target_loss`, or alpha outside [0, 1].

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2.

    >>> student, teacher = torch.zeros(1, 2), torch.zeros(1, 2)
    >>> round(distillation_loss(student, teacher, torch.tensor([0]), 4.0, 0.5).item(), 4)
    0.3466
    """
    check_mix(temperature, alpha)
    soft = soft_target_loss(student_logits, teacher_logits, temperature)
    return alpha * soft + (1 - alpha) * F.cross_entropy(_widen(student_logits), labels)


def feature_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Half the mean squared difference of two feature maps.

    A student with fewer channels goes through a trained 1x1 convolution first (see `Hinted`).

    Args:
        student_features, teacher_features: same shape; the teacher gets no gradient.

    Source: Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", equation 3, with a mean
    over the features in place of their sum.

    >>> feature_loss(torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 1.0]])).item()
    1.0
    """
    if student_features.shape != teacher_features.shape:
        raise InputError(
            f"student features {tuple(student_features.shape)}, teacher features "
            f"{tuple(teacher_features.shape)}: expected the same shape; a regressor, "
            "nn.Conv2d(student_channels, teacher_channels, 1), changes the channels"
        )
    return F.mse_loss(_widen(student_features), _widen(teacher_features.detach())) / 2


def attention_map(features: Tensor) -> Tensor:
    """Where a layer is active: squares summed over the channels, scaled to length 1.

    Args:
        features: (N, channels, height, width).

    Returns:
        (N, height * width), each row of Euclidean length 1 (or 0).

    Source: Zagoruyko and Komodakis 2017, "Paying More Attention to Attention", section 3.1.

    >>> attention_map(torch.tensor([[[[3.0, 0.0]], [[4.0, 0.0]]]]))
    tensor([[1., 0.]])
    """
    return F.normalize(_widen(features).square().sum(1).flatten(1), dim=1)


def attention_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean squared difference of two attention maps; the numbers of channels may differ.

    Args:
        student_features, teacher_features: (N, channels, height, width), same N, height, width.

    Source: Zagoruyko and Komodakis 2017, "Paying More Attention to Attention", equation 2, in
    the form of the authors' code: the square of the distance, divided by height x width.

    >>> features = torch.rand(2, 3, 4, 4)
    >>> attention_loss(features, 5 * features).item() < 1e-12     # only the pattern counts
    True
    """
    if student_features.shape[::2] + student_features.shape[3:] != (
        teacher_features.shape[::2] + teacher_features.shape[3:]
    ):
        raise InputError(
            f"student features {tuple(student_features.shape)}, teacher features "
            f"{tuple(teacher_features.shape)}: expected the same images, height and width"
        )
    return F.mse_loss(attention_map(student_features), attention_map(teacher_features.detach()))


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
    """The teacher's logits, in eval mode and without gradients. Leaves it in eval mode."""
    teacher.eval().to(inputs.device)
    with torch.no_grad():
        return teacher(inputs)


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


def check_mix(temperature: float, alpha: float) -> None:
    """Refuse a temperature that is not above 0 and finite, and an alpha outside [0, 1]."""
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature={temperature}: expected a number above 0, such as 4")
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha={alpha}: expected a weight from 0 to 1")


def _widen(values: Tensor) -> Tensor:
    """At least float32: under autocast logits and features arrive in bfloat16."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
