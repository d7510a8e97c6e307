"""Trainings that take too long for a cell: run once by a command, stored, and loaded by chapters.

Each module beside this one is a study: some arms that are compared, each trained with the same
seeds. ``python -m tutorial_utils evidence NAME`` runs what is not stored yet, and can be stopped
at any moment. What it stores is in `results`, a small JSON file for each study.
"""

from tutorial_utils.evidence.answers import pack_answers, unpack_answers
from tutorial_utils.evidence.running import Study, load_results, make_again, run_study, studies
