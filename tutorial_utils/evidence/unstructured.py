"""What single weights of a ResNet-8 can go, after enough training to see what each way can do."""

from torch import nn

from tutorial_utils.data import Dataset, load
from tutorial_utils.evidence.running import Row, Study
from tutorial_utils.measuring import evaluate
from tutorial_utils.models import load_baseline
from tutorial_utils.pruning import (
    Masks,
    apply_masks_,
    keep_masked,
    make_masks,
    masks_2_of_4,
    masks_from_scores,
    prune_gradually,
    sparsity_of,
    wanda_scores,
)
from tutorial_utils.training import fit, smoothed_cross_entropy

EPOCHS = 4  # of the training after pruning, the same for every arm
N_CALIBRATION = 512  # training images that Wanda sees
GRADUALLY = {"80 % gradually": 0.8, "90 % gradually": 0.9, "95 % gradually": 0.95}
FINE_TUNED = "90 % at once, small learning rate"
AT_ONCE = {"50 % at once": 0.5, "90 % at once": 0.9, FINE_TUNED: 0.9}
PATTERN = "2:4"
PER_OUTPUT, WANDA = "80 % per output, magnitude", "80 % per output, Wanda"


def masks_of(arm: str, model: nn.Module, data: Dataset) -> Masks:
    """Return the masks of an arm that prunes before it trains."""
    if arm == PATTERN:
        return masks_2_of_4(model)
    if arm == PER_OUTPUT:
        return make_masks(model, 0.8, scope="output")
    if arm == WANDA:
        scores = wanda_scores(model, data.train[:N_CALIBRATION])
        return masks_from_scores(scores, 0.8, scope="output")
    return make_masks(model, AT_ONCE[arm])


def run(arm: str, seed: int) -> Row:
    """Prune the shipped ResNet-8 and train it on; most arms with the schedule it had before."""
    data = load("digits")
    model = load_baseline("resnet8", data)
    on_step = None
    if arm in GRADUALLY:
        on_step = prune_gradually(GRADUALLY[arm], end=0.5)
    elif arm != "control":
        masks = masks_of(arm, model, data)
        apply_masks_(model, masks)
        on_step = keep_masked(masks)
    fit(
        model,
        data,
        epochs=EPOCHS,
        lr=0.01 if arm == FINE_TUNED else 0.1,
        seed=seed,
        loss=smoothed_cross_entropy,
        on_step=on_step,
        bf16=True,
        show=False,
    )
    return {
        "accuracy": evaluate(model, data.test),
        "accuracy_val": evaluate(model, data.val),
        "sparsity": round(sparsity_of(model), 4),
    }


STUDY = Study(
    "unstructured",
    f"ResNet-8 on scene digits, pruned and trained on for {EPOCHS} epochs.",
    ("control", *GRADUALLY, PATTERN, *AT_ONCE, PER_OUTPUT, WANDA),
    run,
)
