"""CIFAR-style residual networks in plain PyTorch, and their trained weights."""

from tutorial_utils.models.baselines import (
    baseline_path,
    check_baseline,
    load_baseline,
    save_baseline,
)
from tutorial_utils.models.resnet import (
    MODELS,
    Block,
    ResNet,
    initialize_,
    make_model,
    resnet8,
    resnet20,
    resnet56,
)
