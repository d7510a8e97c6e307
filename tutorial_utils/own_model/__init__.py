"""Your own network and images, through all techniques: what works, what it costs, what to take.

`bring` finds the network and refuses what does not fit, `try_recipes` follows a recipe for each
technique, `recommend` chooses under a budget. The notebook ``your_model`` and the command
``python -m tutorial_utils compress`` do this from one end to the other.
"""

from tutorial_utils.own_model.bringing import Brought, Parts, bring
from tutorial_utils.own_model.choosing import (
    Budget,
    attempts_table,
    code_for,
    explain,
    points_lost,
    recommend,
)
from tutorial_utils.own_model.files import deploy
from tutorial_utils.own_model.trying import Attempt, own_recipes, try_recipes
from tutorial_utils.own_model.writing import check_new, final_rows, write_report
