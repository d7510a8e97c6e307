"""The map of the chapters: what builds on what, with the minutes that each takes to read."""

import re
from collections.abc import Iterable
from pathlib import Path

from tutorial_utils.book.drawing import diagram_names, read_diagram
from tutorial_utils.book.notebooks import read_notebook

# Column and row of each chapter on the map, and the chapters that it builds on.
_PLACES = {1: (1, 0), 2: (0, 1), 3: (0, 2), 4: (0, 3), 5: (1, 1), 6: (1, 2), 7: (2, 1)}
_PLACES |= {8: (1, 4), 9: (0, 5), 10: (2, 5)}
_NEEDS = {2: [1], 3: [2], 4: [3], 5: [1], 6: [5], 7: [1], 8: [4, 6, 7], 9: [8], 10: [8]}
_GROUPS = {1: "float", 2: "ptq", 3: "ptq", 4: "qat", 5: "unstructured", 6: "structured"}
_GROUPS |= {7: "distillation", 8: "combined", 9: "deep", 10: "float"}


def draw_map(paths: Iterable[Path]) -> str:
    """Return the map of the chapters as HTML: boxes that are links, and arrows between them.

    Args:
        paths: the chapters; their titles and minutes are read from their first cells.
    """
    style = re.search(r" *<style>.*?</style>", read_diagram(diagram_names()[0]), re.DOTALL)[0]
    boxes, arrows = [], []
    for path in paths:
        number, title, minutes = _title(path)
        x, y = _corner(number)
        lines = _wrap(title)
        text = "".join(
            f'<tspan x="{x + 12}" y="{y + 20 + 17 * i}">{line}</tspan>'
            for i, line in enumerate(lines)
        )
        note = f"chapter {number}" + (f", {minutes} min" if minutes else "")
        boxes.append(
            f'<a href="../notebooks/{path.stem}.html">'
            f'<rect class="box" x="{x}" y="{y}" width="158" height="72" rx="6"/>'
            f'<rect class="f-{_GROUPS[number]}" x="{x}" y="{y}" width="6" height="72" rx="2"/>'
            f'<text class="small bold">{text}</text>'
            f'<text class="small soft" x="{x + 12}" y="{y + 62}">{note}</text></a>'
        )
        arrows += [_arrow(_corner(other), (x, y)) for other in _NEEDS.get(number, [])]
    return "\n".join(
        [
            '<div class="drawing">',
            '<svg xmlns="http://www.w3.org/2000/svg" class="diagram" viewBox="0 0 480 560"'
            ' aria-label="Map of the chapters: what builds on what">',
            style,
            '<defs><marker id="map-head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7"'
            ' markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" class="head"/></marker>'
            "</defs>",
            *arrows,
            *boxes,
            "</svg>",
            "</div>",
        ]
    )


def _corner(number: int) -> tuple[int, int]:
    column, row = _PLACES[number]
    return 1 + 160 * column, 6 + 95 * row


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    (x1, y1), (x2, y2) = start, end
    path = f"M{x1 + 79} {y1 + 72}V{y2 - 12}H{x2 + 79}V{y2 - 1}"
    return f'<path d="{path}" class="stroke" marker-end="url(#map-head)"/>'


def _title(path: Path) -> tuple[int, str, str]:
    """Return the number and the title of a chapter, and the minutes that it takes to read."""
    text = read_notebook(path).cells[0].source
    title = re.sub(r"^# (\d+\. )?", "", text.partition("\n")[0])
    minutes = re.search(r"\*\*Time:\*\* about (\d+) minutes", text)
    return int(path.stem[:2]), title, minutes[1] if minutes else ""


def _wrap(title: str) -> list[str]:
    """Break a title into two lines of about the same length, if it is long."""
    if len(title) <= 16:
        return [title]
    spaces = [i for i, letter in enumerate(title) if letter == " "]
    middle = min(spaces, key=lambda i: abs(i - len(title) / 2 - 1))
    return [title[:middle], title[middle + 1 :]]
