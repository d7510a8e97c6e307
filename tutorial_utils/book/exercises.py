"""Exercises made from solutions.

A notebook of solutions is the source. Each of its cells tagged ``solution`` holds one function; in
the exercise the body of that function becomes ``raise NotImplementedError``, and in the book the
cell is behind a drop-down below the same stub. The next code cell is the check. Where something is
to be mended, the cell's metadata hold under ``begin`` the function that the exercise begins with.
"""

import ast
import copy
import re

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output

from tutorial_utils.book.notebooks import tags
from tutorial_utils.errors import InputError

_CHECK = re.compile(r"^check\.(\w+)\((\w+)\)$", re.MULTILINE)


def stub(source: str) -> str:
    """Return a function without its body: signature, docstring, NotImplementedError.

    Raises:
        InputError: for anything but one function with a docstring.

    >>> print(stub('def double(x):\\n    "Twice x."\\n    return 2 * x'))
    def double(x):
        "Twice x."
        # your code here
        raise NotImplementedError("double is yours to write")
    """
    from tutorial_utils.check.examine import to_write  # imports torch and all checks

    statements = ast.parse(source).body
    if len(statements) != 1 or not isinstance(statements[0], ast.FunctionDef):
        raise InputError(f"a solution cell holds one function and nothing else: {source[:60]!r}")
    (function,) = statements
    if ast.get_docstring(function) is None:
        raise InputError(f"the solution {function.name} needs a docstring, which the stub keeps")
    lines = source.splitlines()[: function.body[0].end_lineno]
    return "\n".join(
        [
            *lines,
            "    # your code here",
            f'    raise NotImplementedError("{to_write(function.name)}")',
        ]
    )


def beginning(cell: NotebookNode) -> str:
    """Return what a reader finds in place of a solution: a stub, or a function with a bug."""
    return cell.metadata.get("begin") or stub(cell.source)


def is_stub(source: str) -> bool:
    r"""Whether nobody has written into a function that `stub` made.

    >>> is_stub("def f():\n    'Doc.'\n    return 1")
    False
    """
    try:
        return stub(source) == source
    except (InputError, SyntaxError):
        return False


def checked(source: str) -> str | None:
    """Return the name of the exercise that a cell checks, or None.

    >>> checked("check.quantize(quantize)")
    'quantize'
    """
    found = _CHECK.search(source)
    return found.group(1) if found else None


def solutions(notebook: NotebookNode) -> dict[str, int]:
    """Return the position of the solution cell of each exercise, by name.

    Raises:
        InputError: when a solution is not followed by its own check.
    """
    found = {}
    for position, cell in enumerate(notebook.cells):
        if "solution" in tags(cell):
            name = ast.parse(cell.source).body[0].name
            following = notebook.cells[position + 1 : position + 2]
            if not following or checked(following[0].source) != name:
                raise InputError(f"the cell after the solution {name} must be check.{name}({name})")
            found[name] = position
    return found


def exercise_from(solution: NotebookNode) -> NotebookNode:
    """Return the exercise that a notebook of solutions makes, with the outputs of its stubs."""
    from tutorial_utils.check.examine import not_written

    exercise = copy.deepcopy(solution)
    for name, position in solutions(solution).items():
        cell, check = exercise.cells[position : position + 2]
        to_write = "begin" not in cell.metadata
        cell.source = beginning(cell)
        cell.metadata = NotebookNode()
        text = not_written(name) + "\n"
        check.outputs = [new_output("stream", name="stdout", text=text)] if to_write else []
    return exercise


def has_answers(exercise: NotebookNode, solution: NotebookNode) -> bool:
    """Whether an exercise holds a reader's work: a body, a cell or an output that we do not make.

    Cells are told apart by their ids, which an exercise has from its notebook of solutions.
    """
    made = exercise_from(solution)
    stubs = {
        made.cells[position].id: made.cells[position].source
        for position in solutions(solution).values()
    }
    known = {cell.id for cell in made.cells}
    printed = ["", *("".join(o.text for o in c.outputs) for c in made.cells if c.get("outputs"))]
    return any(
        cell.id not in known
        or (cell.id in stubs and cell.source != stubs[cell.id] and not is_stub(cell.source))
        or "".join(o.get("text", "?") for o in cell.get("outputs", [])) not in printed
        for cell in exercise.cells
    )


def page_from(solution: NotebookNode) -> NotebookNode:
    """Return the page of the book: each stub, and below it the solution behind a drop-down.

    A chapter, which has no solutions, only gets a title for the drop-down of its first cell.
    """
    page = copy.deepcopy(solution)
    for cell in page.cells:
        if cell.get("id") == "install":
            cell.metadata["mystnb"] = {
                "code_prompt_show": "Show the cell that installs the package where it is missing",
                "code_prompt_hide": "Hide that cell",
            }
    # Backwards, because each stub that is put in moves the cells below it.
    for name, position in reversed(solutions(solution).items()):
        cell = page.cells[position]
        cell.metadata["mystnb"] = {
            "code_prompt_show": f"Show a solution of {name}",
            "code_prompt_hide": f"Hide the solution of {name}",
        }
        text = f"```python\n{beginning(cell)}\n```"
        page.cells.insert(position, new_markdown_cell(text, id=f"stub-{position}"))
    return page
