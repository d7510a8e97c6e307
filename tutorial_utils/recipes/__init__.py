"""Several techniques one after the other, written down so that anybody can repeat them.

A recipe is a list of steps, each the name of a step and its options. `compress` takes a trained
model through them in their order. `LARGE`, `SMALL`, `LONG` and `ORDERS` are what chapter 8
compares.
"""

from tutorial_utils.recipes.checking import check_recipe
from tutorial_utils.recipes.comparisons import LARGE, LONG, ORDERS, SMALL, TABLES
from tutorial_utils.recipes.following import compress, describe, training_epochs, without_training
from tutorial_utils.recipes.steps import STEPS, Compressed, Setting
