"""Several techniques one after the other, written down so that anybody can repeat them.

A recipe is a list of steps, each the name of a step and its options. `compress` takes a trained
model through them in their order. `RECIPES` and `ORDERS` hold what chapter 8 compares.
"""

from tutorial_utils.recipes.checking import check_recipe
from tutorial_utils.recipes.following import ORDERS, RECIPES, compress, describe
from tutorial_utils.recipes.steps import STEPS, Compressed, Setting
