"""Oracles and typical mistakes for the exercises of chapter 7."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_utils.check.bugs_training import TEACHER_ANSWERS
from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.check.scored_recipes import TEACH
from tutorial_utils.check.stored_answers import TOP_ANSWERS
from tutorial_utils.distillation.losses import attention_loss, distillation_loss


def _loss_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def case(what: str, n: int, n_classes: int, temperature: float, alpha: float) -> Case:
        args = {
            "student": 2 * torch.randn(n, n_classes, generator=generator),
            "teacher": 4 * torch.randn(n, n_classes, generator=generator),
            "labels": torch.randint(n_classes, (n,), generator=generator),
        }
        return Case(what, args | {"temperature": temperature, "alpha": alpha})

    return [
        case("labels only, alpha 0", 3, 4, 2.0, 0.0),
        case("the teacher only, temperature 1", 4, 3, 1.0, 1.0),
        case("the teacher only, temperature 4", 4, 3, 4.0, 1.0),
        case("both", 5, 6, 3.0, 0.7),
    ]


def _loss_and_gradient(
    function: Callable, student: Tensor, teacher: Tensor, *others: object
) -> dict[str, object]:
    """The loss, and what the student would learn from it."""
    student = student.clone().requires_grad_()
    loss = function(student, teacher, *others)
    if isinstance(loss, Tensor) and loss.dim() == 0 and loss.requires_grad:
        loss.backward()
    gradient = torch.zeros_like(student) if student.grad is None else student.grad
    return {"loss": loss, "gradient to the student": gradient}


def _variant(
    *, reduction: str = "batchmean", factor: bool = True, reverse: bool = False, warm: bool = True
) -> Callable:
    """The loss with one thing wrong."""

    def loss(student, teacher, labels, temperature, alpha) -> Tensor:
        p = F.log_softmax(student / (temperature if warm else 1), dim=1)
        q = F.log_softmax(teacher / temperature, dim=1)
        p, q = (q, p) if reverse else (p, q)
        soft = F.kl_div(p, q, reduction=reduction, log_target=True)
        soft = soft * temperature**2 if factor else soft
        return alpha * soft + (1 - alpha) * F.cross_entropy(student, labels)

    return loss


def _alpha_swapped(student, teacher, labels, temperature, alpha) -> Tensor:
    return distillation_loss(student, teacher, labels, temperature, 1 - alpha)


def _not_log(student, teacher, labels, temperature, alpha) -> Tensor:
    p, q = (F.softmax(logits / temperature, dim=1) for logits in (student, teacher))
    soft = temperature**2 * F.kl_div(p, q, reduction="batchmean")
    return alpha * soft + (1 - alpha) * F.cross_entropy(student, labels)


def _feature_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, 4, 4, generator=generator)
    spot = torch.full((2, 2, 4, 4), 0.1)
    spot[:, :, 1, 1] = 1.0
    moved = spot.roll(2, dims=3)
    around = torch.full((2, 2, 3, 3), 0.1)  # the same centre of gravity, other places
    centre = around.clone()
    centre[:, :, 1, 1], around[:, :, 1, 0], around[:, :, 1, 2] = 2.0, 1.0, 1.0
    columns = torch.tensor([1.0, 2.0, 3.0, 4.0])

    def case(what: str, student: Tensor, teacher: Tensor) -> Case:
        return Case(what, {"student": student, "teacher": teacher})

    return [
        case("the same features: 0", maps, maps.clone()),
        case("active in different places: above 0", moved, spot),
        case("more channels in the teacher, in the same places: 0", maps, maps.repeat(1, 2, 1, 1)),
        case("a louder teacher, active in the same places: 0", maps, 5 * maps),
        case("the channels in another order: 0", maps, maps.flip(1)),
        case("other channels, other places: above 0", maps, moved),
        case("one place, or two places around it: above 0", around, centre),
        case("rows that are active more than others: above 0", maps * columns[:, None], maps),
        case("columns that are active more than others: above 0", maps * columns, maps),
    ]


def _loss_and_gradients(function: Callable, student: Tensor, teacher: Tensor) -> dict[str, object]:
    """The loss, and how large its gradients to both sides are."""
    student, teacher = student.clone().requires_grad_(), teacher.clone().requires_grad_()
    loss = function(student, teacher)
    if isinstance(loss, Tensor) and loss.dim() == 0 and loss.requires_grad:
        loss.backward()
    sizes = [0.0 if x.grad is None else float(x.grad.norm()) for x in (student, teacher)]
    return {"loss": loss, "gradient to student": sizes[0], "gradient to teacher": sizes[1]}


def _judge_features(answer: dict, student: Tensor, teacher: Tensor) -> tuple[str, str] | None:
    same = float(attention_loss(student, teacher)) < 1e-9
    loss = float(answer["loss"])
    if answer["gradient to teacher"]:
        return "no gradient to the teacher", "the teacher is not trained: detach its features"
    if same and abs(loss) > 1e-6:
        n_channels = student.shape[1], teacher.shape[1]
        hint = "scale each map to length 1, so that only the pattern counts"
        if n_channels[0] == n_channels[1] and student.norm().isclose(teacher.norm()):
            hint = "compare where the layers are active: sum over the channels before comparing"
        return f"a loss of 0, yours {loss:.4g}", hint
    if not same and loss < 1e-4:
        return (
            f"a loss above 0, yours {loss:.4g}",
            "a mean over the pixels forgets where the layer is active: keep the places apart",
        )
    if not same and not answer["gradient to student"]:
        return "a gradient to the student", "without a gradient the student learns nothing"
    return None


EXERCISES = (
    TOP_ANSWERS,
    Exercise(
        7,
        "distillation_loss",
        _loss_cases,
        distillation_loss,
        (
            (
                _variant(reduction="mean"),
                'reduction="mean" divides by the number of classes as well: "batchmean" is meant',
            ),
            (_variant(reduction="sum"), 'divide by the number of images: "batchmean"'),
            (_variant(factor=False), "gradients shrink with 1/T²: multiply the soft part by T²"),
            (
                _variant(reverse=True),
                "the divergence is from the teacher: F.kl_div takes the student's first",
            ),
            (_variant(warm=False), "the temperature is for both, student and teacher"),
            (_alpha_swapped, "alpha is the weight of the teacher, 1 - alpha that of the labels"),
            (_not_log, "F.kl_div expects the logarithm of the student's probabilities"),
            (
                lambda student, *others: distillation_loss(student.detach(), *others),
                "the loss is right, but no gradient reaches the student: it cannot learn",
            ),
        ),
        observe=_loss_and_gradient,
        after="In practice the teacher's logits are computed without a gradient, and temperature "
        "and alpha are chosen on validation.",
    ),
    Exercise(
        7,
        "compare_features",
        _feature_cases,
        attention_loss,
        judge=_judge_features,
        after="In practice such a loss is added to the one on the answers with a weight, often a "
        "large one, that has to be chosen: maps of length 1 give small numbers.",
        observe=_loss_and_gradients,
    ),
    TEACHER_ANSWERS,
    TEACH,
)
