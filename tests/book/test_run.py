import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from conftest import ROOT, write_cells
from PIL import Image

from tutorial_utils.__main__ import main
from tutorial_utils.book.notebooks import find_notebooks, find_root, kept_results
from tutorial_utils.book.parameters import plan, read_declarations
from tutorial_utils.book.run import run_notebooks
from tutorial_utils.data import load
from tutorial_utils.errors import InputError
from tutorial_utils.models import baseline_path, resnet8, save_baseline


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def assert_refused(clone, reason, *arguments):
    """Exit status 2, one line on stderr that gives the reason, and nothing new in the folder."""
    before = files_in(clone)
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert re.fullmatch(rf"error: .*({reason}).*\n", result.stderr), result.stderr
    assert files_in(clone) == before


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        ("no notebook here has a parameter 'n_bit'; did you mean 'n_bits'", ("-p", "n_bit", "4")),
        ("a parameter 'zzz'; expected one of data_dir, dataset", ("-p", "zzz", "4")),
        ("n_bits=9: expected a whole number of at least 2 and at most 8", ("-p", "n_bits", "9")),
        ("n_bits=1: expected a whole number of at least 2", ("-p", "n_bits", "1")),
        ("n_bits=4.0: expected a whole number", ("-p", "n_bits", "4.0")),
        ("n_bits=True: expected a whole number", ("-p", "n_bits", "True")),
        ("n_bits=None: expected a whole number", ("-p", "n_bits", "")),
        ("epochs=-1: expected a number of at least 0.01", ("-p", "epochs", "-1")),
        ("epochs='nan': expected a number", ("-p", "epochs", "nan")),
        ("epochs=inf: expected a number", ("-p", "epochs", "1e999")),
        ("epochs='two': expected a number", ("-p", "epochs", "two")),
        ("epochs=None: expected a number", ("-p", "epochs", "none")),
        ("epochs=True: expected a number", ("-p", "epochs", "true")),
        ("n_train=9: expected a whole number of at least 10, or none", ("-p", "n_train", "9")),
        ("dataset='cifar'; did you mean 'cifar10'", ("-p", "dataset", "cifar")),
        ("dataset='x'; expected one of cifar10, digits", ("-p", "dataset", "x")),
        ("pretrained='yes': expected true or false", ("-p", "pretrained", "yes")),
        ("'n_bits' is given twice", ("-p", "n_bits", "4", "-p", "n_bits", "5")),
        ("has a parameter 'dataset'", ("1", "-p", "dataset", "digits")),
        ("no notebook '7'", ("7",)),
        ("no notebook '01_bit'; did you mean '01_bits'", ("01_bit",)),
        ("no notebook 'gone.ipynb'", ("gone.ipynb",)),
        ("01_bits is named twice", ("1", "01_bits")),
        ("profile='smok'; did you mean 'smoke'", ("--profile", "smok")),
        ("--in-place stores the default outputs", ("--in-place", "-p", "n_bits", "4")),
        ("--in-place stores the default outputs", ("--in-place", "--profile", "smoke")),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_runs(clone, reason, arguments):
    assert_refused(clone, reason, "run", *arguments)


def write_images(folder):
    """Two classes with six training and two test images each."""
    for part, n in (("train", 6), ("test", 2)):
        for label in ("cat", "dog"):
            (folder / part / label).mkdir(parents=True)
            for i in range(n):
                Image.new("RGB", (32, 32), (40 * i, 9, 9)).save(folder / part / label / f"{i}.jpg")
    return folder


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_UTILS_CACHE", str(tmp_path / "cache"))
    return write_images(tmp_path / "my images")


def break_jpeg(folder):
    path = folder / "test" / "dog" / "1.jpg"
    path.write_bytes(path.read_bytes()[:-100])


def empty_class(folder):
    for path in (folder / "train" / "cat").iterdir():
        path.unlink()


def drop_test(folder):
    (folder / "test").rename(folder / "held_back")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(break_jpeg, "1.jpg"), (empty_class, "cat"), (drop_test, "test"), (None, "no such|not exist")],
)
def test_data_that_cannot_be_used_is_refused(clone, images, damage, reason):
    if damage:
        damage(images)
    where = images if damage else images / "nowhere"
    assert_refused(clone, reason, "run", "2", "-p", "dataset", "folder", "-p", "data_dir", where)


def test_a_folder_data_set_without_a_folder_is_refused(clone, images):
    assert_refused(clone, "data_dir", "run", "2", "-p", "dataset", "folder")


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("bomb went off"),))


def test_a_baseline_that_cannot_be_used_is_refused(clone, images):
    arguments = ("run", "2", "-p", "dataset", "folder", "-p", "data_dir", images)
    assert_refused(clone, "train resnet8 --dataset folder --data-dir", *arguments)
    data = load("folder", images)
    path = save_baseline(resnet8(n_classes=2), "resnet8", data)
    path.write_bytes(path.read_bytes()[:-1])
    assert_refused(clone, "not a whole file of tensors", *arguments)
    path.write_bytes(pickle.dumps(Bomb()))
    assert_refused(clone, path.name, *arguments)
    assert path == baseline_path("resnet8", data)


@pytest.mark.parametrize(("name", "text"), [("n_bits", "2"), ("n_bits", "7"), ("epochs", "0.01")])
def test_the_ends_of_a_range_are_in_it(clone, name, text):
    declarations = read_declarations(clone / "notebooks")
    (path,) = find_notebooks(["1"], clone / "notebooks")
    assert plan([path], [(name, text)], "default", declarations) == {path: {name: float(text)}}


def test_a_missing_package_is_named(clone, monkeypatch):
    monkeypatch.setitem(sys.modules, "tutorial_utils.book.run", None)
    assert_refused(
        clone, "tutorial_utils.book.run.*pip install -r requirements-book.txt", "run", "1"
    )


def test_parameters_reach_only_the_notebooks_that_declare_them(clone):
    declarations = read_declarations(clone / "notebooks")
    bits, data = find_notebooks((), clone / "notebooks")
    pairs = [("epochs", "2"), ("dataset", "cifar10"), ("data_dir", "x y"), ("pretrained", "True")]
    assert plan([bits, data], pairs, "smoke", declarations) == {
        bits: {"n_bits": 3, "epochs": 2.0},
        data: {"dataset": "cifar10", "data_dir": str(clone / "x y"), "pretrained": True},
    }


def test_a_value_that_is_the_default_changes_nothing(clone):
    declarations = read_declarations(clone / "notebooks")
    paths = find_notebooks((), clone / "notebooks")
    defaults = [("n_bits", "8"), ("epochs", "1.0"), ("data_dir", "none"), ("pretrained", "false")]
    assert plan(paths, defaults, "default", declarations) == {path: {} for path in paths}
    bits = paths[0]  # also when a profile would set another
    assert plan([bits], defaults[:1], "smoke", declarations) == {bits: {"epochs": 0.5}}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("parameters: [", "not a file of declared parameters"),
        ("parameters: {}", "not a file of declared parameters"),
        ("parameters: {}\nnotebooks:\nprofiles: {s: {all: {x: 1}}}", "profile s='x'"),
        (
            "parameters: {x: {type: integer, maximum: 3}}\nnotebooks:\n"
            "profiles: {s: {all: {x: 4}}}",
            "x=4: expected a whole number of at most 3",
        ),
        (
            "parameters: {x: {type: number}}\nnotebooks:\nprofiles: {s: {all: {x: .nan}}}",
            "x=nan: expected a number",
        ),
        (
            "parameters: {x: {type: int}}\nnotebooks:\nprofiles:",
            "not a file of declared parameters .'int' is not valid",
        ),
    ],
)
def test_a_broken_profile_is_refused(clone, broken, reason):
    (clone / "notebooks" / "profiles.yml").write_text(broken)
    assert_refused(clone, reason, "run")


def test_a_parameters_cell_with_more_than_plain_values_is_refused(clone):
    write_cells(clone / "notebooks" / "01_bits.ipynb", ("n_bits = max(2, 3)", "parameters"))
    assert_refused(clone, "may hold only lines of the form name = value", "run")


def test_a_file_that_is_no_notebook_is_refused(clone):
    (clone / "notebooks" / "01_bits.ipynb").write_text("{")
    assert_refused(clone, "not a notebook", "run")


def test_the_book_is_found_from_below_and_from_elsewhere(clone, tmp_path, monkeypatch):
    monkeypatch.chdir(clone / "notebooks")
    assert find_root() == clone
    monkeypatch.chdir(tmp_path)
    if (ROOT / "notebooks" / "profiles.yml").exists():
        assert find_root() == ROOT


@pytest.mark.slow
def test_a_run_writes_whole_notebooks_with_parameters_and_claims(clone):
    write_cells(
        clone / "notebooks" / "01_bits.ipynb",
        ("n_bits = 8", "parameters"),
        "import os, sys\nfrom tqdm import tqdm\nfor _ in tqdm(range(3)): pass\nprint(n_bits)",
        "from tutorial_utils.book import claim\nclaim('few bits', n_bits, at_most=4)",
        ("open('no such file')", "raises-exception"),
        "print(sys.executable)",
    )
    result = invoke("run", "1", "-p", "n_bits", "4")
    assert result.exit_code == 0, result.output
    assert "01_bits  6/6 cells" in result.stdout
    assert claims_of(result) == [["01_bits", 1, 0, 0, 0], ["all", 1, 0, 0, 0]]
    notebook = nbformat.read(clone / "_build" / "notebooks" / "01_bits.ipynb", as_version=4)
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3, 4, 5, 6]
    assert notebook.cells[2].outputs[0].text == "4\n"  # and no progress bar
    assert notebook.cells[4].outputs[0].ename == "FileNotFoundError"
    assert notebook.cells[5].outputs[0].text.strip() == sys.executable  # this interpreter
    record = clone / "_build" / "notebooks" / "claims" / "01_bits.jsonl"
    assert json.loads(record.read_text())["value"] == 4
    assert files_in(clone / "_build") == sorted([record, record.parents[1] / "01_bits.ipynb"])


def claims_of(result):
    """The rows of the table of claims: held, broken, reported, skipped."""
    lines = result.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("claims "))
    rows = [line.split() for line in lines[start + 1 : -1]]
    return [[name, *map(int, counts)] for name, *counts in rows]


CLAIMS = """
from tutorial_utils.book import claim
claim('always true', n_bits > 0, on=())
claim('about the epochs', epochs, at_most=1, on='epochs')
claim('about all defaults', n_bits + epochs, at_most=9)
claim('later', None, skip='no GPU here')
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pairs", "status", "counts"),
    [
        ((), 0, [3, 0, 0, 1]),
        (("-p", "epochs", "1"), 0, [3, 0, 0, 1]),  # the default
        (("-p", "epochs", "2"), 0, [1, 0, 2, 1]),
        (("-p", "n_bits", "2"), 0, [3, 0, 0, 1]),
    ],
)
def test_claims_about_what_was_changed_are_reported(clone, pairs, status, counts):
    parameters = ("n_bits = 8\nepochs = 1", "parameters")
    write_cells(clone / "notebooks" / "01_bits.ipynb", parameters, CLAIMS)
    result = invoke("run", "1", *pairs)
    assert result.exit_code == status, result.output
    assert claims_of(result) == [["01_bits", *counts], ["all", *counts]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("claim", "pairs", "broken"),
    [
        ("claim('it is so', n_bits == 7)", (), True),
        ("claim('it is so', n_bits == 7)", ("-p", "n_bits", "8"), True),  # it is the default
        ("claim('it is so', n_bits == 7)", ("-p", "n_bits", "6"), False),
        ("claim('it is so', False, on='epochs')", ("-p", "n_bits", "6"), True),
        ("claim('it is so', False, on=['epochs', 'n_bits'])", ("-p", "n_bits", "6"), False),
        ("claim('it is so', False, on=())", ("--profile", "smoke"), True),
        ("try: claim('it is so', False)\nexcept AssertionError: pass", (), True),
    ],
)
def test_a_broken_claim_fails_the_run(clone, claim, pairs, broken):
    parameters = ("n_bits = 8\nepochs = 1", "parameters")
    source = f"from tutorial_utils.book import claim\n{claim}"
    write_cells(clone / "notebooks" / "01_bits.ipynb", parameters, source)
    result = invoke("run", "1", *pairs)
    assert result.exit_code == broken, result.output
    assert claims_of(result)[-1] == ["all", 0, int(broken), int(not broken), 0]
    assert (clone / "_build" / "notebooks" / "01_bits.failed.ipynb").exists() == broken


@pytest.mark.slow
def test_whatever_kernel_is_installed_this_interpreter_runs(clone, monkeypatch, tmp_path):
    kernel = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": ["false"], "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    path = write_cells(clone / "notebooks" / "01_bits.ipynb", "import sys\nprint(sys.executable)")
    assert run_notebooks({path: {}}, clone / "_build") == 0
    (output,) = nbformat.read(clone / "_build" / "01_bits.ipynb", as_version=4).cells[0].outputs
    assert output.text.strip() == sys.executable


@pytest.mark.slow
def test_papermill_itself_runs_a_notebook_of_the_book(clone):
    write_cells(
        clone / "notebooks" / "01_bits.ipynb",
        ("n_bits = 8\nepochs = 1", "parameters"),
        "from tutorial_utils.book import claim\nclaim('few bits', n_bits, at_most=8)",
        "print(n_bits)",
    )
    command = [sys.executable, "-m", "papermill", "notebooks/01_bits.ipynb", "out.ipynb"]
    done = subprocess.run([*command, "-p", "n_bits", "3"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "nknown parameter" not in done.stderr
    cells = nbformat.read(clone / "out.ipynb", as_version=4).cells
    assert cells[-1].outputs[0].text == "3\n"


@pytest.mark.slow
def test_a_notebook_that_fails_is_named_and_never_looks_whole(clone, capfd):
    path = clone / "notebooks" / "01_bits.ipynb"
    write_cells(path, "x = 1", "print('before')\nraise KeyError('gone')", "print('never')")
    other = write_cells(clone / "notebooks" / "03_dies.ipynb", "import os", "os._exit(3)")
    quiet = write_cells(clone / "notebooks" / "04_quiet.ipynb", ("x = 1", "raises-exception"))
    good = write_cells(clone / "notebooks" / "05_good.ipynb", "x = 1")
    before = path.read_bytes()
    out = clone / "_build" / "notebooks"
    assert run_notebooks({n: {} for n in (path, other, quiet, good)}, out, jobs=2) == 3
    assert sorted(p.name for p in out.glob("*.ipynb")) == [
        "01_bits.failed.ipynb", "03_dies.failed.ipynb", "04_quiet.failed.ipynb", "05_good.ipynb"
    ]  # fmt: skip
    captured = capfd.readouterr()
    assert "01_bits.ipynb, cell [2]:" in captured.err and "KeyError: 'gone'" in captured.err
    assert "03_dies.ipynb, cell [2]:" in captured.err and "DeadKernelError" in captured.err
    assert "04_quiet.ipynb, cell [1]:" in captured.err and "raised nothing" in captured.err
    assert "4 executed, 3 failed" in captured.out
    assert path.read_bytes() == before
    assert run_notebooks({path: {}}, out, in_place=True) == 1
    assert path.read_bytes() == before

    write_cells(path, "x = 1")
    assert run_notebooks({path: {}}, out) == 0
    assert not (out / "01_bits.failed.ipynb").exists()


@pytest.mark.slow
def test_in_place_stores_outputs_without_traces_of_the_machine(clone):
    path = write_cells(
        clone / "notebooks" / "01_bits.ipynb",
        "# Title",
        ("n_bits = 8", "parameters"),
        "print(n_bits, flush=True)\nimport time\ntime.sleep(0.5)\nprint('bits')",
        ("import json\njson.loads('{')", "raises-exception"),
    )
    assert invoke("run", "1", "--in-place").exit_code == 0
    first = path.read_text()
    notebook = nbformat.reads(first, as_version=4)
    assert [c.get("execution_count") for c in notebook.cells] == [None, 1, 2, 3]
    assert [output.text for output in notebook.cells[2].outputs] == ["8\nbits\n"]
    assert "papermill" not in first and "start_time" not in first
    assert not [cell for cell in notebook.cells if "injected-parameters" in str(cell.metadata)]
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    error = notebook.cells[3].outputs[0]
    assert "JSONDecodeError" in error.traceback[-1]
    for trace in (sys.prefix, str(Path.home()), str(clone), "decoder.py"):
        assert trace not in first
    assert invoke("run", "1", "--in-place").exit_code == 0
    assert path.read_text() == first  # a second run changes nothing


@pytest.mark.slow
def test_kept_results_are_read_in_both_forms_and_only_once(clone):
    source = (
        "from IPython.display import display\n"
        "display({'text/markdown': 'one'}, metadata={'scrapbook': {'name': 'a'}}, raw=True)\n"
        "display({'application/papermill.record/text/markdown': 'two'},"
        " metadata={'scrapbook': {'name': 'b'}}, raw=True)"
    )
    path = write_cells(clone / "notebooks" / "01_bits.ipynb", source)
    assert run_notebooks({path: {}}, clone / "_build", in_place=True) == 0
    assert kept_results([path]) == {"a": "one", "b": "two"}
    with pytest.raises(InputError, match="'a' is kept twice"):
        kept_results([path, path])


def test_training_refuses_what_it_cannot_do(clone, images):
    assert_refused(clone, "did you mean 'resnet8'", "train", "resnet9")
    assert_refused(clone, "did you mean 'cifar10'", "train", "resnet8", "--dataset", "cifar")
    folder = ("--dataset", "folder", "--data-dir", images)
    assert_refused(clone, "epochs=-1", "train", "resnet8", *folder, "--epochs", "-1")
    assert_refused(clone, "image_size=0", "train", "resnet8", *folder, "--image-size", "0")
