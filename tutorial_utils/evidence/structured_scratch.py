"""Chapter 6: the shape of the pruned network, trained from new weights for as long as ResNet-20."""

from tutorial_utils.evidence.running import Study
from tutorial_utils.evidence.structured import run

STUDY = Study(
    name="structured_scratch",
    about="the shape of the cut ResNet-20, new weights, and all the epochs of the ResNet-20",
    arms=("scratch-20",),
    run=run,
    seeds=(0,),  # a run takes seven minutes
    metric="val",
)
