"""Chapter 7: the same student with all labels and as many epochs as the teacher had."""

from tutorial_utils.data import load
from tutorial_utils.distillation import kd_loss
from tutorial_utils.evidence.distillation_settings import chosen
from tutorial_utils.evidence.running import Row, Study
from tutorial_utils.evidence.students import describe_student, new_student
from tutorial_utils.evidence.teachers import teacher_named
from tutorial_utils.training import cross_entropy, fit

EPOCHS, LR = 20, 0.1  # those of the teacher


def run(arm: str, seed: int) -> Row:
    """Train one student and describe it."""
    loss = cross_entropy
    if arm == "KD":
        loss = kd_loss(teacher_named("smoothed"), **chosen("KD"))
    student = new_student()
    settings = {"epochs": EPOCHS, "lr": LR, "seed": seed, "bf16": True, "show": False}
    fit(student, load("digits"), loss=loss, **settings)
    return describe_student(student)


STUDY = Study(
    "distillation_full",
    "Half of a ResNet-8, cut, with all labels of scene digits, for as many epochs as its teacher: "
    "alone and with the teacher.",
    ("alone", "KD"),
    run,
    seeds=(0,),
)
