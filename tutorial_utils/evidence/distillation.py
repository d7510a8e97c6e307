"""Students of one size with few labels: what the teacher is worth, shortly and for long."""

from tutorial_utils.evidence.distillation_settings import chosen
from tutorial_utils.evidence.running import Row, Study
from tutorial_utils.evidence.students import FEW, describe_student, train_student

METHODS = {
    "alone": ("alone", "smoothed"),
    "smoothing": ("smoothing", "smoothed"),
    "KD": ("KD", "smoothed"),
    "KD, plain teacher": ("KD", "plain"),
    "hints": ("hints", "smoothed"),
    "attention": ("attention", "smoothed"),
}
PLANS = {
    "short": (FEW, 20, list(METHODS)),
    "long": (FEW, 100, list(METHODS)[:4]),
}
ARMS = {
    f"{plan}: {name}": (setting, epochs, *METHODS[name])
    for plan, (setting, epochs, names) in PLANS.items()
    for name in names
}


def run(arm: str, seed: int) -> Row:
    """Train one student and describe it."""
    setting, epochs, method, teacher = ARMS[arm]
    weights = chosen(method)
    return describe_student(train_student(setting, epochs, seed, method, teacher, **weights))


STUDY = Study(
    "distillation",
    "Half of a ResNet-8, cut, with 200 labels of scene digits, for 20 epochs or 100: alone, with "
    "label smoothing, with a teacher, with hints, with attention transfer.",
    tuple(ARMS),
    run,
)
