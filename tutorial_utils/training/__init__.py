"""Fitting a classifier, and the recipe that all baselines were trained with."""

from tutorial_utils.training.baselines import make_baseline, train_baseline
from tutorial_utils.training.fitting import (
    cross_entropy,
    fit,
    learning_rate,
    seed_everything,
    smoothed_cross_entropy,
)
from tutorial_utils.training.precision import has_fast_bf16
