"""Rendering the book, and putting the results that notebooks keep into its pages and the README.

A notebook keeps a table or a sentence under a key (`output.keep`). A page of the book shows it with
``{{ key }}``. README.md, and pages where it has headings, show it between
``<!-- result: key -->`` and ``<!-- end -->``.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import yaml

from tutorial_utils.book.card import write_card
from tutorial_utils.book.choosing import decision_tree
from tutorial_utils.book.claims_page import claims_page
from tutorial_utils.book.drawing import diagram_names, read_diagram
from tutorial_utils.book.exercises import page_from
from tutorial_utils.book.figures import prepare_figures_
from tutorial_utils.book.front import front_picture, headline
from tutorial_utils.book.heads import without_neighbours
from tutorial_utils.book.models import models_data
from tutorial_utils.book.notebooks import (
    book_notebooks,
    chapters,
    kept_results,
    read_notebook,
    without_colours,
    write_notebook,
)
from tutorial_utils.book.overview import draw_map
from tutorial_utils.book.repository import pages_address
from tutorial_utils.book.site import CARD
from tutorial_utils.book.slim import slim_
from tutorial_utils.book.zoo import zoo_table
from tutorial_utils.errors import InputError, suggest

_JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # it has no `python -m` form
_BLOCK = re.compile(r"(<!-- result: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill_results(text: str, kept: dict[str, str], name: str = "README.md") -> str:
    """Return a Markdown text with the kept results between its markers.

    Raises:
        InputError: for a marker with a key that no notebook keeps.

    >>> fill_results("<!-- result: a -->\\nold\\n<!-- end -->", {"a": "new"})
    '<!-- result: a -->\\nnew\\n<!-- end -->'
    """

    def fill(block: re.Match) -> str:
        start, key, end = block.groups()
        if key not in kept:
            raise InputError(f"{name}: no notebook keeps a result {key!r}{suggest(key, kept)}")
        return f"{start}{kept[key]}\n{end}"

    return _BLOCK.sub(fill, text)


def page_results(root: Path, notebooks: Collection[Path]) -> dict[str, str]:
    """Return what a page may show: all that notebooks keep, and what is made from it."""
    zoo = root / "book" / "results" / "zoo.json"
    results = kept_results(notebooks) | ({"zoo": zoo_table(zoo)} if zoo.exists() else {})
    for name in diagram_names():
        results[f"diagram_{name}"] = f'<div class="drawing">\n{read_diagram(name)}</div>'
    results["chapters"] = draw_map(chapters(root / "notebooks"))
    results["claims"] = claims_page(path for path in notebooks if path.parent.name != "exercises")
    if "combining" in results:
        results["headline"] = headline(results["combining"])
        results["front_picture"] = front_picture(results["combining"])
        results["models_data"] = models_data(results)
        results["choosing"] = decision_tree(results)
    return results


def readme_with_results(root: Path) -> str:
    """Return README.md as it should be, with the results of the stored notebooks."""
    kept = kept_results(book_notebooks(root / "notebooks"))
    return fill_results((root / "README.md").read_text(encoding="utf-8"), kept)


def stage(root: Path, notebooks: Path, target: Path) -> None:
    """Copy what the book is made of to an empty folder, so that rendering leaves the tree alone.

    Args:
        root: the clone.
        notebooks: executed notebooks; for those that are not in it the stored ones are taken.
        target: made anew.
    """
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(root / "book", target / "book", ignore=shutil.ignore_patterns(".*"))
    for name in ("CHANGELOG.md",):  # which a page includes
        if (root / name).exists():
            shutil.copy(root / name, target / name)
    if (target / "book" / "_static").exists():
        (target / "book" / "_static").rename(target / "_static")  # where Sphinx looks for styles
    (target / "notebooks").mkdir()
    # The page of a solution is where its exercise is, so that a link to that leads to the page.
    for folder, shown in ((".", "."), ("pages", "pages"), ("solutions", "exercises")):
        for path in book_notebooks(root / "notebooks" / folder):
            executed = notebooks / folder / path.name
            page = page_from(read_notebook(executed if executed.exists() else path))
            page.cells[0].source = without_neighbours(page.cells[0].source)
            write_notebook(prepare_figures_(page), target / "notebooks" / shown / path.name)
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    folder = target / "notebooks"
    kept = page_results(root, [*book_notebooks(folder), *chapters(folder / "pages")])
    for page in (target / "book").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(fill_results(text, kept, page.name), encoding="utf-8")
    settings = config["sphinx"]["config"]
    settings["myst_substitutions"] = kept
    url = settings.get("html_theme_options", {}).get("repository_url", "")
    settings["html_baseurl"] = pages_address(url)
    if "combining" in kept:
        write_card(target / CARD, config["title"], kept["combining"])
    (target / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")


def jupyter_book(source: Path, *options: str) -> list[str]:
    """Return the command that builds what `stage` has put into a folder."""
    toc = str(source / "book" / "_toc.yml")
    return [sys.executable, "-c", _JUPYTER_BOOK, "build", str(source), "--toc", toc, *options]


def build(root: Path, notebooks: Path, html: Path) -> Path:
    """Render the book; every warning is an error.

    Args:
        root: the clone.
        notebooks: as for `stage`.
        html: folder for the pages, replaced only when everything went well.

    Returns:
        the page to open.

    Raises:
        RuntimeError: with what Sphinx said.
    """
    source = html.parent / "book"
    stage(root, notebooks, source)
    # --all, because an incremental build forgets the warnings of the one before.
    command = jupyter_book(source, "--all", "-W", "-n", "--keep-going")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(without_colours(done.stderr.strip() or done.stdout))
    slim_(source / "_build" / "html")
    if html.exists():
        shutil.rmtree(html)
    (source / "_build" / "html").rename(html)
    return html / "index.html"
