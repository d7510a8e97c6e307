"""The page of all claims, read from the outputs of the notebooks."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tutorial_utils.book.notebooks import read_notebook

_LINE = re.compile(r"^(holds|skipped|does not hold): (.*)$")
_FIGURES = re.compile(r"^(.*) \(([-+\w.,]+), (at (?:most|least) [-+\w.,]+)\)$")


class Printed(NamedTuple):
    """A claim as a notebook printed it."""

    result: str  # "holds", "skipped" or "does not hold"
    sentence: str
    figure: str  # "" for a claim that is true or false
    bound: str


def read_claims(path: Path) -> list[Printed]:
    """Return the claims that the stored outputs of a notebook state, in order."""
    claims = []
    for cell in read_notebook(path).cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stdout":
                claims += filter(None, map(parse_claim, output.text.splitlines()))
    return claims


def parse_claim(line: str) -> Printed | None:
    """Read one line of output.

    >>> parse_claim("holds: it is small (0.27, at most 0.3)")
    Printed(result='holds', sentence='it is small', figure='0.27', bound='at most 0.3')
    >>> parse_claim("skipped: it is fast (no compiler)")
    Printed(result='skipped', sentence='it is fast (no compiler)', figure='', bound='')
    >>> parse_claim("epoch 1") is None
    True
    """
    if not (found := _LINE.match(line)):
        return None
    result, text = found.groups()
    if result == "holds" and (parts := _FIGURES.match(text)):
        return Printed(result, *parts.groups())
    return Printed(result, text, "", "")


def claims_page(paths: Iterable[Path]) -> str:
    """Return Markdown with a table of claims for each notebook that states any.

    Args:
        paths: notebooks; links lead from the folder ``book`` to ``notebooks/NAME``.
    """
    tables, n_all = [], 0
    for path in paths:
        if not (claims := read_claims(path)):
            continue
        n_all += len(claims)
        title = read_notebook(path).cells[0].source.partition("\n")[0].lstrip("# ")
        place = path.as_posix().rpartition("/notebooks/")[2]
        lines = [f"## {title}", "", f"From [the notebook](../notebooks/{place}).", ""]
        lines += ["| claim | figure | bound |", "| :--- | ---: | :--- |"]
        for claim in claims:
            sentence = _as_markdown(claim.sentence)
            if claim.result != "holds":
                sentence = f"*{claim.result}:* {sentence}"
            bound = claim.bound or ("true" if claim.result == "holds" else "")
            lines.append(f"| {sentence} | {claim.figure} | {bound} |")
        tables.append("\n".join(lines))
    return f"{n_all} claims in {len(tables)} notebooks.\n\n" + "\n\n".join(tables)


def _as_markdown(sentence: str) -> str:
    """Show a sentence as it was printed; what is between backticks is code."""
    parts = sentence.replace("|", "\\|").split("`")
    parts[::2] = [part.replace("*", "\\*").replace("_", "\\_") for part in parts[::2]]
    return "`".join(parts)
