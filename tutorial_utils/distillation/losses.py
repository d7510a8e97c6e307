"""Losses between what a student and a teacher say, on tensors."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_utils.errors import InputError


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


def check_mix(temperature: float, alpha: float) -> None:
    """Refuse a temperature that is not above 0 and finite, and an alpha outside [0, 1]."""
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature={temperature}: expected a number above 0, such as 4")
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha={alpha}: expected a weight from 0 to 1")


def _widen(values: Tensor) -> Tensor:
    """At least float32: under autocast logits and features arrive in bfloat16."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
