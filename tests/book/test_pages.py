"""The rendered book, and whatever of it can be wrong without Sphinx noticing."""

import os
import pkgutil
import re
import subprocess
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urlsplit

import nbformat
import pytest
import yaml
from click.testing import CliRunner
from conftest import ROOT, write_cells

import tutorial_utils
from tutorial_utils.__main__ import main
from tutorial_utils.book.notebooks import stored_notebooks, tags
from tutorial_utils.book.render import build, fill_results, page_results, readme_with_results, stage
from tutorial_utils.book.repository import files_with_address
from tutorial_utils.errors import InputError

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
NOTEBOOKS = stored_notebooks(ROOT)
# The page of an exercise is made from its solution, so what a reader does to it shows nowhere.
SOURCES = {
    path.parent.parent / "exercises" / path.name if path.parent.name == "solutions" else path: path
    for path in NOTEBOOKS
    if path.parent.name != "exercises"
}


class Page(HTMLParser):
    """Collects what a page links to, shows and names."""

    def __init__(self, text):
        super().__init__()
        self.links, self.images, self.ids = [], [], set()
        self.classes = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids |= {values.get("id"), values.get("name")}
        self.classes += (values.get("class") or "").split()
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("img", "script", "link"):
            self.images += [values[key] for key in ("src", "href") if values.get(key)]


@pytest.fixture(scope="session")
def html(tmp_path_factory):
    """The book, built strictly from the stored outputs: a warning of Sphinx fails here."""
    folder = tmp_path_factory.mktemp("a book")
    build(ROOT, ROOT / "notebooks", folder / "html")
    return folder / "html"


@pytest.fixture(scope="session")
def pages(html):
    paths = [path for path in html.rglob("*.html") if "_static" not in path.parts]
    return {path: Page(path.read_text(encoding="utf-8")) for path in paths}


@pytest.mark.slow
def test_every_page_of_the_contents_is_there(html):
    contents = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    files = [contents["root"]] + [c["file"] for part in contents["parts"] for c in part["chapters"]]
    for file in files:
        assert (html / f"{file}.html").stat().st_size > 1000
    stems = {path.relative_to(ROOT).with_suffix("").as_posix() for path in SOURCES}
    assert stems == {file for file in files if file.startswith("notebooks/")}
    assert {f"book/{path.stem}" for path in (ROOT / "book").glob("*.md")} <= set(files)


@pytest.mark.slow
def test_every_internal_link_leads_somewhere(html, pages):
    n_checked = 0
    for path, page in pages.items():
        for link in page.links:
            address, anchor = urldefrag(link)
            if urlsplit(link).scheme or link == "#":
                continue
            target = (path.parent / unquote(address)).resolve() if address else path
            assert target.exists(), f"{path.relative_to(html)}: {link}"
            if anchor and target in pages:
                assert unquote(anchor) in pages[target].ids, f"{path.relative_to(html)}: {link}"
            n_checked += 1
    assert n_checked > 100


@pytest.mark.slow
def test_every_picture_and_style_is_there(html, pages):
    for path, page in pages.items():
        for source in page.images:
            if not urlsplit(source).scheme:
                target = path.parent / unquote(urlsplit(source).path)
                assert target.exists(), f"{path.relative_to(html)}: {source}"


@pytest.mark.slow
def test_outputs_are_rendered_and_only_expected_errors_show(html, pages):
    for path, source in SOURCES.items():
        cells = nbformat.read(source, as_version=4).cells
        page = pages[html / path.relative_to(ROOT).with_suffix(".html")]
        expected = sum("raises-exception" in tags(cell) for cell in cells)
        assert page.classes.count("traceback") == expected
        assert "stderr" not in page.classes
        pictures = sum(
            "image/png" in output.get("data", {})
            for cell in cells
            for output in cell.get("outputs", [])
        )
        assert sum("_images" in source for source in page.images) >= pictures
        tables = sum(
            "| :---" in output.get("data", {}).get("text/markdown", "")
            for cell in cells
            for output in cell.get("outputs", [])
        )
        assert page.classes.count("table") >= tables  # rendered as such, not as lines of bars


@pytest.mark.slow
def test_other_pages_show_no_error_and_no_unfilled_result(html, pages):
    for path, page in pages.items():
        if path.parent.name == "book" and path.stem != "api":  # its docstrings may show both
            assert "traceback" not in page.classes
            assert "system-message" not in page.classes
            assert "{{" not in path.read_text(encoding="utf-8")


def test_the_readme_has_the_results_of_the_stored_notebooks():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == readme_with_results(ROOT), "README.md is out of date: make results"
    assert re.search(r"<!-- result: \w+ -->\n\|", readme)


def test_results_are_filled_in_and_unknown_ones_refused():
    text = "a\n<!-- result: x -->\nold\n<!-- end -->\nb\n<!-- result: y -->\n<!-- end -->\n"
    filled = fill_results(text, {"x": "| new |", "y": "z"})
    assert "old" not in filled and "<!-- result: x -->\n| new |\n<!-- end -->\nb" in filled
    assert fill_results(filled, {"x": "| new |", "y": "z"}) == filled
    with pytest.raises(InputError, match="keeps a result 'y'"):
        fill_results(text, {"x": ""})


def small_book(clone, page):
    (clone / "book").mkdir()
    (clone / "book" / "intro.md").write_text(page)
    (clone / "book" / "_toc.yml").write_text("format: jb-book\nroot: book/intro\n")
    config = {"title": "T", "execute": {"execute_notebooks": "off"}, "only_build_toc_files": True}
    (clone / "_config.yml").write_text(yaml.safe_dump(config | {"sphinx": {"config": {}}}))


def test_a_page_gets_kept_results_and_executed_notebooks_come_first(clone):
    small_book(clone, "# Title\n\n{{ figure }}\n")
    executed = clone / "_build" / "notebooks"
    write_cells(executed / "01_bits.ipynb", "# Executed")
    stage(clone, executed, clone / "_build" / "book")
    staged = clone / "_build" / "book" / "notebooks"
    assert "Executed" in (staged / "01_bits.ipynb").read_text()
    assert (staged / "02_data.ipynb").read_text() == (
        clone / "notebooks" / "02_data.ipynb"
    ).read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("# Title\n\n{{ no_such_result }}\n", "no_such_result"),
        ("# Title\n\n[gone](gone.md)\n", "gone"),
        ("# Title\n\n{py:func}`no.such.function`\n", "no.such.function"),
    ],
)
def test_a_wrong_page_fails_and_leaves_the_last_good_book(clone, page, reason):
    small_book(clone, page)
    good = clone / "_build" / "html" / "index.html"
    good.parent.mkdir(parents=True)
    good.write_text("good")
    result = CliRunner().invoke(main, ["book"])
    assert result.exit_code == 1 and reason in result.stderr
    assert good.read_text() == "good"


# Where an address of this repository stands; other links to GitHub are to other projects.
ADDRESS = re.compile(
    r"(?:colab\.research\.google\.com/github/|mybinder\.org/v2/gh/|git\+https://github\.com/|"
    r"git clone https://github\.com/|repository_url: https://github\.com/|github\.com/(?=example/))"
    r"([\w.-]+/[\w.-]+)"
)


def test_the_address_of_the_repository_is_the_same_everywhere():
    url = CONFIG["sphinx"]["config"]["html_theme_options"]["repository_url"]
    owner_and_name = url.removeprefix("https://github.com/")
    n_found = 0
    for file in files_with_address(ROOT):
        for found in ADDRESS.findall(file.read_text(encoding="utf-8")):
            assert found.removesuffix(".git") == owner_and_name, f"{file}: make address URL={url}"
            n_found += 1
    assert n_found > 2 * len(NOTEBOOKS)


def test_pages_and_readme_name_only_results_that_are_kept():
    kept = page_results(ROOT, SOURCES.values())
    for file in (ROOT / "book").glob("*.md"):
        for key in re.findall(r"\{\{ *(\w+) *\}\}", file.read_text(encoding="utf-8")):
            assert key in kept, f"{file.name}: {key}"


def commands(text):
    return set(re.findall(r"`(?:make|python -m tutorial_utils) ([\w-]+)", text))


def test_every_make_target_is_in_the_readme_and_in_setup():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE).group(1).split())
    for file in (ROOT / "README.md", ROOT / "book" / "setup.md"):
        assert targets <= commands(file.read_text(encoding="utf-8")), file


def test_make_works_from_elsewhere_with_a_space_in_the_path(tmp_path):
    """The recipe of a target, without running it: the environment counts as installed."""
    copy = tmp_path / "a copy"
    (copy / ".venv").mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "requirements-book.txt", "constraints.txt"):
        (copy / name).write_text((ROOT / name).read_text())
    (copy / "pyproject.toml").touch()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}

    def make(*arguments):
        command = ["make", "--dry-run", "-C", str(copy), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=clean, cwd=tmp_path)

    assert "pip install" in make("book").stdout
    (copy / ".venv" / "installed").touch()
    second = make("book").stdout
    assert "pip install" not in second and "tutorial_utils run" in second
    os.utime(copy / ".venv" / "installed", (0, 0))
    assert "pip install" in make("test").stdout


def test_every_group_is_on_the_page_of_the_package():
    text = (ROOT / "book/api.md").read_text(encoding="utf-8")
    shown = re.findall(r"automodule:: tutorial_utils\.([\w.]+)", text)
    groups = {module.name for module in pkgutil.iter_modules(tutorial_utils.__path__)}
    assert sorted(shown) == sorted(groups - {"__main__", "compress_command", "logs", "modes"})
