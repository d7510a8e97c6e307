"""What every notebook starts with: badges, links, the cell that installs; kept in step here.

`refresh` makes them from the address of the repository, `write_all` writes them, a test compares.
"""

import copy
import os
import re
from pathlib import Path
from urllib.parse import quote

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from tutorial_utils.book.exercises import exercise_from, has_answers
from tutorial_utils.book.notebooks import book_notebooks, chapters, read_notebook, write_notebook
from tutorial_utils.book.repository import read_address
from tutorial_utils.errors import InputError

_BADGES = re.compile(r"\[!?\[?Open in Colab\]")  # also as pictures, which need a network
_INSTALL = """\
import sys
from importlib.metadata import distributions
from importlib.util import find_spec
from subprocess import run

if find_spec("tutorial_utils") is None:  # Colab: install it, keep the torch there
    torch = [d for d in distributions() if d.name in ("torch", "torchvision")]
    kept = [f"{{d.name}}=={{d.version}}" for d in torch]
    source = "tutorial_utils[notebooks] @ git+{url}"
    run([sys.executable, "-m", "pip", "install", "-q", source, *kept], check=True)"""
_PRACTICE = "Exercises that check themselves are in [their own notebook]({link}). Open ones:"


def install_cell(url: str) -> str:
    """Return the code of the first cell of each notebook."""
    return _INSTALL.format(url=url)


def badges(url: str, branch: str, path: str) -> str:
    """Return the line of links that open a notebook on Colab and Binder.

    Args:
        url: address of the repository.
        branch: which branch they open.
        path: of the notebook in the repository.
    """
    name = url.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{name}/blob/{branch}/{path}"
    binder = f"https://mybinder.org/v2/gh/{name}/{branch}?labpath={quote(path, safe='')}"
    return f"[Open in Colab]({colab}) · [Open in Binder]({binder})"


def with_head(notebook: NotebookNode, path: Path, root: Path) -> NotebookNode:
    """Return a notebook with its badges, its first cell and its links as they should be.

    Outputs stay, and the cells of an executed notebook are counted anew.

    Args:
        notebook: a chapter, an exercise or a notebook of solutions.
        path: where it is stored.
        root: the clone.
    """
    url, branch = read_address(root)
    notebook = copy.deepcopy(notebook)
    line = badges(url, branch, path.relative_to(root).as_posix())
    if link := _other(path, root):
        text = "exercises" if path.parent.name == "notebooks" else f"chapter {int(path.stem[:2])}"
        line += f" · [{text}]({link})"
    if path.parent.name == "notebooks":
        line += neighbours(path)
    title, _, text = notebook.cells[0].source.partition("\n\n")
    if _BADGES.match(text):
        text = text.partition("\n\n")[2]
    notebook.cells[0].source = f"{title}\n\n{line}\n\n{text}".rstrip()
    install = new_code_cell(install_cell(url), id="install", metadata={"tags": ["hide-input"]})
    if notebook.cells[1].id != "install":
        notebook.cells.insert(1, install)
    notebook.cells[1].update(source=install.source, metadata=install.metadata)
    if path.parent.name == "notebooks":
        _link_exercises_(notebook, link)
    _count_(notebook)
    return notebook


def _other(path: Path, root: Path) -> str | None:
    """Link from a chapter to its exercise, or from that to its chapter, if there is one."""
    folder = root / "notebooks"
    other = folder / path.name if path.parent != folder else folder / "exercises" / path.name
    # Every notebook of solutions has an exercise, even if it has not been written yet.
    source = folder / "solutions" / path.name if other.parent.name == "exercises" else other
    return Path(os.path.relpath(other, path.parent)).as_posix() if source.exists() else None


def _link_exercises_(notebook: NotebookNode, link: str | None) -> None:
    start = re.escape(_PRACTICE.partition("{")[0])
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and "## Exercises\n\n" in cell.source:
            source = re.sub(rf"^{start}.*\n\n", "", cell.source, flags=re.MULTILINE)
            if link:
                source = source.replace(
                    "## Exercises\n\n", f"## Exercises\n\n{_PRACTICE.format(link=link)}\n\n"
                )
            cell.source = source


def neighbours(path: Path) -> str:
    """Return links from a chapter to the one before and the one after, for people in Jupyter."""
    others = chapters(path.parent)
    before = [other for other in others if other.name < path.name][-1:]
    after = [other for other in others if other.name > path.name][:1]
    named = [("previous", p) for p in before] + [("next", p) for p in after]
    return "".join(f" · {word}: [{_title(p)}]({p.name})" for word, p in named)


def without_neighbours(source: str) -> str:
    """Return the first cell of a chapter without these links, which a page has at its end.

    >>> without_neighbours("[exercises](e.ipynb) · next: [2. Bits](02_bits.ipynb)")
    '[exercises](e.ipynb)'
    """
    return re.sub(r" · (previous|next): \[[^\]]*\]\([^)]*\)", "", source)


def _title(path: Path) -> str:
    return read_notebook(path).cells[0].source.partition("\n")[0].removeprefix("# ")


def _count_(notebook: NotebookNode) -> None:
    """Count the cells of an executed notebook anew, in the frames of expected errors as well."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not any(cell.execution_count for cell in cells):
        return
    new = {cell.execution_count: number for number, cell in enumerate(cells, 1)}

    def renumber(found: re.Match) -> str:
        return f"In[{new.get(int(found.group(1)), found.group(1))}]"

    for number, cell in enumerate(cells, 1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
            if output.output_type == "error":
                output.traceback = [re.sub(r"In\[(\d+)\]", renumber, t) for t in output.traceback]


def refresh(root: Path) -> dict[Path, NotebookNode]:
    """Return all notebooks as they should be: exercises from their solutions, and each head.

    Nothing is written; `write_all` does that.
    """
    folder = root / "notebooks"
    result = {}
    sources = [*book_notebooks(folder), *chapters(folder / "pages")]
    for path in [*sources, *chapters(folder / "solutions")]:
        notebook = read_notebook(path)
        result[path] = with_head(notebook, path, root)
        if path.parent.name == "solutions":
            target = folder / "exercises" / path.name
            result[target] = with_head(exercise_from(result[path]), target, root)
    return result


def answered(root: Path) -> list[Path]:
    """Return the exercises into which a reader has written."""
    folder = root / "notebooks"
    pairs = [(folder / "exercises" / p.name, p) for p in chapters(folder / "solutions")]
    return [
        exercise
        for exercise, solution in pairs
        if exercise.exists() and has_answers(read_notebook(exercise), read_notebook(solution))
    ]


def write_all(root: Path, *, force: bool = False) -> list[Path]:
    """Write the notebooks that are not as they should be, and return their paths.

    Args:
        root: the clone.
        force: overwrite a reader's answers.

    Raises:
        InputError: when there are answers; then nothing is written.
    """
    if (kept := answered(root)) and not force:
        names = ", ".join(path.relative_to(root).as_posix() for path in kept)
        raise InputError(
            f"{names}: there are answers in it; rename it, for example to "
            f"{kept[0].stem}.answers.ipynb, or overwrite it with --force"
        )
    changed = []
    for path, notebook in refresh(root).items():
        if not path.exists() or read_notebook(path) != notebook:
            write_notebook(notebook, path)
            changed.append(path)
    return changed
