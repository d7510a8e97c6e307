"""Notebooks as files: which there are, what they declare, and the form in which they are stored."""

import ast
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tutorial_utils.errors import InputError, suggest
from tutorial_utils.storage.files import replacing

KERNELSPEC = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
_RECORD = "application/papermill.record/"  # the prefix of what is stored and not shown
# What tools leave in the metadata of a cell.
_PASSING = {"papermill", "execution", "collapsed", "scrolled", "ExecuteTime", "id"}
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def find_root() -> Path:
    """Return the folder of the book: the current one, one above it, or the one of this package.

    Raises:
        InputError: when none of them has a ``notebooks/profiles.yml``.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "notebooks" / "profiles.yml").is_file():
            return folder
    raise InputError(f"{here}: no notebooks/profiles.yml here or above; go to a clone of the book")


def chapters(folder: Path) -> list[Path]:
    """Return the notebooks of a folder that belong to the book: NN_topic.ipynb, in order."""
    return [p for p in sorted(folder.glob("*.ipynb")) if re.fullmatch(r"\d\d_[a-z0-9_]+", p.stem)]


def book_notebooks(folder: Path) -> list[Path]:
    """Return the chapters of a folder, and the notebook for a reader's own network if it is there.

    That one is a report and no chapter: it has no number and no exercises.
    """
    return [*chapters(folder), *(p for p in [folder / "your_model.ipynb"] if p.is_file())]


def stored_notebooks(root: Path) -> list[Path]:
    """Return the notebooks of a clone: chapters, executed pages, solutions and exercises.

    No copies that a reader made.
    """
    folder = root / "notebooks"
    parts = ("", "pages", "solutions", "exercises")
    return [p for part in parts for p in book_notebooks(folder / part)]


def find_notebooks(names: Iterable[str], folder: Path) -> list[Path]:
    """Return the notebooks that are meant; all of the folder when no name is given.

    Args:
        names: each a number (``3``), a stem (``03_post_training_quantization``) or a path, of a
            notebook or of a folder of them.
        folder: where the chapters are.
    """
    found = [path for name in names for path in _named(name, folder)] or book_notebooks(folder)
    if not found:
        raise InputError(f"{folder}: no notebook named NN_topic.ipynb in it")
    stems = [path.stem for path in found]
    for stem in stems:
        if stems.count(stem) > 1:
            raise InputError(f"notebook {stem} is named twice")
    return found


def _named(name: str, folder: Path) -> list[Path]:
    for path in book_notebooks(folder):
        if name == path.stem or (name.isdecimal() and name.zfill(2) == path.stem[:2]):
            return [path]
    if name.endswith(".ipynb") and Path(name).is_file():
        return [Path(name).resolve()]
    if inside := book_notebooks(Path(name).resolve()):
        return inside
    raise InputError(
        f"no notebook {name!r}{suggest(name, [p.stem for p in book_notebooks(folder)])}"
    )


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook, or raise `InputError` when the file is none."""
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat passes on whatever json or its schema checker raises
        raise InputError(f"{path}: not a notebook ({type(error).__name__})") from error


def write_notebook(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook under a temporary name first, so that a file of that name is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        nbformat.write(notebook, temporary)


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])


def read_parameters(path: Path) -> dict[str, object]:
    """Return the parameters that a notebook declares, with their defaults.

    Raises:
        InputError: when the file is no notebook, or its parameters cell holds anything but
            assignments of plain values.
    """
    tagged = [cell for cell in read_notebook(path).cells if "parameters" in tags(cell)]
    if len(tagged) > 1:
        raise InputError(f"{path}: {len(tagged)} cells are tagged 'parameters', expected one")
    parameters = {}
    for cell in tagged:
        try:
            for statement in ast.parse(cell.source).body:
                (target,) = statement.targets
                parameters[target.id] = ast.literal_eval(statement.value)
        except (SyntaxError, AttributeError, ValueError) as error:
            message = f"{path}: the parameters cell may hold only lines of the form name = value"
            raise InputError(message) from error
    return parameters


def tidy_(notebook: NotebookNode) -> NotebookNode:
    """Remove from an executed notebook what differs from machine to machine: times, paths, state.

    An expected error keeps the frames of the notebook itself and loses those of the libraries.
    """
    language = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": language})
    for cell in notebook.cells:
        kept = {key: value for key, value in cell.metadata.items() if key not in _PASSING and value}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                output.evalue = shorten(output.evalue)
                *frames, _ = output.traceback or [""]
                own = [frame for frame in frames if not without_colours(frame).startswith("File ")]
                output.traceback = [*own, f"{output.ename}: {output.evalue}"]
    return notebook


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join what was printed in a row: a kernel sends it in one piece or in several."""
    result: list[NotebookNode] = []
    for output in outputs:
        last = result[-1] if result else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            result.append(output)
    return result


def shorten(message: str, limit: int = 400) -> str:
    """Keep the first sentence of a long error message; torch's may list every backend there is.

    >>> shorten("It failed. " + "Details. " * 99)
    'It failed. [...]'
    """
    return message if len(message) <= limit else message.partition(". ")[0][:limit] + ". [...]"


def without_colours(text: str) -> str:
    """Remove the control characters that colour a text on a terminal.

    >>> without_colours("\\x1b[31mred\\x1b[0m")
    'red'
    """
    return _ANSI.sub("", text)


def without_paths(text: str) -> str:
    """Shorten paths of this machine: to `site-packages` and to the home folder.

    >>> without_paths(sys.prefix + "/lib/module.py")
    '.../lib/module.py'
    """
    return text.replace(sys.prefix, "...").replace(str(Path.home()), "~")


def error_in(notebook: NotebookNode) -> tuple[int, list[str]]:
    """Return the number of the first cell that went wrong and the lines of its error, or (0, []).

    A cell tagged ``raises-exception`` is expected to raise: it is wrong when it does not.
    """
    for cell in notebook.cells:
        errors = [out for out in cell.get("outputs", []) if out.output_type == "error"]
        if "raises-exception" in tags(cell):
            if not errors:
                return cell.execution_count, ["tagged raises-exception, but it raised nothing"]
        elif errors:
            lines = without_colours("\n".join(errors[0].traceback)).splitlines()
            return cell.execution_count, lines
    return 0, []


def kept_results(paths: Iterable[Path]) -> dict[str, str]:
    """Return the Markdown that notebooks keep for the pages of the book (`output.keep`), by key.

    Raises:
        InputError: when two cells keep the same key.
    """
    kept: dict[str, str] = {}
    for path in paths:
        for cell in read_notebook(path).cells:
            for output in cell.get("outputs", []):
                if key := output.get("metadata", {}).get("scrapbook", {}).get("name"):
                    if key in kept:
                        raise InputError(f"{path}: the result {key!r} is kept twice")
                    data = output.data
                    kept[key] = data.get(_RECORD + "text/markdown") or data["text/markdown"]
    return kept
