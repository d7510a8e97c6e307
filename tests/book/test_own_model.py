"""The program of the page "Your own model and data": short, run as it is printed, and right."""

import ast
import importlib.util
import runpy
from pathlib import Path

import pytest
import torch

from tutorial_utils.deploying import has_compiler

BOOK = Path(__file__).resolve().parents[2] / "book"
SCRIPT = BOOK / "own_model.py"


def code_lines() -> list[str]:
    tree = ast.parse(SCRIPT.read_text())
    lines = SCRIPT.read_text().splitlines()[tree.body[0].end_lineno :]
    return [line for line in lines if line.strip() and not line.startswith("#")]


def test_the_page_shows_the_program_which_is_short_and_imports_from_groups_only():
    assert "```{literalinclude} own_model.py\n" in (BOOK / "own_model.md").read_text()
    assert len(code_lines()) <= 15
    modules = [
        node.module for node in ast.parse(SCRIPT.read_text()).body if hasattr(node, "module")
    ]
    groups = [name for name in modules if name.startswith("tutorial_utils")]
    assert len(groups) == 4
    for name in groups:
        assert importlib.util.find_spec(name).submodule_search_locations, f"{name} is no group"


def test_every_function_of_the_program_is_explained():
    page = (BOOK / "own_model.md").read_text()
    calls = [
        node.func for node in ast.walk(ast.parse(SCRIPT.read_text())) if isinstance(node, ast.Call)
    ]
    own = {func.id for func in calls if isinstance(func, ast.Name)} - {
        "print",
        "list",
        "next",
        "iter",
    }
    assert {name for name in own if f"**`{name}`.**" not in page} == {"DataLoader"}


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")
def test_the_program_prints_a_table_and_writes_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = runpy.run_path(str(SCRIPT))
    header, _, *rows = capsys.readouterr().out.splitlines()[:4]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in (header, *rows)]
    assert [row[0] for row in cells] == ["model", "float32", "int8"]
    weights = cells[0].index("weights")
    n_params = sum(weight.numel() for weight in made["model"].parameters())
    n_channels = sum(m.num_features for m in made["model"].modules() if hasattr(m, "num_features"))
    assert cells[1][weights] == f"{n_params:,}"
    assert cells[2][weights] == f"{n_params - n_channels:,}"  # two for each channel became one
    assert made["rows"]["int8"].size_bytes < 0.3 * made["rows"]["float32"].size_bytes
    assert set(made["rows"]["int8"].latency) == {16}

    inputs = next(iter(made["loader"]))[0]
    loaded = torch.export.load(tmp_path / "int8.pt2").module()
    with torch.no_grad():
        expected = made["model"](inputs)
        torch.testing.assert_close(loaded(inputs), made["int8"](inputs))
        torch.testing.assert_close(
            made["compiled"](inputs), made["int8"](inputs), atol=0.02, rtol=0
        )
        error = (made["int8"](inputs) - expected).norm() / expected.norm()
    assert error < 0.1
    assert expected.std(0).mean() > 1e-3  # and the logits depend on the image
