"""Figures of a notebook, made ready for a page: alternative texts, and diagrams in its colours."""

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

_PICTURE = "image/png"
_DIAGRAM = "image/svg+xml"


def prepare_figures_(page: NotebookNode) -> NotebookNode:
    """Give each figure of a page its alternative text, and let diagrams take the page's colours.

    `plotting.show` stores the text with the output. MyST-NB takes it from the cell, one for each
    cell, so a second picture gets a cell of its own, whose source is not shown.

    Args:
        page: a notebook that is about to become a page; it is changed.
    """
    cells = []
    for cell in page.cells:
        cells.append(cell)
        if cell.cell_type == "code":
            cells += _parts(cell)
    page.cells = cells
    for cell in page.cells:
        for output in cell.get("outputs", []):
            _prepare_(cell, output)
    return page


def _parts(cell: NotebookNode) -> list[NotebookNode]:
    """Take all outputs from the second picture on out of a cell; return cells that hold them."""
    pictures = [i for i, out in enumerate(cell.outputs) if _PICTURE in out.get("data", {})]
    starts = [*pictures[1:], len(cell.outputs)]
    parts = [
        new_code_cell(
            "# shown by the cell above",  # MyST-NB leaves out a cell without a source
            id=f"{cell.get('id', 'cell')}-{start}",
            outputs=cell.outputs[start:end],
            metadata={"tags": ["remove-input"]},
        )
        for start, end in zip(starts, starts[1:], strict=False)
    ]
    cell.outputs = cell.outputs[: starts[0]]
    return parts


def _prepare_(cell: NotebookNode, output: NotebookNode) -> None:
    data, metadata = output.get("data", {}), output.get("metadata", {})
    if _DIAGRAM in data:
        data["text/html"] = f'<div class="drawing">{data.pop(_DIAGRAM)}</div>'
    if alt := metadata.get(_PICTURE, {}).get("alt"):
        kind = "photograph" if metadata[_PICTURE].get("photograph") else "plot"
        options = cell.metadata.setdefault("mystnb", {})
        options["image"] = {"alt": alt, "classes": kind}
