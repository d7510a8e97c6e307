"""What chapter 8 compares: within one table, what is trained is trained for equally long.

Each step shows all of its options. What no step names (temperature and mixture of the
distillation, batch size, weight decay, augmentation) is the default of the package everywhere.
"""

from tutorial_utils.recipes.checking import Recipe, Step

_HALF: Step = ("cut_channels", {"macs": 0.5, "scope": "layer", "round_to": 8})
_SMALL: Step = ("take_student", {"model": "resnet8"})
_NARROW: Step = ("cut_stage", {"stage": "stage3", "ratio": 0.5})
_INT8: Step = ("quantize", {"n_bits": 8})
_INT4: Step = ("quantize", {"n_bits": 4})
_GPTQ4: Step = ("quantize_best", {"n_bits": 4})


def _sparse(sparsity: float) -> Step:
    return ("prune_weights", {"sparsity": sparsity, "scope": "global"})


def _int4(epochs: float, lr: float, taught: bool) -> Step:
    return ("train_quantized", {"n_bits": 4, "epochs": epochs, "lr": lr, "taught": taught})


# A large network changes little in half an epoch, at half of the rate that it was trained with.
_TRAIN: Step = ("train", {"epochs": 0.5, "lr": 0.05})
_DISTIL: Step = ("distil", {"epochs": 0.5, "lr": 0.05})

LARGE: dict[str, Recipe] = {
    "float32": [],
    "control: trained on": [_TRAIN],
    "PTQ, 8 bits": [_INT8],
    "QAT, 4 bits": [_int4(0.5, 0.05, taught=False)],
    "unstructured, 80 %": [_sparse(0.8), _TRAIN],
    "half": [_HALF, _TRAIN],
    "half + KD": [_HALF, _DISTIL],
    "half + KD + PTQ": [_HALF, _DISTIL, _INT8],
}

# A small one is cheap to train: four epochs each, at the rate that it was trained with.
_LONG: Step = ("train", {"epochs": 4, "lr": 0.1})
_TAUGHT: Step = ("distil", {"epochs": 4, "lr": 0.1})
_TAUGHT_FIRST: Step = ("distil", {"epochs": 3, "lr": 0.1})

SMALL: dict[str, Recipe] = {
    "ResNet-8": [_SMALL],
    "ResNet-8 + PTQ": [_SMALL, _INT8],
    "ResNet-8, trained on": [_SMALL, _LONG],
    "ResNet-8, trained on + PTQ": [_SMALL, _LONG, _INT8],
    "ResNet-8 + KD": [_SMALL, _TAUGHT],
    "ResNet-8 + KD + PTQ": [_SMALL, _TAUGHT, _INT8],
    "ResNet-8, sparse + KD": [_SMALL, _sparse(0.7), _TAUGHT],
    "cut ResNet-8, trained on": [_SMALL, _NARROW, _LONG],
    "cut ResNet-8 + KD": [_SMALL, _NARROW, _TAUGHT],
    "cut ResNet-8 + KD + PTQ": [_SMALL, _NARROW, _TAUGHT, _INT8],
    "cut ResNet-8 + KD + PTQ, 6 bits": [_SMALL, _NARROW, _TAUGHT, ("quantize", {"n_bits": 6})],
    "cut ResNet-8 + KD + GPTQ": [_SMALL, _NARROW, _TAUGHT, _GPTQ4],
    "cut ResNet-8 + KD + QAT": [_SMALL, _NARROW, _TAUGHT_FIRST, _int4(1, 0.02, taught=True)],
}

# Is it worth going on? Twice as many, for the smallest network and for its control.
_LONGER: Step = ("train", {"epochs": 8, "lr": 0.1})
_TAUGHT_LONGER: Step = ("distil", {"epochs": 8, "lr": 0.1})

LONG: dict[str, Recipe] = {
    "cut ResNet-8, trained on for longer": [_SMALL, _NARROW, _LONGER],
    "cut ResNet-8 + longer KD": [_SMALL, _NARROW, _TAUGHT_LONGER],
    "cut ResNet-8 + longer KD + GPTQ": [_SMALL, _NARROW, _TAUGHT_LONGER, _GPTQ4],
}

TABLES = {"large": LARGE, "small": SMALL, "long": LONG}

ORDERS: dict[str, Recipe] = {
    "cut, distil, round": [_SMALL, _NARROW, _DISTIL, _INT4],
    "cut, distil, round with care": [_SMALL, _NARROW, _DISTIL, _GPTQ4],
    "cut, distil with rounding": [_SMALL, _NARROW, _int4(0.5, 0.05, taught=True)],
    "distil, cut, round": [_SMALL, _DISTIL, _NARROW, _INT4],
}
