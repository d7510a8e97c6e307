"""The steps of a recipe: each makes from a model and what all steps share another model."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from tutorial_utils.data.batches import LabelledBatches, first_inputs
from tutorial_utils.data.splits import Dataset, Split
from tutorial_utils.distillation.teaching import Remembering, kd_loss
from tutorial_utils.errors import InputError
from tutorial_utils.models.baselines import load_baseline
from tutorial_utils.pruning.masks import Masks, apply_masks_, make_masks, prunable_layers
from tutorial_utils.pruning.networks import prune_channels, prune_to_macs
from tutorial_utils.pruning.schedules import keep_masked
from tutorial_utils.quantization.half import Bfloat16
from tutorial_utils.quantization.ptq import best_ptq, quantize_ptq
from tutorial_utils.quantization.qat import finish_qat, prepare_qat
from tutorial_utils.training.fitting import Loss, fit, smoothed_cross_entropy
from tutorial_utils.training.precision import has_fast_bf16


@dataclass(frozen=True)
class Compressed:
    """A model on its way, the masks that hold its zeros, and the seconds that it took."""

    model: nn.Module
    masks: Masks = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Setting:
    """What all recipes have in common. Whatever they differ in is written in their steps.

    Attributes:
        teacher: the trained model; it is not changed. `distillation.Remembering` around it shares
            its answers between recipes.
        data: a data set, or as for `training.fit` a split or a `DataLoader`. Its first training
            images are the `calibration` of the steps that quantize, one is the `example` of those
            that cut.
        seed: set anew for every step.
    """

    teacher: nn.Module
    data: Dataset | Split | LabelledBatches
    seed: int

    @property
    def model(self) -> nn.Module:
        """The teacher itself, without what remembers its answers."""
        return self.teacher.teacher if isinstance(self.teacher, Remembering) else self.teacher

    @property
    def example(self) -> torch.Tensor:
        """One input, to trace a model with."""
        return self._first_inputs(1)

    @property
    def calibration(self) -> torch.Tensor:
        """200 inputs, from which quantization takes its ranges."""
        return self._first_inputs(200)

    def _first_inputs(self, n: int) -> torch.Tensor:
        data = self.data.train if isinstance(self.data, Dataset) else self.data
        return first_inputs(data, n)


def train(work: Compressed, setting: Setting, epochs: float, lr: float) -> Compressed:
    """Train on with the labels, smoothed as for the baselines; zeros stay zeros."""
    return _fit(work, setting, epochs, lr, smoothed_cross_entropy)


def distil(work: Compressed, setting: Setting, epochs: float, lr: float) -> Compressed:
    """Train with the labels and the teacher; zeros stay zeros."""
    return _fit(work, setting, epochs, lr, kd_loss(setting.teacher))


def take_student(work: Compressed, setting: Setting, model: str) -> Compressed:
    """Put a trained baseline of another architecture in the place of the model."""
    if not isinstance(setting.data, Dataset):
        raise InputError(
            f"step 'take_student': a trained {model} is found by the name of a Dataset, not by a "
            f"{type(setting.data).__name__}: leave the step out"
        )
    return Compressed(load_baseline(model, setting.data))


def cut_channels(
    work: Compressed, setting: Setting, macs: float, scope: str, round_to: int
) -> Compressed:
    """Cut channels until a fraction of the MACs is left (see `pruning.prune_to_macs`)."""
    model = prune_to_macs(work.model, setting.example, macs, scope=scope, round_to=round_to)
    return Compressed(model)


def cut_stage(work: Compressed, setting: Setting, stage: str, ratio: float) -> Compressed:
    """Cut a fraction of the channels of one stage, and leave the other stages alone."""
    skip = [name for name in prunable_layers(work.model) if not name.startswith(stage)]
    return Compressed(prune_channels(work.model, setting.example, ratio, skip=skip))


def prune_weights(work: Compressed, setting: Setting, sparsity: float, scope: str) -> Compressed:
    """Set the smallest weights to zero (see `pruning.make_masks`); training leaves them there."""
    model = copy.deepcopy(work.model)
    masks = make_masks(model, sparsity, scope=scope)
    apply_masks_(model, masks)
    return Compressed(model, masks)


def to_bfloat16(work: Compressed, setting: Setting) -> Compressed:
    """Store and compute in bfloat16 (see `quantization.Bfloat16`)."""
    return Compressed(Bfloat16(work.model))


def quantize(work: Compressed, setting: Setting, n_bits: int) -> Compressed:
    """Post-training quantization of the weights to `n_bits`, of the activations to 8 bits."""
    return Compressed(quantize_ptq(work.model, setting.calibration, n_bits=n_bits))


def quantize_best(work: Compressed, setting: Setting, n_bits: int) -> Compressed:
    """As `quantize`, with least-squares ranges, GPTQ and corrected biases (`best_ptq`)."""
    return Compressed(best_ptq(work.model, setting.calibration, n_bits=n_bits))


def train_quantized(
    work: Compressed, setting: Setting, n_bits: int, epochs: float, lr: float, taught: bool
) -> Compressed:
    """Quantization-aware training, with the labels or also with the teacher."""
    prepared = prepare_qat(work.model, setting.calibration, n_bits=n_bits)
    loss = kd_loss(setting.teacher) if taught else smoothed_cross_entropy
    return Compressed(finish_qat(_fit(Compressed(prepared), setting, epochs, lr, loss).model))


STEPS: dict[str, Callable[..., Compressed]] = {
    "train": train,
    "distil": distil,
    "take_student": take_student,
    "cut_channels": cut_channels,
    "cut_stage": cut_stage,
    "prune_weights": prune_weights,
    "to_bfloat16": to_bfloat16,
    "quantize": quantize,
    "quantize_best": quantize_best,
    "train_quantized": train_quantized,
}


def _fit(work: Compressed, setting: Setting, epochs: float, lr: float, loss: Loss) -> Compressed:
    model = copy.deepcopy(work.model)
    fit(
        model,
        setting.data,
        epochs=epochs,
        lr=lr,
        seed=setting.seed,
        loss=loss,
        on_step=keep_masked(work.masks),
        bf16=has_fast_bf16(),
        show=False,
    )
    return replace(work, model=model)
