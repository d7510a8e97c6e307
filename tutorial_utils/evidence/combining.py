"""Chapter 8: every recipe that is compared, three times; and Deep Compression of what is sparse."""

import copy
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_utils.data.loading import load
from tutorial_utils.data.splits import Split
from tutorial_utils.distillation.teaching import Remembering
from tutorial_utils.evidence.running import Row, Study
from tutorial_utils.measuring.clustered import paired_accuracy
from tutorial_utils.measuring.prediction import correct_answers
from tutorial_utils.measuring.statistics import Difference
from tutorial_utils.models.baselines import load_baseline
from tutorial_utils.models.named import make_model
from tutorial_utils.pruning.deep_compression import (
    pack,
    share_weights_,
    simplify_batch_norm_,
    unpack_,
)
from tutorial_utils.recipes.comparisons import ORDERS, TABLES
from tutorial_utils.recipes.following import compress
from tutorial_utils.recipes.steps import Compressed, Setting

ARMS = {name: recipe for arms in (*TABLES.values(), ORDERS) for name, recipe in arms.items()}
VALUE_BITS, RUN_BITS = 4, 4


def run(arm: str, seed: int) -> Row:
    """Follow the recipe of an arm, and score what it made.

    Returns:
        what `_score` says, for the recipes of `ORDERS` of the validation images, for the others
        of the test images. For a recipe that sets weights to zero also, under `deep`, bytes and
        score of what comes back from Deep Compression.
    """
    setting, done = _shared(seed)
    split = setting.data.val if arm in ORDERS else setting.data.test
    model = compress(ARMS[arm], setting, done).model
    found = _score(model, split)
    if any(step == "prune_weights" for step, _ in ARMS[arm]):
        name = dict(ARMS[arm]).get("take_student", {"model": "resnet20"})["model"]
        unpacked = make_model(name, len(setting.data.classes))
        content = deep_compression(model)
        unpack_(content, unpacked)
        found["deep"] = {"size_bytes": len(content), **_score(unpacked, split)}
    return found


def deep_compression(model: nn.Module) -> bytes:
    """A pruned model with 16 shared values a layer, in a Huffman code; the model stays as it is."""
    shared = copy.deepcopy(model)
    simplify_batch_norm_(shared)
    share_weights_(shared, VALUE_BITS)
    return pack(shared, value_bits=VALUE_BITS, run_bits=RUN_BITS)


def answers(found: Row) -> Tensor:
    """Whether each image was classified correctly: bool (N,), from what `run` returned.

    >>> answers({"n_images": 3, "correct": "a0"})
    tensor([ True, False,  True])
    """
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(found["correct"]), np.uint8))
    return torch.from_numpy(bits[: found["n_images"]].astype(bool))


def compare(rows: list[Row], others: list[Row], source: Tensor) -> Difference:
    """Accuracy of one arm minus that of another, all seeds together, on the same images.

    Args:
        rows, others: of the two arms, one for each seed.
        source: of the images that both were scored on; it is drawn with all its seeds at once.
    """
    a, b = (torch.cat([answers(row) for row in found]) for found in (rows, others))
    return paired_accuracy(a, b, source.repeat(len(rows)))


def _score(model: nn.Module, split: Split) -> Row:
    """Accuracy, and one bit for each image: whether the answer was right, in hexadecimal."""
    correct = correct_answers(model, split)
    return {
        "accuracy": correct.double().mean().item(),
        "n_images": len(correct),
        "correct": np.packbits(correct.numpy()).tobytes().hex(),
    }


@lru_cache(maxsize=1)
def _shared(seed: int) -> tuple[Setting, dict[str, Compressed]]:
    """What the arms of one seed share: the teacher's answers, and recipes that begin alike."""
    data = load("digits")
    teacher = Remembering(load_baseline("resnet20", data)).eval()
    return Setting(teacher, data, seed), {}


STUDY = Study(
    name="combining",
    about="recipes of chapter 8 on scene digits: techniques alone, and on a small network",
    arms=tuple(ARMS),
    run=run,
)
