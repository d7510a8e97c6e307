"""The option --affected: leave out the tests of notebooks that nothing changed since they passed.

A test belongs to a notebook when it is one of its cells (nbval), or has the notebook as parameter
``path``. What counts: the notebook and the exercise made from it, the modules of this repository
that it and the test import, directly or through others, the data in their package, the settings,
and the installed versions. Every run notes what passed; a notebook only when all its cells did.
"""

import ast
import hashlib
import json
import os
import platform
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import nbformat
import pytest

SETTINGS = (
    "pyproject.toml",
    "conftest.py",
    "tests/figures.cfg",
    "_config.yml",
    "notebooks/profiles.yml",
)


def pytest_addoption(parser):
    text = "leave out the tests of notebooks that nothing changed since they passed"
    parser.addoption("--affected", action="store_true", help=text)


def pytest_configure(config):
    config.pluginmanager.register(Affected(config))


class Affected:
    """What this run has to do and has done. A key is a notebook, or the id of another test."""

    def __init__(self, config):
        self.root = config.rootpath
        self.file = self.root / "_build" / "affected.json"
        self.keys = {}  # of the tests that belong to a notebook, by id
        self.fingerprints = {}  # by key
        self.passed, self.spoiled = set(), set()  # ids that passed; keys that did not, or not whole
        try:
            self.state = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.state = {}

    @pytest.hookimpl(trylast=True)  # after -k and -m
    def pytest_collection_modifyitems(self, config, items):
        for item in items:
            if notebook := notebook_of(item):
                key = self.keys[item.nodeid] = str(notebook) if is_cell(item) else item.nodeid
                if key not in self.fingerprints:
                    self.fingerprints[key] = fingerprint(notebook, item.path, self.root)
        for notebook in {item.path for item in items if is_cell(item)}:
            cells = nbformat.read(notebook, as_version=4).cells
            n_asked = list(self.keys.values()).count(str(notebook))
            if n_asked < sum(cell.cell_type == "code" for cell in cells):
                self.spoiled.add(str(notebook))
        if config.option.affected:
            same = {key for key, value in self.fingerprints.items() if self.state.get(key) == value}
            unchanged = [item for item in items if self.keys.get(item.nodeid) in same]
            items[:] = [item for item in items if self.keys.get(item.nodeid) not in same]
            config.hook.pytest_deselected(items=unchanged)
            for item in unchanged:
                del self.keys[item.nodeid]
            self.line = f"{len(unchanged)} tests left out: their notebooks are as they passed"

    def pytest_report_collectionfinish(self):
        return getattr(self, "line", [])

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)
        elif not report.passed and report.nodeid in self.keys:
            self.spoiled.add(self.keys[report.nodeid])

    def pytest_sessionfinish(self):
        if not self.keys:
            return
        unfinished = {key for id_, key in self.keys.items() if id_ not in self.passed}
        for key in set(self.keys.values()):
            if key in self.spoiled or key in unfinished:
                self.state.pop(key, None)
            else:
                self.state[key] = self.fingerprints[key]
        self.file.parent.mkdir(exist_ok=True)
        temporary = self.file.with_name(f".{os.getpid()}.{self.file.name}")
        temporary.write_text(json.dumps(self.state, indent=1), encoding="utf-8")
        os.replace(temporary, self.file)


def is_cell(item):
    return item.path.suffix == ".ipynb"


def notebook_of(item):
    """The notebook to which a test belongs, or None."""
    path = getattr(item, "callspec", None) and item.callspec.params.get("path")
    path = item.path if is_cell(item) else path
    return path if isinstance(path, Path) and path.suffix == ".ipynb" else None


def fingerprint(notebook, test, root):
    """A hash of everything that the result of a test of a notebook depends on."""
    exercise = notebook.parent.parent / "exercises" / notebook.name
    files = {notebook, test, exercise, *(root / name for name in SETTINGS)}
    try:
        files |= imported({path for path in (notebook, test, exercise) if path.exists()}, root)
    except SyntaxError:  # a magic such as %run, which may do anything: never as it was
        return os.urandom(8).hex()
    digest = hashlib.sha256(installed().encode())
    for path in sorted(path for path in files if path.is_file()):
        digest.update(f"\0{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def installed():
    found = {f"{d.name}=={d.version}" for d in distributions()}
    return " ".join([platform.python_version(), platform.machine(), *sorted(found)])


def imported(files, root):
    """The modules below a folder that files import, themselves or through others, and their data.

    Data are all files beside Python's in a package of which a module is imported.
    """
    found, new = set(), set(files)
    while new:
        path = new.pop()
        parts = [root.joinpath(*name.split(".")) for name in names_imported(path)]
        modules = {p for part in parts for p in (part.with_suffix(".py"), part / "__init__.py")}
        modules = {p for p in modules if p.is_file()}
        new |= modules - found
        found |= modules
    for package in {root / p.relative_to(root).parts[0] for p in found if p.parent != root}:
        data = (p for p in package.rglob("*") if p.suffix != ".py" and "__pycache__" not in p.parts)
        found |= set(data)
    return found


@cache
def names_imported(path):
    """All names after `import` and `from` in a file, with each package that they are in."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        sources = [cell.source for cell in cells if cell.cell_type == "code"]
    else:
        sources = [path.read_text(encoding="utf-8")]
    names = set()
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {
        ".".join(name.split(".")[: n + 1]) for name in names for n in range(name.count(".") + 1)
    }
