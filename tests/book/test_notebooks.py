"""What every committed notebook has to keep to. nbval compares its outputs (see pyproject.toml)."""

import ast
import copy
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from conftest import ROOT, write_cells
from papermill.cli import papermill

from tutorial_utils.book.heads import answered, refresh
from tutorial_utils.book.notebooks import (
    book_notebooks,
    chapters,
    error_in,
    kept_results,
    read_notebook,
    read_parameters,
    stored_notebooks,
    tags,
)
from tutorial_utils.book.parameters import check_value, read_declarations
from tutorial_utils.book.run import run_notebooks

FOLDER = ROOT / "notebooks"
CHAPTERS = chapters(FOLDER)
# An exercise is a reader's to change; it is compared with what its solution makes, see below.
PATHS = [path for path in stored_notebooks(ROOT) if path.parent.name != "exercises"]

# Why the output of a cell may differ from run to run. A cell has exactly one of these tags.
REASONS = {
    "reason-timing",  # it shows times
    "reason-accuracy",  # another processor adds in another order, so a trained figure may differ
    "reason-picture",  # the text form of a picture holds its size in pixels, or a measured title
    "reason-error",  # the message of an expected error is that of a library version
    "reason-versions",  # it shows versions or the machine
}
TAGS = REASONS | {"parameters", "nbval-ignore-output", "raises-exception"}
TAGS |= {"hide-input", "solution"}

# Typed figures that look measured: a number with a unit of this book. Computed ones belong into
# report.say. Parts of formulas and of code do not count, nor does the name of an interval.
FIGURE = re.compile(
    r"\d[\d.,]*\s*(%|\\%|ms\b|milliseconds|[kM]i?B\b|points?\b|×|times\s+(faster|smaller))"
)
ALLOWED = re.compile(r"\b(90|95|99) % (confidence |Wilson )?interval")
MYST = re.compile(
    r"^\s*(```|~~~|:::+)\{|\{[\w:-]+\}`|^\([\w-]+\)=\s*$|\{\{.*\}\}|^\+\+\+", re.MULTILINE
)


@pytest.fixture(params=PATHS, ids=lambda path: path.relative_to(FOLDER).with_suffix("").as_posix())
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(cell):
    """The text of a Markdown cell without code, formulas, addresses of links and exercises."""
    source = re.sub(r"^## Exercises.*?(?=^## |\Z)", "", cell.source, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$", "", source, flags=re.DOTALL)
    return ALLOWED.sub("", re.sub(r"\]\([^)]*\)", "]", text))


def typed_figures(cell):
    return [match.group() for match in FIGURE.finditer(prose(cell))]


def names(source, context):
    tree = ast.parse(source)
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


def test_there_are_chapters_and_their_names_tell_what_they_are():
    assert CHAPTERS
    for path in PATHS:
        assert re.fullmatch(r"\d\d_[a-z0-9_]+|your_model", path.stem), path


def test_it_is_small_and_valid(path, notebook):
    nbformat.validate(notebook)
    assert path.stat().st_size < 1_000_000


def test_it_was_restarted_and_run_from_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert error_in(notebook) == (0, [])


def test_it_stores_no_warning_and_no_trace_of_the_machine(path, notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    text = path.read_text(encoding="utf-8")
    for trace in (str(ROOT), str(Path.home()), sys.prefix, "papermill_", "/home/", "/Users/"):
        assert trace not in text
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert not [cell for cell in notebook.cells if set(cell.metadata) - {"tags", "begin"}]


def test_every_output_that_is_not_compared_has_one_reason(notebook):
    for cell in notebook.cells:
        found = set(tags(cell))
        assert found <= TAGS, cell.source
        assert len(found & REASONS) == ("nbval-ignore-output" in found), cell.source
        assert "NBVAL" not in cell.source  # the comment form would escape this test


def test_what_is_not_compared_holds_no_claim(notebook):
    """Figures of claims are left out of the comparison, so nothing else excuses them from it."""
    for cell in notebook.cells:
        if "nbval-ignore-output" in tags(cell):
            assert not re.search(r"\bclaim\(", cell.source), cell.source


def test_the_text_is_what_jupyter_colab_and_github_render(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert not MYST.search(re.sub(r"`[^`]*`", "", cell.source)), cell.source


def test_no_measured_figure_is_typed_into_the_text(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert not typed_figures(cell), cell.source


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ("accuracy fell to 92.4 %", ["92.4 %"]),
        ("it takes 3.5 ms and 71 kB", ["3.5 ms", "71 kB"]),
        ("2.5 times faster, 4×, 0.3 points", ["2.5 times faster", "4×", "0.3 points"]),
        ("## Exercises\n\nIs 95 % enough?", []),
        ("## Exercises\n\nWhy?\n\n## Reading\n\n95 %", ["95 %"]),
        ("a 95 % interval, 8 bits, chapter 3, `x = 5 %`, $5\\%$", []),
    ],
)
def test_typed_figures_are_found(text, figures):
    assert typed_figures(nbformat.v4.new_markdown_cell(text)) == figures


def test_teaching_cells_fit_on_a_screen(notebook):
    for cell in code_cells(notebook):
        body = ast.parse(cell.source).body
        teaches = "parameters" not in tags(cell)
        if teaches and not all(isinstance(n, ast.Import | ast.ImportFrom) for n in body):
            n_docstring = sum(
                len(ast.get_docstring(node).splitlines()) - ast.get_docstring(node).count("\n\n")
                for node in body
                if isinstance(node, ast.FunctionDef) and ast.get_docstring(node)
            )
            lines = [line.strip() for line in cell.source.splitlines() if line.strip()]
            if "solution" in tags(cell):  # its comments explain it
                lines = [line for line in lines if not line.startswith("#")]
            assert len(lines) - n_docstring <= 15, cell.source


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_begins_with_title_imports_and_parameters(path, notebook):
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith(f"# {int(path.stem[:2])}. ")
    install, imports, parameters = code_cells(notebook)[:3]
    assert install.id == "install", "make exercises"
    assert all(isinstance(n, ast.Import | ast.ImportFrom) for n in ast.parse(imports.source).body)
    assert "hide-input" in tags(imports)  # folded in the page: nobody reads them
    assert "parameters" in tags(parameters)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_tables_and_figures_are_shown_without_the_code_that_builds_them(path, notebook):
    for cell in code_cells(notebook):
        calls = [n.func for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Call)]
        if any(ast.unparse(call) == "plt.subplots" for call in calls):
            teaches = any("perf_counter" in ast.unparse(call) for call in calls)
            assert teaches or "hide-input" in tags(cell), cell.source


def test_badges_first_cells_links_and_exercises_are_as_they_should_be():
    answers = answered(ROOT)
    for path, expected in refresh(ROOT).items():
        if path.parent.name != "exercises":
            assert read_notebook(path) == expected, f"{path}: make exercises"
        elif path not in answers:  # it may have been run
            assert contents(read_notebook(path)) == contents(expected), f"{path}: make exercises"


def contents(notebook):
    return [(cell.id, cell.cell_type, cell.source, tags(cell)) for cell in notebook.cells]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_parameter_is_declared_valid_and_read(path, notebook):
    schemas = read_declarations(FOLDER)["parameters"]
    parameters = read_parameters(path)
    assert {"dataset", "data_dir", "seed"} <= set(parameters)
    cells = code_cells(notebook)
    position = next(i for i, cell in enumerate(cells) if "parameters" in tags(cell))
    read = set().union(*(names(cell.source, ast.Load) for cell in cells[position + 1 :]))
    for name, default in parameters.items():
        assert name == name.lower()
        assert name in schemas, f"{name} has no entry in profiles.yml"
        check_value(name, default, schemas[name])
        assert name in read, f"{name} is never used"


def test_every_declaration_is_used():
    declarations = read_declarations(FOLDER)
    notebooks = book_notebooks(FOLDER)
    declared = {name for path in notebooks for name in read_parameters(path)}
    sections = [set(sections) for sections in declarations["profiles"].values()]
    stems = {path.stem for path in notebooks}
    assert set().union(*sections) <= {"all"} | stems
    assert set(declarations["notebooks"]) <= stems
    assert {"dataset", "data_dir", "seed"} <= declared
    assert set(declarations["parameters"]) <= declared
    for schema in declarations["parameters"].values():
        assert schema["description"]
        assert set(schema) <= KEYWORDS  # JSON schema takes others, such as min, for comments


KEYWORDS = {"type", "enum", "minimum", "maximum", "format", "description"}
KEYWORDS |= {"items", "minItems", "maxItems"}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_papermill_takes_every_parameter_of_a_chapter(path, tmp_path, caplog):
    parameters = read_parameters(path)
    pairs = [text for name, value in parameters.items() for text in ("-p", name, str(value))]
    command = [str(path), str(tmp_path / "out.ipynb"), "--prepare-only", *pairs]
    with caplog.at_level("WARNING", logger="papermill"):
        done = CliRunner().invoke(papermill, command)
    assert done.exit_code == 0, done.output
    assert not caplog.records
    cells = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    (injected,) = [cell for cell in cells if "injected-parameters" in tags(cell)]
    assert names(injected.source, ast.Store) == set(parameters)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_claims_depend_on_parameters_that_the_chapter_has(path, notebook):
    known = set(read_parameters(path))
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "claim":
                (on,) = [k.value for k in node.keywords if k.arg == "on"] or [ast.Tuple([])]
                on = ast.literal_eval(on)
                assert {on} if isinstance(on, str) else set(on) <= known, ast.unparse(node)


def test_results_are_kept_under_names_that_pages_can_use():
    for key, text in kept_results(PATHS).items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", key)
        assert text.strip()


def run_nbval(path):
    """Run pytest with the options of this repository on one notebook."""
    options = ["-c", ROOT / "pyproject.toml", "-o", f"cache_dir={path.parent / 'cache'}"]
    options += [f"--nbval-sanitize-with={ROOT / 'tests/figures.cfg'}"]
    command = [sys.executable, "-m", "pytest", "-q", *options, path]
    return subprocess.run(command, capture_output=True, text=True, cwd=path.parent)


@pytest.mark.slow
def test_checkpoints_of_an_editor_are_not_collected(clone):
    checkpoint = clone / "notebooks" / ".ipynb_checkpoints" / "01_bits-checkpoint.ipynb"
    checkpoint.parent.mkdir()
    checkpoint.write_text("no notebook")
    options = ["-c", ROOT / "pyproject.toml", "-o", f"cache_dir={clone / 'cache'}"]
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", *options, "notebooks"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=clone)
    assert done.returncode == 0 and "4 tests collected" in done.stdout, done.stdout


@pytest.mark.slow
def test_changing_one_letter_of_a_stored_output_is_noticed(clone):
    path = write_cells(
        clone / "notebooks" / "01_bits.ipynb",
        "from tutorial_utils.book import claim\nclaim('three is few', 3, at_most=4)",
        "{'a': 1}",
        ("import time\nprint(time.time())", "nbval-ignore-output", "reason-timing"),
    )
    assert run_notebooks({path: {}}, clone / "_build", in_place=True) == 0
    fresh = nbformat.read(path, as_version=4)
    same = run_nbval(path)
    assert "3 passed" in same.stdout, same.stdout + same.stderr

    changed = copy.deepcopy(fresh)
    assert fresh.cells[0].outputs[0].text == "holds: three is few (3, at most 4)\n"
    changed.cells[0].outputs[0].text = "holds: three is few (2, at most 4)\n"
    nbformat.write(changed, path)
    assert "3 passed" in run_nbval(path).stdout
    changed.cells[0].outputs[0].text = "holds: three is fev (3, at most 4)\n"
    changed.cells[1].outputs[0].data["text/plain"] = "{'a': 2}"
    nbformat.write(changed, path)
    assert "2 failed, 1 passed" in run_nbval(path).stdout
