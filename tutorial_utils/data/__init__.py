"""Data sets as tensors: one function, one type, whatever the images come from."""

from tutorial_utils.data.batches import (
    augment,
    batches,
    first_inputs,
    input_batches,
    labelled_batches,
    to_inputs,
)
from tutorial_utils.data.loading import load
from tutorial_utils.data.splits import Dataset, Split, subset
