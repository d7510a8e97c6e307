"""Small residual and mobile networks in plain PyTorch, and their trained weights."""

from tutorial_utils.models.baselines import (
    baseline_path,
    check_baseline,
    load_baseline,
    save_baseline,
)
from tutorial_utils.models.mobilenet import InvertedResidual, MobileNet, mobilenet
from tutorial_utils.models.named import MODELS, make_model
from tutorial_utils.models.resnet import (
    Block,
    ResNet,
    initialize_,
    resnet8,
    resnet20,
    resnet56,
)
