"""The whole book as one PDF: its pages below each other, printed by Chromium."""

import os
import posixpath
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from bs4 import BeautifulSoup, Tag

from tutorial_utils.errors import InputError

_LEFT_OUT = ("book/api", "book/play", "book/claims")  # long lists, and what only moves
_DROPPED = "script, .headerlink, .feedback, .copybtn, .tocnote"
_STYLE = """
<style>
article { break-before: page; max-width: none; }
article:first-of-type { break-before: auto; }
pre, figure, table, img, svg { break-inside: avoid; }
body { padding: 0 !important; }
</style>
"""


def find_chromium() -> str | None:
    """Return the browser that prints: what $CHROMIUM names, or one of the usual names."""
    names = ("chromium", "google-chrome", "chromium-browser")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def write_pdf(html: Path, pages: list[str], path: Path) -> Path:
    """Print the pages of a rendered book into one file.

    Args:
        html: folder of the rendered book.
        pages: their names, as in the table of contents.
        path: of the PDF.

    Raises:
        InputError: there is no rendered book, or no Chromium.
        RuntimeError: with what Chromium said.
    """
    if not (html / f"{pages[0]}.html").exists():
        raise InputError(f"{html}: no rendered book in it; make html")
    if not (chromium := find_chromium()):
        raise InputError("no Chromium found: install it, or name its path in CHROMIUM")
    together = html / "_together.html"
    together.write_text(one_page(html, pages), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000"]
    options += ["--no-pdf-header-footer", f"--print-to-pdf={path.resolve()}"]
    command = [chromium, *options, together.resolve().as_uri()]
    done = subprocess.run(command, capture_output=True, text=True)
    together.unlink()
    if done.returncode or not path.exists():
        raise RuntimeError(done.stderr.strip())
    return path


def page_names(root: Path) -> list[str]:
    """Return the pages of the contents that are printed, in order."""
    contents = yaml.safe_load((root / "book" / "_toc.yml").read_text(encoding="utf-8"))
    files = [page["file"] for part in contents["parts"] for page in part["chapters"]]
    return [name for name in (contents["root"], *files) if name not in _LEFT_OUT]


def one_page(html: Path, pages: list[str]) -> str:
    """Return one page of HTML with the text of all, for a file in the folder `html`."""
    texts = {page: (html / f"{page}.html").read_text(encoding="utf-8") for page in pages}
    # Only pages with formulas load what draws them.
    source = next((page for page, text in texts.items() if "/tex-" in text), pages[0])
    head = BeautifulSoup(texts[source], "html.parser").head
    for tag in head.find_all(["link", "script"]):
        _move_(tag, source, set())
    articles = []
    for page, text in texts.items():
        article = BeautifulSoup(text, "html.parser").select_one("article")
        for tag in article.select(_DROPPED):
            tag.decompose()
        for tag in article.find_all("details"):
            tag["open"] = ""
        for tag in article.find_all(["a", "img", "source"]):
            _move_(tag, page, set(pages))
        article["id"] = _anchor(page)
        articles.append(str(article))
    body = "\n".join(articles)
    start = '<!doctype html>\n<html lang="en" data-theme="light">'
    return f"{start}{head}{_STYLE}<body>{body}</body></html>"


def _anchor(page: str) -> str:
    return "page-" + page.replace("/", "-")


def _move_(tag: Tag, page: str, pages: set[str]) -> None:
    """Make an address that counts from a page count from the top, or lead to a place here."""
    for key in ("href", "src"):
        address = tag.get(key)
        if not address or urlsplit(address).scheme or address.startswith("#"):
            continue
        path, _, anchor = address.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
        if path.removesuffix(".html") in pages:
            tag[key] = f"#{anchor or _anchor(path.removesuffix('.html'))}"
        else:
            tag[key] = path
