"""What is declared is what is imported, the bounds are those tested, and what the workflows do."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import click
import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tutorial_utils.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
MODULES = sorted((ROOT / "tutorial_utils").rglob("*.py"))
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in (ROOT / ".github" / "workflows").iterdir()
}
JOBS = {
    f"{workflow}/{name}": job
    for workflow, found in WORKFLOWS.items()
    for name, job in found["jobs"].items()
}


def requirements(lines):
    """By canonical name, what lines of requirements ask for; comments and options are left out."""
    stripped = (line.partition("#")[0].strip() for line in lines)
    found = [Requirement(line) for line in stripped if line and line[0] != "-"]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def brought_by(*extras):
    """What installing the package with these extras asks for, extras of extras included."""
    found = requirements(PROJECT["dependencies"])
    for extra in extras:
        found |= requirements(EXTRAS[extra])
        if own := found.pop("tutorial-utils", None):
            found |= brought_by(*own.extras)
    return found


DISTRIBUTIONS = metadata.packages_distributions()  # of this environment, by module


def distribution(module):
    """Canonical name of the distribution that has a module; the module's own where it has none."""
    return canonicalize_name(DISTRIBUTIONS.get(module, [module])[0])


def imports(source):
    """Other distributions that code imports: those it needs when it starts, and all of them."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    later = {id(node) for function in functions for node in ast.walk(function)}
    at_once, all_of_them = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        tops = {name.partition(".")[0] for name in names}
        tops -= sys.stdlib_module_names | {"tutorial_utils"}
        all_of_them |= set(map(distribution, tops))
        if id(node) not in later:
            at_once |= set(map(distribution, tops))
    return at_once, all_of_them


def module_imports(path):
    return imports(path.read_text(encoding="utf-8"))


# Groups that need an extra: when they are imported, and not before a function is called.
AT_ONCE = {"plotting": ["plots"], "book": ["book"]}
LATER = {"plotting": ["notebooks"], "deploying": ["onnx", "executorch"]}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_what_a_module_imports_is_declared(path):
    group = path.relative_to(ROOT / "tutorial_utils").parts[0]
    at_once, all_of_them = module_imports(path)
    extras = AT_ONCE.get(group, [])
    assert at_once <= set(brought_by(*extras))
    assert all_of_them <= set(brought_by(*extras, *LATER.get(group, [])))


def test_what_is_declared_is_used():
    imported = set().union(*(module_imports(path)[1] for path in MODULES))
    # What others start by its name: exporters, kernels, commands, extensions of Sphinx.
    files = [*MODULES, ROOT / "_config.yml"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files).replace("_", "-")
    for name in set(brought_by(*EXTRAS)) - imported:
        assert re.search(rf"\b{name}\b", text), name


def test_a_tool_is_in_no_extra_and_the_extras_are_brought_by_the_files():
    for file, extra in (("requirements.txt", "notebooks"), ("requirements-book.txt", "book")):
        lines = (ROOT / file).read_text().splitlines()
        assert f"-e .[{extra}]" in lines
        assert not set(requirements(lines)) & set(brought_by(*EXTRAS))
    assert ".[notebooks]" in (ROOT / ".binder" / "requirements.txt").read_text().splitlines()


def run(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=250)


@pytest.mark.slow
def test_the_core_is_enough_for_all_that_compresses():
    """Every group but two is imported where no module of an extra is; the error names the extra."""
    core, everything = set(brought_by()), set(brought_by(*EXTRAS))
    of_extras = [
        module
        for module, names in DISTRIBUTIONS.items()
        if {canonicalize_name(name) for name in names} & everything - core
        and module != "sphinx"  # SciPy imports from it when its name is in sys.modules
    ]
    assert {"matplotlib", "onnx", "IPython", "yaml"} <= set(of_extras)
    groups = sorted({path.relative_to(ROOT).parts[1].removesuffix(".py") for path in MODULES})
    names = [name for name in groups if name not in ("__init__", "book", "plotting")]
    done = run(f"""
import importlib, sys, torch
sys.modules.update(dict.fromkeys({of_extras}))
for name in {names}:
    importlib.import_module(f"tutorial_utils.{{name}}")
from tutorial_utils.deploying import save_onnx
for line in ("import tutorial_utils.plotting", "import tutorial_utils.book",
             "save_onnx(torch.nn.Identity().eval(), torch.zeros(1), 'a.onnx')"):
    try:
        exec(line)
    except (ImportError, RuntimeError) as error:
        print(error)
""")
    assert done.returncode == 0, done.stderr
    advice = re.findall(r'pip install "tutorial_utils\[(\w+)\]"$', done.stdout, re.MULTILINE)
    assert advice == ["plots", "notebooks", "onnx"]


def test_the_cells_of_the_notebooks_need_no_more_than_their_extra():
    allowed = set(brought_by("notebooks"))
    paths = sorted((ROOT / "notebooks").rglob("[0-9][0-9]_*.ipynb"))
    assert paths
    for path in paths:
        cells = nbformat.read(path, as_version=4).cells
        for cell in cells:
            if cell.cell_type == "code" and not cell.source.startswith("%"):
                assert imports(cell.source)[1] <= allowed, f"{path.name}: {cell.source}"
    # Cells say `from tutorial_utils.book import claim`, which needs these modules of the group.
    for name in ("__init__", "claims", "drawing", "output"):
        path = ROOT / "tutorial_utils" / "book" / f"{name}.py"
        assert module_imports(path)[0] <= allowed


# Bounds.


def lower_bounds(found):
    versions = {}
    for name, requirement in found.items():
        (bound,) = [part for part in requirement.specifier if part.operator == ">="]
        versions[name] = bound.version
    return versions


def test_the_oldest_versions_tested_are_the_lower_bounds_all_of_them():
    tools = requirements((ROOT / "requirements-book.txt").read_text().splitlines())
    expected = lower_bounds(brought_by("book") | tools)
    oldest = requirements((ROOT / ".github" / "oldest.txt").read_text().splitlines())
    pinned = {name: str(found.specifier).removeprefix("==") for name, found in oldest.items()}
    extra = {name for name, version in pinned.items() if not version[0].isdigit()}
    assert {name: version for name, version in pinned.items() if name not in extra} == expected
    assert not extra & set(expected)


def test_the_set_that_is_known_to_work_is_within_the_bounds_and_complete():
    tools = requirements((ROOT / "requirements-book.txt").read_text().splitlines())
    pinned = requirements((ROOT / "constraints.txt").read_text().splitlines())
    for name, asked in (brought_by("book") | tools).items():
        (pin,) = pinned[name].specifier
        assert pin.operator == "==" and asked.specifier.contains(pin.version), name


def test_binder_takes_a_python_that_the_package_supports():
    version = (ROOT / ".binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(version)


def test_the_setup_page_lists_the_extras():
    text = (ROOT / "book" / "setup.md").read_text(encoding="utf-8")
    table = text.partition("| extra |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(EXTRAS)


# Workflows.


def commands(job):
    return [step["run"] for step in job["steps"] if "run" in step]


def runs_chapters(command):
    return command in ("make test", "make book", "python -m pytest")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_only_read_and_installs_no_cuda(name):
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    assert workflow["env"]["PIP_EXTRA_INDEX_URL"] == "${{ vars.CPU_WHEELS }}"


@pytest.mark.parametrize("name", JOBS)
def test_a_job_ends_and_its_actions_keep_their_major_version(name):
    job = JOBS[name]
    assert 0 < job["timeout-minutes"] < 360
    for step in job["steps"]:
        assert "run" in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])


def test_only_the_job_that_publishes_may_write_and_it_runs_nothing_and_waits_for_all_others():
    writing = [name for name, job in JOBS.items() if "permissions" in job]
    assert writing == ["ci/pages"]
    job, others = JOBS["ci/pages"], set(WORKFLOWS["ci"]["jobs"]) - {"pages"}
    assert set(job["needs"]) == others and commands(job) == []
    assert "refs/heads/main" in job["if"] and "always" not in job["if"]
    assert job["permissions"] == {"pages": "write", "id-token": "write"}


def test_a_push_runs_the_tests_on_each_system_and_the_chapters_once():
    jobs = [JOBS["ci/test"], JOBS["ci/systems"]]
    systems = [jobs[0]["runs-on"], *jobs[1]["strategy"]["matrix"]["os"]]
    assert [name.partition("-")[0] for name in systems] == ["ubuntu", "macos", "windows"]
    assert sum(runs_chapters(command) for job in jobs for command in commands(job)) == 1
    assert all(any("test" in command for command in commands(job)) for job in jobs)
    assert sum(map(runs_chapters, commands(JOBS["weekly/systems"]))) == 1


@pytest.mark.parametrize("name", JOBS)
def test_a_job_uses_the_commands_that_the_readme_gives(name):
    """Literally, but for the variables of make, and for other options of the package."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    given = {part for span in re.findall(r"`([^`\n]+)`", readme) for part in span.split(" && ")}
    for command in commands(JOBS[name]):
        if command.startswith("python -m tutorial_utils "):
            found, *rest = command.split()[3:]
            main.commands[found].make_context(found, rest)  # refuses a wrong option
        else:
            assert command.partition(" CONSTRAINTS=")[0] in given, command


def test_a_wrong_option_would_be_refused():
    with pytest.raises(click.NoSuchOption):
        main.commands["run"].make_context("run", ["--profil", "full"])
