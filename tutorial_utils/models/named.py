"""The networks of this package by their names."""

from tutorial_utils.errors import check_choice
from tutorial_utils.models.mobilenet import MobileNet, mobilenet
from tutorial_utils.models.resnet import ResNet, resnet8, resnet20, resnet56

MODELS = {"resnet8": resnet8, "resnet20": resnet20, "resnet56": resnet56, "mobilenet": mobilenet}


def make_model(name: str, n_classes: int = 10, width: int = 16) -> ResNet | MobileNet:
    """Return an untrained model by its name, on the CPU, for images of any size.

    Raises:
        InputError: for a name that is not in `MODELS`.

    >>> type(make_model("mobilenet", width=4)).__name__
    'MobileNet'
    """
    check_choice("model", name, MODELS)
    return MODELS[name](n_classes, width)
