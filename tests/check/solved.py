"""The solutions of the book, as source and as functions."""

from functools import cache

import nbformat
import torch
from conftest import ROOT

from tutorial_utils import check
from tutorial_utils.book.exercises import solutions
from tutorial_utils.book.notebooks import chapters

SCORED = [name for name, exercise in check.EXERCISES.items() if exercise.reached]
UNSCORED = [name for name in check.EXERCISES if name not in SCORED]


@cache
def solution_sources() -> dict[str, str]:
    """The source of each solution."""
    return {name: source for name, (source, _) in _with_imports().items()}


@cache
def solution_names() -> dict[str, object]:
    """What solutions import, and the solutions themselves: a later one may use an earlier one."""
    space = {"torch": torch}
    for source, imports in _with_imports().values():
        for cell in imports:
            exec(cell, space)
        exec(source, space)
    return space


@cache
def _with_imports() -> dict[str, tuple[str, list[str]]]:
    found = {}
    for path in chapters(ROOT / "notebooks" / "solutions"):
        notebook = nbformat.read(path, as_version=4)
        sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        imports = [s for s in sources if "import " in s and "def " not in s and "pip" not in s]
        for name, position in solutions(notebook).items():
            found[name] = (notebook.cells[position].source, imports)
    return found


def written(source: str, name: str, **helpers: object):
    """The function of a source that was changed, and may call these helpers."""
    space = solution_names() | helpers
    exec(source, space)
    return space[name]
