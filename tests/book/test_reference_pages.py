"""Pages to look things up: what goes wrong, questions to choose by, claims, the cheat sheet."""

import ast
import re

import nbformat
import pytest
import torch
from conftest import ROOT, write_cells

from tutorial_utils.book import failing
from tutorial_utils.book.choosing import QUESTION, Advice, decision_tree
from tutorial_utils.book.claims_page import claims_page, read_claims
from tutorial_utils.book.front import read_models
from tutorial_utils.book.notebooks import chapters, kept_results, read_notebook
from tutorial_utils.book.terms import split_at_terms
from tutorial_utils.data import load, to_inputs
from tutorial_utils.errors import InputError
from tutorial_utils.models import load_baseline, resnet8
from tutorial_utils.training import fit

PAGES = chapters(ROOT / "notebooks" / "pages")
WRONG = PAGES[0]
CHAPTERS = chapters(ROOT / "notebooks")
REPORT = re.compile(r"\[[\w/.-]+#(\d+)\]\(https://github.com/([\w/.-]+)/(\d+)\)")


def test_what_fails_shows_its_words_and_what_does_not_is_an_error(capsys):
    with failing("invalid literal"):
        int("x")
    assert capsys.readouterr().out == "ValueError: invalid literal\n"
    with pytest.raises(AssertionError, match="nothing failed"), failing("invalid"):
        int("1")
    with pytest.raises(ZeroDivisionError), failing("invalid"):
        raise ZeroDivisionError


def entries():
    """Each entry of "When it goes wrong": its heading and its cells."""
    found = []
    for cell in nbformat.read(WRONG, as_version=4).cells:
        if heading := re.search(r"^### (\d+)\. (.+)$", cell.source, re.MULTILINE):
            found.append((int(heading[1]), []))
        if found:
            found[-1][1].append(cell)
    return found


def test_every_trouble_has_a_report_a_failing_cell_a_reason_and_a_mended_cell():
    assert [number for number, _ in entries()] == list(range(1, len(entries()) + 1))
    assert len(entries()) >= 15
    reports = []
    for number, cells in entries():
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        reports.append(
            re.search(r"\[[\w/.-]+#(\d+)\]\(https://github.com/([\w/.-]+)/(\d+)\)", text)
        )
        assert reports[-1] and reports[-1][1] == reports[-1][3], number
        assert "**Why.**" in text, number
        code = [cell for cell in cells if cell.cell_type == "code"]
        assert code and all(cell.outputs or "def " in cell.source for cell in code[-1:]), number
        shown = "".join(out.get("text", "") for cell in code for out in cell.outputs)
        says = any("say(" in cell.source for cell in code)
        assert "Error: " in shown or "holds: " in shown or says, number
        # The first of two that are mended together has no cell of its own for that.
        assert "**Mend" in text or number == 1, number
    assert len({report[0] for report in reports}) == len(reports)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_deprecated_calls_are_silenced_by_the_legacy_module_only(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and "simplefilter" in cell.source:
            assert "torch.ao" not in cell.source and "quantize_fx" not in cell.source
        if re.search(r"quantize_fx\.|quantize_dynamic\(", cell.source):
            assert cell.cell_type == "markdown" or "legacy.silenced()" in cell.source


def leaves(then):
    if isinstance(then, Advice):
        return [then]
    return [leaf for _, answer in then[1] for leaf in leaves(answer)]


def test_every_answer_shows_the_figures_of_its_row():
    kept = kept_results(CHAPTERS)
    html = decision_tree(kept)
    models = {model.name: model for model in read_models(kept["combining"])}
    stems = {path.stem for path in CHAPTERS}
    assert html.count("<details>") == html.count("</details>") >= len(leaves(QUESTION))
    assert "<script" not in html
    for leaf in leaves(QUESTION):
        assert leaf.chapter in stems
        if model := models.get(leaf.row):
            small = f"{1 / model.share:.0f} times smaller"
            assert f"<em>{model.name}</em>: <b>{small if model.share < 0.7 else 'as large'}" in html
    assert not re.search(
        r"\d+(\.\d+)? (times|points|%)", " ".join(x.text for x in leaves(QUESTION))
    )


def test_an_answer_without_its_row_is_refused():
    kept = kept_results(CHAPTERS)
    kept["combining"] = kept["combining"].replace("| PTQ, 8 bits |", "| PTQ, eight bits |")
    with pytest.raises(InputError, match="PTQ, 8 bits"):
        decision_tree(kept)


def test_the_page_of_claims_has_each_line_that_a_notebook_printed(tmp_path):
    path = write_cells(tmp_path / "notebooks" / "01_bits.ipynb", "# 1. Bits", "print()")
    notebook = read_notebook(path)
    text = "holds: a_b of `c_d` is small (0.27, at most 0.3)\nskipped: later (no GPU)\n"
    text += "holds: yes\nother\n"
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text=text)]
    nbformat.write(notebook, path)
    page = claims_page([path])
    assert page.startswith("3 claims in 1 notebooks.")
    assert "\n## 1. Bits\n" in page and "(../notebooks/01_bits.ipynb)" in page
    assert "| a\\_b of `c_d` is small | 0.27 | at most 0.3 |" in page
    assert "| *skipped:* later (no GPU) |  |  |" in page and "| yes |  | true |" in page


def test_every_claim_of_the_chapters_is_read():
    for path in [*CHAPTERS[:9], *PAGES]:
        calls = sum(len(re.findall(r"\bclaim\(", c.source)) for c in read_notebook(path).cells)
        assert len(read_claims(path)) >= 0.8 * calls, path  # some stand in a loop or a branch


def test_terms_are_linked_once_in_the_spelling_of_the_text():
    terms = {"mask": ("a", "x"), "zero point": ("b", "y"), "MAC": ("c", "z")}
    seen: set[str] = set()
    assert split_at_terms("Unmasked. Masks, MACs, macs.", terms, seen)[1::2] == ["Masks", "MACs"]
    assert split_at_terms("a mask and zero points", terms, seen)[1::2] == ["zero points"]
    assert seen == {"mask", "MAC", "zero point"}


def code_blocks():
    text = (ROOT / "book" / "cheat_sheet.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_cheat_sheet_imports_from_groups_what_they_offer():
    for block in code_blocks():
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                assert node.module.count(".") == 1
                exec(ast.unparse(node), {})


@pytest.mark.slow
def test_the_code_of_the_cheat_sheet_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = load()
    images = to_inputs(data.train[:32])
    loader = [(images, data.train[:32].labels)]
    model = load_baseline("resnet8", data)
    other, student = resnet8(width=4).eval(), resnet8(width=4)
    names = {"model": model, "teacher": model, "other": other, "student": student}
    names |= {"images": images, "loader": loader, "path": tmp_path / "packed", "torch": torch}
    names |= {"fit": fit}
    for block in code_blocks():
        exec(block, names)
    assert capsys.readouterr().out.startswith("| model |")
    assert {"packed", "int8.pt2", "float.onnx"} <= {path.name for path in tmp_path.iterdir()}
    # What is printed in the sheet holds of what it made.
    assert (model.conv.weight == 0).any()
    assert tuple(names["int4"](images).shape) == (32, 10)
