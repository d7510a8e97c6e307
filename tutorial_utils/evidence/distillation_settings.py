"""Which temperature, which weights: one student for each, judged on the validation images."""

from tutorial_utils.data import load
from tutorial_utils.evidence.running import Row, Study, load_results
from tutorial_utils.evidence.students import FEW, train_student
from tutorial_utils.measuring import evaluate

ARMS = {"alone": ("alone", {})}
ARMS |= {
    f"KD, T = {T}, alpha = {alpha:g}": ("KD", {"temperature": T, "alpha": alpha})
    for T, alpha in ((1, 0.9), (2, 0.9), (4, 0.9), (8, 0.9), (4, 0.5), (4, 1))
}
ARMS |= {f"hints, beta = {b:g}": ("hints", {"beta": b}) for b in (1, 10, 100)}
ARMS |= {f"attention, beta = {b:g}": ("attention", {"beta": b}) for b in (1, 30, 1000)}


def run(arm: str, seed: int) -> Row:
    """Train one student; test images are not looked at."""
    method, weights = ARMS[arm]
    student = train_student(FEW, 20, seed, method, **weights)
    return {"accuracy": evaluate(student, load("digits").val)}


def chosen(method: str) -> dict[str, float]:
    """Temperature and weights of a method with the highest mean accuracy of what is stored."""
    stored = load_results(STUDY.name)
    arms = [arm for arm, (name, _) in ARMS.items() if name == method]
    if not arms:  # nothing to choose
        return {}
    best = max(arms, key=lambda arm: sum(row["accuracy"] for row in stored[arm]))
    return ARMS[best][1]


STUDY = Study(
    "distillation_settings",
    "Half of a ResNet-8, cut, with 200 labels of scene digits for 20 epochs; the accuracy is that "
    "on the validation images.",
    tuple(ARMS),
    run,
    seeds=(100,),
)
