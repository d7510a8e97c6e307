"""Exercises are made from their solutions, and both do what they say. (Checks: test_check.py.)"""

import ast
import builtins
import contextlib
import copy
import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sys
import venv

import nbformat
import pytest
from click.testing import CliRunner
from conftest import ROOT, write_cells
from nbformat.v4 import new_code_cell, new_notebook, new_output
from solved import SCORED

from tutorial_utils import check
from tutorial_utils.__main__ import main
from tutorial_utils.book.exercises import checked, exercise_from, page_from, solutions, stub
from tutorial_utils.book.heads import answered, badges, install_cell, refresh, write_all
from tutorial_utils.book.notebooks import (
    chapters,
    find_notebooks,
    find_root,
    read_notebook,
    stored_notebooks,
    tags,
    write_notebook,
)
from tutorial_utils.book.progress import progress, states_of
from tutorial_utils.book.render import stage
from tutorial_utils.book.repository import files_with_address, read_address, set_address
from tutorial_utils.errors import InputError

FOLDER = ROOT / "notebooks"
SOLUTIONS = chapters(FOLDER / "solutions")
EXERCISES = chapters(FOLDER / "exercises")


@pytest.fixture(params=SOLUTIONS, ids=lambda path: path.stem)
def path(request):
    return request.param


def run_all(notebook, *, compare=True):
    """Run the code cells in one namespace and compare what they print with what is stored.

    Networks are compressed in test_compress.py.
    """
    space = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and checked(cell.source) not in SCORED:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(cell.source, "cell", "exec"), space)
            if cell.outputs and compare:
                assert printed.getvalue() == "".join(o.text for o in cell.outputs), cell.source
    return space


def to_mend(notebook):
    """Names of the exercises in which something is to be mended."""
    cells = notebook.cells
    return {name for name, at in solutions(notebook).items() if "begin" in cells[at].metadata}


KINDS = ("easy", "middle", "open-ended", "find the bug", "compress a network")
HEADING = re.compile(r"^## (\d+)\. .* \(([^(),]*)(?:, (\d+) minutes)?\)$", re.MULTILINE)
# Sets of which each exercise has its minutes, and that let a network be compressed.
WHOLE = {
    "03_post_training_quantization",
    "05_unstructured_pruning",
    "06_structured_pruning",
    "07_knowledge_distillation",
    "08_combining",
    "09_deploying",
}


def headings(notebook):
    """Number, kind and minutes of each exercise, by name."""
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    return dict(zip(solutions(notebook), HEADING.findall(text), strict=True))


def test_each_chapter_has_exercises_of_each_kind(path):
    notebook = read_notebook(path)
    names = [n for n, e in check.EXERCISES.items() if e.chapter == int(path.stem[:2])]
    assert list(solutions(notebook)) == names
    found = headings(notebook)
    assert [number for number, _, _ in found.values()] == [str(n + 1) for n in range(len(names))]
    kinds = {name: kind for name, (_, kind, _) in found.items()}
    wanted = set(KINDS) - {"easy"} if path.stem in WHOLE else {"middle", "find the bug"}
    wanted -= {"open-ended"} if path.stem == "09_deploying" else set()  # but its file is
    assert wanted <= set(kinds.values()) <= set(KINDS)
    assert {n for n, kind in kinds.items() if kind == "find the bug"} == to_mend(notebook)
    assert {n for n, kind in kinds.items() if kind == "compress a network"} == set(names) & set(
        SCORED
    )
    assert [p.name for p in EXERCISES] == [p.name for p in SOLUTIONS]


def test_the_recommended_minutes_stand_at_each_exercise(path):
    minutes = [minutes for _, _, minutes in headings(read_notebook(path)).values()]
    assert path.stem not in WHOLE or all(minutes)


def test_a_solution_explains_itself(path):
    """What the idea is, why the alternatives fail, what it costs for a large network."""
    notebook = read_notebook(path)
    for name, at in solutions(notebook).items() if path.stem in WHOLE else ():
        found = re.findall(r"^    # (Idea|Alternatives|Cost): ", notebook.cells[at].source, re.M)
        assert found == ["Idea", "Alternatives", "Cost"], name


def test_every_solution_prints_what_is_stored(path):
    notebook = read_notebook(path)
    run_all(notebook)
    printed = [o.text for c in notebook.cells for o in c.get("outputs", [])]
    for name, text in zip(solutions(notebook), printed, strict=True):
        after = check.EXERCISES[name].after
        if name in SCORED:  # its figures stand between
            assert text.startswith(f"correct: {name}\n") and text.endswith(f"\n{after}\n")
        else:
            assert text == f"correct: {name}\n{after}\n"


def test_every_untouched_stub_ends_in_not_implemented_error_and_nothing_else(path):
    names = solutions(read_notebook(path))
    space = run_all(exercise_from(read_notebook(path)))
    for name in set(names) - to_mend(read_notebook(path)):
        for case in check.EXERCISES[name].cases():
            with pytest.raises(NotImplementedError, match=f"{name} is yours to write"):
                space[name](*case.args.values())


def test_what_is_to_be_mended_runs_and_is_wrong(path):
    """It fails on a case, and not on all: it looks right on the first."""
    (name,) = to_mend(read_notebook(path))
    space = run_all(exercise_from(read_notebook(path)), compare=False)
    verdict = check.examine(check.EXERCISES[name], space[name])
    assert not verdict.solved and "it raised" not in verdict.text
    assert "\nhint: " in verdict.text, verdict.text


def test_a_stub_keeps_signature_and_docstring(path):
    solved, exercise = read_notebook(path), exercise_from(read_notebook(path))
    for name, position in solutions(solved).items():
        (before,), (after,) = (ast.parse(n.cells[position].source).body for n in (solved, exercise))
        assert ast.dump(before.args) == ast.dump(after.args)
        assert ast.get_docstring(before) == ast.get_docstring(after)
        raises = len(after.body) == 2 and isinstance(after.body[1], ast.Raise)
        assert raises == (name not in to_mend(solved))
        assert not exercise.cells[position].metadata


def test_a_stub_is_one_function_with_a_docstring():
    with pytest.raises(InputError, match="nothing else"):
        stub("import math\ndef f():\n    'Doc.'\n    return 1")
    with pytest.raises(InputError, match="docstring"):
        stub("def f():\n    return 1")


def solved_notebook():
    cells = [
        new_code_cell("def f(x):\n    'Doc.'\n    return x", metadata={"tags": ["solution"]}),
        new_code_cell("check.f(f)"),
    ]
    return new_notebook(cells=cells)


def test_a_solution_needs_its_check():
    notebook = solved_notebook()
    assert solutions(notebook) == {"f": 0}
    for source in ("check.g(f)", "print(1)"):
        notebook.cells[1].source = source
        with pytest.raises(InputError, match="must be check.f"):
            solutions(notebook)
    with pytest.raises(InputError):
        solutions(new_notebook(cells=solved_notebook().cells[:1]))


def test_the_page_shows_the_stub_and_hides_the_solution():
    notebook = solved_notebook()
    before = copy.deepcopy(notebook)
    page = page_from(notebook)
    assert notebook == before
    assert "NotImplementedError" in page.cells[0].source
    assert page.cells[1].source.endswith("return x")
    assert page.cells[1].metadata["mystnb"]["code_prompt_show"] == "Show a solution of f"


# Progress


def state_of(*, printed=None, error=False, defined=1, run=2):
    notebook = solved_notebook()
    notebook.cells[0].execution_count, notebook.cells[1].execution_count = defined, run
    if printed:
        notebook.cells[1].outputs = [new_output("stream", name="stdout", text=printed)]
    if error:
        notebook.cells[1].outputs = [new_output("error", ename="NameError", evalue="f")]
    return notebook


@pytest.mark.parametrize(
    ("notebook", "state"),
    [
        (state_of(), "not run"),
        (state_of(printed="correct: f\n"), "solved"),
        (state_of(printed="correct: g\n"), "not yet"),
        (state_of(printed="not yet: f, case 1\nhint: say 'correct: f'\n"), "not yet"),
        (state_of(printed="not written yet: f raises\n"), "not written"),
        (state_of(error=True), "not yet"),
        (state_of(printed="correct: f\n", defined=3), "check again"),
        (state_of(printed="correct: f\n", defined=None, run=None), "solved"),
    ],
)
def test_progress_is_what_the_checks_printed_last(tmp_path, notebook, state):
    write_notebook(notebook, tmp_path / "01_x.ipynb")
    assert progress(tmp_path) == {tmp_path / "01_x.ipynb": {"f": state}}


def test_progress_of_a_folder_is_listed_and_counted(tmp_path):
    write_notebook(state_of(printed="correct: f\n"), tmp_path / "02_y.ipynb")
    write_notebook(state_of(), tmp_path / "01_x.ipynb")
    write_cells(tmp_path / "03_no_exercise.ipynb", "# Nothing", "print(1)")
    result = CliRunner().invoke(main, ["progress", str(tmp_path)])
    assert result.output.splitlines() == [
        "01_x", "  not run      f", "02_y", "  solved       f", "1 of 2 solved",
    ]  # fmt: skip
    result = CliRunner().invoke(main, ["progress", str(tmp_path / "nowhere")])
    assert result.exit_code == 2 and "no notebook with exercises" in result.stderr


def test_all_stored_solutions_are_solved_and_no_exercise_that_is_made_is(path):
    solved = read_notebook(path)
    assert set(states_of(solved).values()) == {"solved"}
    states = states_of(exercise_from(solved))
    assert {name for name, state in states.items() if state != "not written"} == to_mend(solved)
    assert progress(FOLDER / "exercises").keys() >= set(EXERCISES)


def test_a_line_with_a_check_is_recognised():
    assert checked("# my try\ncheck.f(g)") == "f"
    assert checked("print(check.f)") is None


# The address, badges and the first cell


@pytest.fixture
def copy_of_book(tmp_path):
    root = tmp_path / "a copy"
    shutil.copytree(ROOT / "book", root / "book")
    for folder in ("notebooks", "notebooks/solutions"):  # the exercises are made from these
        (root / folder).mkdir()
        for path in chapters(ROOT / folder)[:2]:
            shutil.copy(path, root / folder)
    for name in (
        "_config.yml",
        "README.md",
        "CITATION.cff",
        "pyproject.toml",
        "notebooks/profiles.yml",
    ):
        shutil.copy(ROOT / name, root / name)
    return root


def test_another_address_is_set_everywhere_and_back(copy_of_book, monkeypatch):
    monkeypatch.chdir(copy_of_book)
    assert find_root() == copy_of_book  # or the command would change the real files
    write_all(copy_of_book)
    before = {p: p.read_text(encoding="utf-8") for p in files_with_address(copy_of_book)}
    old, _ = read_address(copy_of_book)
    url = "https://github.com/someone/another-name"
    assert CliRunner().invoke(main, ["address", url + ".git"]).exit_code == 0
    assert read_address(copy_of_book)[0] == url
    for path in files_with_address(copy_of_book):
        assert old.removeprefix("https://github.com/") not in path.read_text(encoding="utf-8")
    for path in copy_of_book.glob("notebooks/**/*.ipynb"):
        assert "github/someone/another-name/blob" in path.read_text(encoding="utf-8")
    set_address(copy_of_book, old)
    assert before == {p: p.read_text(encoding="utf-8") for p in before}


# Readers' answers, and what editors leave behind


STEM = "01_measure_first"


def solve(notebook, solution):
    position = next(iter(solutions(solution).values()))
    notebook.cells[position].source = solution.cells[position].source
    notebook.cells[position + 1].outputs = solution.cells[position + 1].outputs


def begin(notebook, solution):
    position = next(iter(solutions(solution).values()))
    notebook.cells[position].source += "  # a thought"


def try_out(notebook, solution):
    notebook.cells.append(new_code_cell("1 + 1"))


def fail(notebook, solution):
    position = next(iter(solutions(solution).values()))
    error = new_output("error", ename="NameError", evalue="f", traceback=[])
    notebook.cells[position + 1].outputs = [error]


@pytest.mark.parametrize("change", [solve, begin, try_out, fail])
def test_answers_are_never_overwritten(copy_of_book, monkeypatch, change):
    monkeypatch.chdir(copy_of_book)
    write_all(copy_of_book)
    path = copy_of_book / "notebooks" / "exercises" / f"{STEM}.ipynb"
    made, notebook = read_notebook(path), read_notebook(path)
    change(notebook, read_notebook(copy_of_book / "notebooks" / "solutions" / path.name))
    write_notebook(notebook, path)
    path.with_stem("02_quantization_from_scratch").unlink()  # it would be made
    before = {p: p.read_bytes() for p in copy_of_book.rglob("*") if p.is_file()}
    refused = CliRunner().invoke(main, ["exercises"])
    assert refused.exit_code == 2
    expected = f"notebooks/exercises/{path.name}: .*{STEM}.answers.ipynb, or .* --force"
    assert re.search(expected, refused.stderr), refused.stderr
    assert before == {p: p.read_bytes() for p in copy_of_book.rglob("*") if p.is_file()}

    url = "https://github.com/someone/another-name"
    assert CliRunner().invoke(main, ["address", url]).exit_code == 0
    assert "someone/another-name" in path.read_text(encoding="utf-8")
    assert read_notebook(path).cells[2:] == notebook.cells[2:]

    assert CliRunner().invoke(main, ["exercises", "--force"]).exit_code == 0
    assert read_notebook(path).cells[2:] == made.cells[2:]


def test_an_exercise_without_answers_is_made_again(copy_of_book):
    write_all(copy_of_book)
    path = copy_of_book / "notebooks" / "exercises" / f"{STEM}.ipynb"
    made, notebook = read_notebook(path), read_notebook(path)
    for cell in notebook.cells:  # as Jupyter saves it when some cells were run
        if cell.cell_type == "code":
            cell.execution_count = 7
    notebook.metadata["language_info"] = {"name": "python", "version": "3.11"}
    notebook.cells[0].source += "\nolder text"
    write_notebook(notebook, path)
    assert write_all(copy_of_book) == [path]
    assert read_notebook(path) == made


@pytest.mark.slow
def test_the_tests_pass_when_a_reader_has_solved_an_exercise(tmp_path):
    root = tmp_path / "a copy"
    for name in ("tests", "notebooks", "book"):
        shutil.copytree(ROOT / name, root / name)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, root)
    for name in ("tutorial_utils", ".github"):
        (root / name).symlink_to(ROOT / name)
    path = root / "notebooks" / "exercises" / f"{STEM}.ipynb"
    notebook = read_notebook(path)
    solve(notebook, read_notebook(root / "notebooks" / "solutions" / path.name))
    for cell in notebook.cells:
        cell.metadata = {"editable": True}
    write_notebook(notebook, path)
    write_notebook(notebook, path.with_stem(f"{STEM}-Copy1"))
    files = ["tests/book/test_notebooks.py", "tests/check/test_exercises.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", *files]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": root}
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert read_notebook(path) == notebook


def test_checkpoints_of_an_editor_are_no_notebooks_of_the_book(copy_of_book, tmp_path):
    write_all(copy_of_book)
    folder = copy_of_book / "notebooks"
    before = stored_notebooks(copy_of_book)
    assert len(before) == 6

    def lists():
        return (
            stored_notebooks(copy_of_book),
            find_notebooks((), folder),
            find_notebooks([str(folder / "solutions")], folder),
            list(refresh(copy_of_book)),
            files_with_address(copy_of_book),
            list(progress(folder / "exercises")),
            answered(copy_of_book),
            write_all(copy_of_book),
        )

    expected = lists()
    for place in (folder, folder / "solutions", folder / "exercises", copy_of_book / "book"):
        for name in (f"{STEM}-checkpoint.ipynb", f"{STEM}.ipynb", "intro-checkpoint.md"):
            (place / ".ipynb_checkpoints").mkdir(exist_ok=True)
            (place / ".ipynb_checkpoints" / name).write_text("no notebook")
    assert lists() == expected
    stage(copy_of_book, folder, tmp_path / "staged")
    assert not list((tmp_path / "staged").rglob("*checkpoint*"))


@pytest.mark.parametrize(
    "url", ["github.com/a/b", "https://github.com/a", "https://gitlab.com/a/b", "", "a b"]
)
def test_what_is_no_address_is_refused(copy_of_book, url):
    with pytest.raises(InputError, match="expected https://github.com/OWNER/NAME"):
        set_address(copy_of_book, url)


def test_badges_name_the_notebook():
    line = badges("https://github.com/a/b", "main", "notebooks/x y.ipynb")
    assert "https://colab.research.google.com/github/a/b/blob/main/notebooks/x y.ipynb" in line
    assert "https://mybinder.org/v2/gh/a/b/main?labpath=notebooks%2Fx%20y.ipynb" in line


def test_heads_are_put_into_a_notebook_that_has_none(copy_of_book):
    path = copy_of_book / "notebooks" / "01_measure_first.ipynb"
    source = "# 1. Measure first\n\nWhy.\n\n## Exercises\n\n1. Try it.\n"
    write_cells(path, source, "1 + 1")
    notebook = read_notebook(path)
    code = notebook.cells[1]
    code.execution_count = 1
    code.outputs = [
        new_output("execute_result", data={"text/plain": "2"}, execution_count=1),
        new_output("error", ename="E", evalue="e", traceback=["Cell In[1], line 1"]),
    ]
    write_notebook(notebook, path)
    assert path in write_all(copy_of_book)
    made = read_notebook(path)
    head, install, code = made.cells
    assert head.source.startswith("# 1. Measure first\n\n[Open in Colab](")
    links, why = head.source.split("\n\n")[1:3]
    assert "[exercises](exercises/01_measure_first.ipynb)" in links
    assert "](02_quantization_from_scratch.ipynb)" in links
    assert why == "Why."
    assert "[their own notebook](exercises/01_measure_first.ipynb). Open ones:\n\n1. Try" in (
        head.source
    )
    assert install.source == install_cell(read_address(copy_of_book)[0])
    assert (install.execution_count, code.execution_count) == (1, 2)
    assert code.outputs[0].execution_count == 2
    assert code.outputs[1].traceback == ["Cell In[2], line 1"]
    assert path not in write_all(copy_of_book)  # nothing is put in twice
    back = read_notebook(copy_of_book / "notebooks" / "exercises" / path.name)
    assert "[chapter 1](../01_measure_first.ipynb)" in back.cells[0].source


def test_links_to_what_is_not_there_are_taken_out(copy_of_book):
    write_all(copy_of_book)
    for folder in ("exercises", "solutions"):
        (copy_of_book / "notebooks" / folder / "01_measure_first.ipynb").unlink()
    (copy_of_book / "notebooks" / "02_quantization_from_scratch.ipynb").unlink()
    made = refresh(copy_of_book)
    chapter = made[copy_of_book / "notebooks" / "01_measure_first.ipynb"]
    assert not [c for c in chapter.cells if "exercises/01" in c.source]
    exercise = made[copy_of_book / "notebooks" / "exercises" / "02_quantization_from_scratch.ipynb"]
    assert "../02" not in exercise.cells[0].source


@pytest.fixture
def empty_environment(tmp_path):
    """An environment with pip and setuptools, and with the record of an installed torch."""
    venv.create(tmp_path / "env", with_pip=False)
    site = next((tmp_path / "env").glob("[Ll]ib/**/site-packages"))
    record = site / "torch-2.13.0+cu126.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0+cu126\n")
    (record / "INSTALLER").write_text("pip\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("pip", "setuptools"):
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed, and getting it needs the network")
        for part in {file.parts[0] for file in found.files} - {"..", "__pycache__"}:
            (tools / part).symlink_to(found.locate_file(part))
    return next((tmp_path / "env").glob("*/python")), site, tools


@pytest.mark.slow
def test_the_first_cell_installs_what_is_missing_and_keeps_torch(tmp_path, empty_environment):
    python, site, tools = empty_environment
    local = tmp_path / "a clone"
    shutil.copytree(ROOT / "tutorial_utils", local / "tutorial_utils")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, local)
    url, _ = read_address(ROOT)
    cell = install_cell(url).replace(f"git+{url}", local.as_uri())
    assert cell != install_cell(url)
    # No network: dependencies are left out, but not the torch that the cell itself asks for.
    settings = {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1"}
    environment = os.environ | settings | {"PYTHONPATH": str(tools)}
    code = f"{cell}\nprint(find_spec('tutorial_utils').origin)"

    def run(environment):
        command = [str(python), "-c", code]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment
        )

    first = run(environment)
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip() == str(site / "tutorial_utils" / "__init__.py")
    assert (site / "tutorial_utils" / "check" / "chapter8.py").exists()
    assert list((site / "tutorial_utils" / "models" / "weights").glob("*.safetensors"))
    assert [path.name for path in site.glob("torch-*")] == ["torch-2.13.0+cu126.dist-info"]

    # Where the package is installed, the cell does not even start pip.
    (tools / "pip").unlink()
    assert run(environment).returncode == 0


def test_the_first_cell_does_nothing_here(capsys, monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    exec(install_cell("https://github.com/a/b"), {})
    assert capsys.readouterr().out == ""


def test_every_solution_begins_with_that_cell():
    url, _ = read_address(ROOT)
    for path in SOLUTIONS:
        cell = nbformat.read(path, as_version=4).cells[1]
        assert cell.source == install_cell(url) and tags(cell) == ["hide-input"]


# The routes of book/workshop.md: the sections of a chapter that are run, one after the other.
ROUTES = {
    "01_measure_first": ["", "The data", "Idea 1", "Idea 4"],
    "02_quantization_from_scratch": ["", "The baseline", "Idea 1", "Idea 2", "Where it breaks"],
    "03_post_training_quantization": [
        "", "The baseline", "Idea 1", "Idea 2", "Where int8 does not help",
    ],
    "05_unstructured_pruning": ["", "The baseline", "Idea 1", "Idea 2", "Idea 3"],
    "07_knowledge_distillation": ["", "The baseline", "Idea 1", "Idea 2", "Where it breaks"],
}  # fmt: skip


def test_the_routes_leave_the_recommended_minutes():
    """What a row of a route asks for, up to a semicolon, fits into its minutes."""
    rows = re.findall(
        r"^\| (\d+) \| \[?Exercise (\d)[^|]*\| ([^|;]*)",
        (ROOT / "book/workshop.md").read_text(),
        re.M,
    )
    assert len(rows) >= 5
    for minutes, chapter, wanted in rows:
        (path,) = (path for path in SOLUTIONS if path.stem.startswith(f"0{chapter}"))
        known = {number: at for number, _, at in headings(read_notebook(path)).values()}
        needed = sum(int(known[number] or 0) for number in re.findall(r"\d", wanted))
        assert needed <= int(minutes), f"exercise {chapter}: {wanted}"


def names(source, context):
    tree = ast.parse(source)
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


@pytest.mark.parametrize("stem", ROUTES)
def test_the_cells_of_a_route_need_nothing_that_it_skips(stem):
    section, known, wanted, found = "", set(dir(builtins)), ROUTES[stem], set()
    for cell in read_notebook(FOLDER / f"{stem}.ipynb").cells:
        if cell.cell_type == "markdown":
            section = (re.findall(r"^## (.*)", cell.source, re.MULTILINE) or [section])[-1]
            continue
        start = next(
            (w for w in wanted if section.startswith(w) and bool(w) == bool(section)), None
        )
        if start is not None:
            found.add(start)
            defined = names(cell.source, ast.Store) | {
                getattr(node, "asname", None) or getattr(node, "arg", None) or node.name
                for node in ast.walk(ast.parse(cell.source))
                if isinstance(node, ast.alias | ast.arg | ast.FunctionDef)
            }
            assert names(cell.source, ast.Load) <= known | defined, cell.source
            known |= defined
    assert found == set(wanted)
