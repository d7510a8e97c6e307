"""The option --affected, on a book of two notebooks with a package of four modules."""

import os
import shutil
import subprocess
import sys

import pytest
from affected import fingerprint, imported, names_imported
from conftest import ROOT, write_cells

TEST = """
import pathlib
import pytest
import tiny.checked

@pytest.mark.parametrize("path", [pathlib.Path(__file__).parents[1] / "notebooks/01_first.ipynb"])
def test_it_is_there(path):
    assert path.exists()
"""


@pytest.fixture
def book(tmp_path):
    root = tmp_path / "a book"
    modules = {
        "__init__": "",
        "used": "def f():\n    from tiny.deeper import x\n    return x\n",
        "deeper": "x = 1\n",
        "unused": "x = 2\n",
        "checked": "",
    }
    (root / "tiny").mkdir(parents=True)
    for name, source in modules.items():
        (root / "tiny" / f"{name}.py").write_text(source)
    (root / "tiny" / "weights.bin").write_bytes(b"1")
    write_cells(root / "notebooks" / "01_first.ipynb", "from tiny.used import f", "f()")
    write_cells(root / "notebooks" / "02_second.ipynb", "x = 3", "x")
    (root / "tests").mkdir()
    for name in ("affected.py", "figures.cfg"):
        shutil.copy(ROOT / "tests" / name, root / "tests")
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    (root / "tests" / "test_first.py").write_text(TEST)
    return root


def test_what_is_imported_is_found_through_other_modules(book):
    found = imported({book / "notebooks" / "01_first.ipynb"}, book)
    names = ["__init__.py", "deeper.py", "used.py", "weights.bin"]
    assert sorted(path.name for path in found) == names
    assert imported({book / "notebooks" / "02_second.ipynb"}, book) == set()


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("tiny/used.py", True),
        ("tiny/deeper.py", True),  # imported by used, inside a function
        ("tiny/__init__.py", True),
        ("tiny/weights.bin", True),
        ("tiny/unused.py", False),
        ("tiny/checked.py", False),
        ("tests/test_first.py", False),
        ("notebooks/01_first.ipynb", True),
        ("notebooks/02_second.ipynb", False),
        ("pyproject.toml", True),
        ("conftest.py", True),
    ],
)
def test_only_what_a_notebook_depends_on_counts(book, file, counts):
    notebook = book / "notebooks" / "01_first.ipynb"
    before = fingerprint(notebook, notebook, book)
    assert fingerprint(notebook, notebook, book) == before
    text = (book / file).read_bytes()
    (book / file).write_bytes(text + b"\n")
    assert (fingerprint(notebook, notebook, book) != before) == counts


def test_a_version_counts_and_a_magic_is_never_as_it_was(book, monkeypatch):
    notebook = book / "notebooks" / "02_second.ipynb"
    before = fingerprint(notebook, notebook, book)
    monkeypatch.setattr("affected.installed", lambda: "torch==0")
    assert fingerprint(notebook, notebook, book) != before
    write_cells(notebook, "%run other.py")
    names_imported.cache_clear()  # a file does not change while the tests run
    assert fingerprint(notebook, notebook, book) != fingerprint(notebook, notebook, book)


@pytest.mark.slow
def test_notebooks_that_nothing_changed_are_left_out(book):
    environment = os.environ | {"PYTHONPATH": str(book)}
    first, second = (book / "notebooks" / f"{s}.ipynb" for s in ("01_first", "02_second"))

    def run(*options):
        command = [sys.executable, "-m", "pytest", *options]
        done = subprocess.run(command, cwd=book, capture_output=True, text=True, env=environment)
        return done.stdout.splitlines()[-1], done.stdout

    # The stored outputs: nbval compares only cells that were executed.
    assert "2 passed" in run(f"{first}::Cell 0", f"{second}::Cell 0")[0]
    assert "5 passed" in run("--affected")[0]  # nothing of a part of a notebook was kept
    last, text = run("--affected")
    assert "5 deselected" in last and "5 tests left out: their notebooks" in text
    assert "5 passed" in run()[0]  # without the option all run

    (book / "tiny" / "unused.py").write_text("x = 4\n")
    (book / "tiny" / "checked.py").write_text("x = 4\n")  # only the test imports it
    assert "1 passed, 4 deselected" in run("--affected")[0]
    (book / "tiny" / "deeper.py").write_text("x = nothing\n")
    assert "1 failed, 2 passed, 2 deselected" in run("--affected")[0]
    assert "1 failed, 1 passed, 3 deselected" in run("--affected")[0]  # a failure is not kept
    (book / "tiny" / "deeper.py").write_text("x = 1\n")
    (book / "_build" / "affected.json").write_text("{")  # damaged: everything runs
    assert "5 passed" in run("--affected")[0]
