"""The package as a stranger meets it: arrows go one way, and names come from its groups."""

import ast
import importlib
from graphlib import TopologicalSorter
from pathlib import Path

import nbformat
import pytest

import tutorial_utils

PACKAGE = Path(tutorial_utils.__file__).parent
ROOT = PACKAGE.parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
    for path in PACKAGE.rglob("*.py")
}
NOTEBOOKS = [
    p for part in ("", "pages") for p in sorted((ROOT / "notebooks" / part).glob("*.ipynb"))
]


def imports_of(source):
    """What a source imports from the package, as (module, name) pairs."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            if node.module.partition(".")[0] == "tutorial_utils":
                yield from ((node.module, alias.name) for alias in node.names)


def group(module):
    return ".".join(module.split(".")[:2])


def test_arrows_between_modules_and_between_groups_go_one_way():
    modules, groups = {}, {}
    for name, path in MODULES.items():
        targets = {
            f"{module}.{name}" if f"{module}.{name}" in MODULES else module
            for module, name in imports_of(path.read_text())
        }
        modules[name] = targets
        groups.setdefault(group(name), set()).update(map(group, targets) if targets else ())
    for name in groups:
        groups[name] -= {name, "tutorial_utils"}
    TopologicalSorter(modules).prepare()  # raises CycleError
    TopologicalSorter(groups).prepare()
    assert not groups["tutorial_utils.errors"]
    assert "tutorial_utils.training" not in groups["tutorial_utils.measuring"]


def test_no_module_is_longer_than_two_hundred_and_fifty_lines():
    long = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert not {name: n for name, n in long.items() if n > 250}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_imports_from_groups_and_only_what_they_offer(path):
    cells = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    found = [pair for cell in cells[1:] for pair in imports_of(cell)]
    assert found
    for module, name in found:
        assert module.count(".") <= 1, f"{module} is inside a group"
        whole = {f"{module}.{name}", f"{module}.{name}.__init__"}  # a module or a group
        assert hasattr(importlib.import_module(module), name) or whole & set(MODULES)
