"""What single weights of a ResNet-8 can go, after enough training to see what each way can do."""

from tutorial_utils.data import load
from tutorial_utils.evidence.running import Row, Study
from tutorial_utils.measuring import evaluate
from tutorial_utils.models import load_baseline
from tutorial_utils.pruning import (
    apply_masks_,
    keep_masked,
    make_masks,
    prune_gradually,
    sparsity_of,
)
from tutorial_utils.training import fit, smoothed_cross_entropy

EPOCHS = 4  # of the training after pruning, the same for every arm
GRADUALLY = {"80 % gradually": 0.8, "90 % gradually": 0.9}
AT_ONCE = {"90 % at once": 0.9}


def run(arm: str, seed: int) -> Row:
    """Prune the shipped ResNet-8 by magnitude and train it on, as it was trained before."""
    data = load("digits")
    model = load_baseline("resnet8", data)
    on_step = None
    if arm in GRADUALLY:
        on_step = prune_gradually(GRADUALLY[arm], end=0.5)
    if arm in AT_ONCE:
        masks = make_masks(model, AT_ONCE[arm])
        apply_masks_(model, masks)
        on_step = keep_masked(masks)
    fit(
        model,
        data,
        epochs=EPOCHS,
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
    ("control", *GRADUALLY, *AT_ONCE),
    run,
)
