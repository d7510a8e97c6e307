"""The address of the repository, which is written in ``_config.yml`` alone."""

import re
from pathlib import Path

import yaml

from tutorial_utils.book.notebooks import stored_notebooks
from tutorial_utils.errors import InputError
from tutorial_utils.storage.files import replacing


def read_address(root: Path) -> tuple[str, str]:
    """Return the address of the repository and its branch from ``_config.yml``."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    options = config["sphinx"]["config"]["html_theme_options"]
    return options["repository_url"], options["repository_branch"]


def is_placeholder(url: str) -> bool:
    """Whether an address is the one of a book that has none yet.

    >>> is_placeholder("https://github.com/example/book"), is_placeholder("https://github.com/a/b")
    (True, False)
    """
    return url.startswith("https://github.com/example/")


def pages_address(url: str) -> str:
    """Return where the pages of a repository are published, or "" for a placeholder.

    >>> pages_address("https://github.com/Owner/book")
    'https://owner.github.io/book/'
    """
    if not url or is_placeholder(url):
        return ""
    owner, name = url.removeprefix("https://github.com/").split("/")
    return f"https://{owner.lower()}.github.io/{name}/"


def set_address(root: Path, url: str) -> None:
    """Put another address of the repository in place of the present one, everywhere.

    Raises:
        InputError: for anything but ``https://github.com/OWNER/NAME``.
    """
    url = url.rstrip("/").removesuffix(".git")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise InputError(f"address {url!r}: expected https://github.com/OWNER/NAME")
    old = read_address(root)[0].removeprefix("https://github.com/")
    new = url.removeprefix("https://github.com/")
    for path in files_with_address(root):
        text = path.read_text(encoding="utf-8")
        if old in text:
            with replacing(path) as temporary:
                temporary.write_text(text.replace(old, new), encoding="utf-8")


def files_with_address(root: Path) -> list[Path]:
    """Return the files that may name the address: configuration, pages, notebooks, README."""
    return [
        *(root / name for name in ("_config.yml", "README.md", "CITATION.cff", "pyproject.toml")),
        *sorted((root / "book").glob("*.md")),
        *stored_notebooks(root),
    ]
