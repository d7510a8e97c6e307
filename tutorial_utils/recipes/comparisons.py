"""What chapter 8 compares: within one table, what is trained is trained for equally long.

Every step that trains has the same highest learning rate. `TABLES` and `ORDERS` differ in their
steps, and each step shows all of its options; what no step names (temperature and mixture of the
distillation, batch size, weight decay, augmentation) is the default of the package everywhere.
"""

from tutorial_utils.recipes.checking import Recipe, Step

LR = 0.05  # half of what trained the networks
LARGE_EPOCHS = 0.5
SMALL_EPOCHS = 3

_HALF: Step = ("cut_channels", {"macs": 0.5, "scope": "layer", "round_to": 8})
_SMALL: Step = ("take_student", {"model": "resnet8"})
_NARROW: Step = ("cut_stage", {"stage": "stage3", "ratio": 0.5})
_INT8: Step = ("quantize", {"n_bits": 8})
_INT4: Step = ("quantize", {"n_bits": 4})


def _sparse(sparsity: float) -> Step:
    return ("prune_weights", {"sparsity": sparsity, "scope": "global"})


def _train(epochs: float) -> Step:
    return ("train", {"epochs": epochs, "lr": LR})


def _distil(epochs: float) -> Step:
    return ("distil", {"epochs": epochs, "lr": LR})


def _train_int4(epochs: float, taught: bool) -> Step:
    return ("train_quantized", {"n_bits": 4, "epochs": epochs, "lr": LR, "taught": taught})


LARGE: dict[str, Recipe] = {
    "float32": [],
    "control: trained on": [_train(LARGE_EPOCHS)],
    "PTQ, 8 bits": [_INT8],
    "QAT, 4 bits": [_train_int4(LARGE_EPOCHS, taught=False)],
    "unstructured, 80 %": [_sparse(0.8), _train(LARGE_EPOCHS)],
    "half": [_HALF, _train(LARGE_EPOCHS)],
    "half + KD": [_HALF, _distil(LARGE_EPOCHS)],
    "half + KD + PTQ": [_HALF, _distil(LARGE_EPOCHS), _INT8],
}

SMALL: dict[str, Recipe] = {
    "ResNet-8": [_SMALL],
    "ResNet-8 + PTQ": [_SMALL, _INT8],
    "ResNet-8, trained on": [_SMALL, _train(SMALL_EPOCHS)],
    "ResNet-8, trained on + PTQ": [_SMALL, _train(SMALL_EPOCHS), _INT8],
    "ResNet-8 + KD": [_SMALL, _distil(SMALL_EPOCHS)],
    "ResNet-8 + KD + PTQ": [_SMALL, _distil(SMALL_EPOCHS), _INT8],
    "ResNet-8, sparse + KD": [_SMALL, _sparse(0.7), _distil(SMALL_EPOCHS)],
    "cut ResNet-8, trained on": [_SMALL, _NARROW, _train(SMALL_EPOCHS)],
    "cut ResNet-8, trained on + PTQ": [_SMALL, _NARROW, _train(SMALL_EPOCHS), _INT8],
    "cut ResNet-8 + KD": [_SMALL, _NARROW, _distil(SMALL_EPOCHS)],
    "cut ResNet-8 + KD + PTQ": [_SMALL, _NARROW, _distil(SMALL_EPOCHS), _INT8],
    "cut ResNet-8 + KD + QAT, 4 bits": [
        _SMALL, _NARROW, _distil(SMALL_EPOCHS * 2 / 3), _train_int4(SMALL_EPOCHS / 3, taught=True),
    ],
}  # fmt: skip

TABLES = {"large": LARGE, "small": SMALL}

ORDERS: dict[str, Recipe] = {
    "cut, distil, round": [_SMALL, _NARROW, _distil(0.5), _INT4],
    "cut, distil with rounding": [_SMALL, _NARROW, _train_int4(0.5, taught=True)],
    "distil, cut, round": [_SMALL, _distil(0.5), _NARROW, _INT4],
}
