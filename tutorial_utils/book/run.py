"""Running notebooks with nbclient, after everything that can be refused has been refused.

Papermill puts the parameters in, as its own command line does. What executes is nbclient, because
Papermill takes no environment and changes the folder of the whole process.
"""

import asyncio
import inspect
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from tutorial_utils.book.claims import claims_table, count_claims
from tutorial_utils.book.notebooks import (
    error_in,
    read_parameters,
    tidy_,
    without_paths,
    write_notebook,
)
from tutorial_utils.data.loading import load
from tutorial_utils.models.baselines import check_baseline
from tutorial_utils.own_model import bring

Planned = dict[Path, dict[str, object]]


def check_data(planned: Planned, declarations: dict) -> None:
    """Read the data that the notebooks will read, and check the baselines that they need.

    This reads every image once and fills the cache, so that a broken one is refused now and not
    in the middle of a chapter.

    Raises:
        InputError: for data or a baseline that cannot be used.
    """
    loaded = {}
    for path, values in planned.items():
        values = read_parameters(path) | values
        if "factory" in values:
            bring(**{name: values[name] for name in inspect.signature(bring).parameters})
        if "dataset" not in values:
            continue
        arguments = tuple(values.get(name) for name in ("dataset", "data_dir", "n_train"))
        arguments += (values.get("seed", 0),)
        if arguments not in loaded:
            loaded[arguments] = load(*arguments)
        for name in (declarations["notebooks"].get(path.stem) or {}).get("baselines", []):
            check_baseline(name, loaded[arguments])


def run_notebooks(planned: Planned, out: Path, *, jobs: int = 1, in_place: bool = False) -> int:
    """Execute notebooks, write them, and say how each went.

    Args:
        planned: the notebooks and their parameters, from `parameters.plan`.
        out: folder for the executed notebooks. One that failed is kept as NAME.failed.ipynb.
        jobs: how many run at a time.
        in_place: overwrite the notebooks themselves; those that fail stay as they are.

    Returns:
        how many failed, or made a claim that does not hold.
    """
    start = time.monotonic()

    def run(item: tuple[Path, dict[str, object]]) -> bool:
        path, values = item
        return _run_one(path, values, out, path if in_place else out / path.name, live=jobs == 1)

    with ThreadPoolExecutor(jobs) as pool:
        try:
            n_failed = list(pool.map(run, planned.items())).count(False)
        except KeyboardInterrupt:
            # The threads would wait for their kernels; the kernels end when this process does.
            print("interrupted", file=sys.stderr, flush=True)
            os._exit(130)
    if table := claims_table({path.stem: _claims_file(out, path) for path in planned}):
        print(table, flush=True)
    seconds = time.monotonic() - start
    print(f"{len(planned)} executed, {n_failed} failed, {seconds:.0f} s in all", flush=True)
    return n_failed


def _claims_file(out: Path, path: Path) -> Path:
    return out / "claims" / f"{path.stem}.jsonl"


def _run_one(path: Path, values: dict[str, object], out: Path, target: Path, *, live: bool) -> bool:
    claims = _claims_file(out, path)
    failed = out / f"{path.stem}.failed.ipynb"
    claims.parent.mkdir(parents=True, exist_ok=True)
    for leftover in (claims, failed):
        leftover.unlink(missing_ok=True)
    notebook = load_notebook_node(str(path))
    if values:
        notebook = parameterize_notebook(notebook, values, kernel_name="python3", language="python")
    start, n_cells = time.monotonic(), sum(cell.cell_type == "code" for cell in notebook.cells)

    def progress(n_done: int, end: str = "") -> None:
        line = f"{path.stem}  {n_done}/{n_cells} cells  {time.monotonic() - start:.0f} s  {end}"
        if end:
            print(line, flush=True)
        elif live and sys.stdout.isatty():
            print(line, end="\r", flush=True)

    environment = {
        "TQDM_DISABLE": "1",  # progress bars would end in the stored outputs
        "TUTORIAL_UTILS_CLAIMS": str(claims.resolve()),
        # what the book runs is no try of its reader
        "TUTORIAL_UTILS_TRIES": str(claims.resolve().with_suffix(".tries")),
        "TUTORIAL_UTILS_CHANGED": ",".join(values),
    }
    if "factory" in values:  # a module of the reader's, in the folder where the command was given
        paths = [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    number, error = _execute(notebook, path.parent, environment, progress)
    if not error and count_claims(claims)["broken"]:
        number, error = n_cells, ["a claim does not hold, and the notebook caught its error"]
    if error:
        write_notebook(tidy_(notebook), failed)
        progress(number - 1, f"FAILED, see {failed}")
        last = "\n    ".join(without_paths(line) for line in error[-6:])
        print(f"{path.name}, cell [{number}]:\n    {last}", file=sys.stderr, flush=True)
        return False
    write_notebook(tidy_(notebook), target)
    progress(n_cells, "done")
    return True


def _execute(
    notebook: NotebookNode,
    folder: Path,
    environment: dict[str, str],
    progress: Callable[[int], None],
) -> tuple[int, list[str]]:
    """Execute a notebook. Returns the cell [number] that went wrong and the lines of its error."""
    n_done = 0

    def on_cell(**_: object) -> None:
        nonlocal n_done
        n_done += 1
        progress(n_done)

    for cell in notebook.cells:
        if cell.cell_type == "code":  # or stored outputs would follow the cell that fails
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        # Without folders of installed kernels, python3 is the interpreter of this process.
        km=AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[])),
        # A kernel is interrupted before it is shut down, and would log that as an error.
        extra_arguments=["--log-level=CRITICAL"],
        startup_timeout=120,
        raise_on_iopub_timeout=True,
        record_timing=False,
        on_cell_executed=on_cell,
    )
    progress(0)
    try:
        # cleanup_kc: the kernel ends with the notebook, although the manager is ours.
        asyncio.run(
            client.async_execute(cwd=str(folder), env=os.environ | environment, cleanup_kc=True)
        )
    except CellExecutionError:
        pass  # it is in the outputs
    except (RuntimeError, OSError, TimeoutError) as error:  # the kernel did not start, or died
        return n_done + 1, f"{type(error).__name__}: {error}".splitlines()
    return error_in(notebook)
