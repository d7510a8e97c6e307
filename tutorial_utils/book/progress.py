"""Which exercises of a folder of notebooks are solved.

Nothing is executed: the notebooks are read as they were last saved, and what the checks printed
counts. A function that was run again after its check is reported, because that check is out of
date. Below an exercise that is scored stand the reader's best tries.
"""

from pathlib import Path

from nbformat import NotebookNode

from tutorial_utils.book.exercises import checked
from tutorial_utils.book.notebooks import read_notebook
from tutorial_utils.errors import InputError


def progress(folder: Path) -> dict[Path, dict[str, str]]:
    """Return the state of each exercise by notebook and name.

    The states are "solved", "not yet", "not written", "not run" and "check again".

    Raises:
        InputError: when the folder has no notebook with a check in it.
    """
    found = {}
    for path in [folder] if folder.is_file() else sorted(folder.glob("*.ipynb")):
        if states := states_of(read_notebook(path)):
            found[path] = states
    if not found:
        raise InputError(f"{folder}: no notebook with exercises in it; try notebooks/exercises")
    return found


def states_of(notebook: NotebookNode) -> dict[str, str]:
    """Return the state of each exercise of one notebook by name."""
    states = {}
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for position, cell in enumerate(cells):
        if name := checked(cell.source):
            run = max(
                (_count(c) for c in cells[:position] if f"def {name}(" in c.source), default=0
            )
            states[name] = _state(name, cell, run)
    return states


def _count(cell: NotebookNode) -> int:
    return cell.execution_count or 0


def _state(name: str, cell: NotebookNode, defined: int) -> str:
    text = "".join(output.get("text", "") for output in cell.outputs)
    if not cell.outputs:
        return "not run"
    if _count(cell) < defined:
        return "check again"
    if f"correct: {name}" in text.splitlines():
        return "solved"
    return "not written" if text.startswith("not written") else "not yet"


def report(folder: Path, *, own: bool = False) -> str:
    """Return the lines that ``python -m tutorial_utils progress`` prints.

    Args:
        folder: as for `progress`.
        own: whether it is the reader's own; then the best tries stand below a scored exercise.

    Raises:
        InputError: as `progress`.
    """
    from tutorial_utils.check.tries import leaderboard  # imports torch and all checks

    found = progress(folder)
    lines = []
    for path, states in found.items():
        lines.append(path.stem)
        for name, state in states.items():
            lines.append(f"  {state:12} {name}")
            lines += [f"               {line}" for line in leaderboard(name)] if own else []
    every = [state for states in found.values() for state in states.values()]
    return "\n".join([*lines, f"{every.count('solved')} of {len(every)} solved"])
