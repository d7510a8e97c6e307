"""Running notebooks through Papermill, after everything that can be refused has been refused."""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import ipykernel.kernelspec
import torch
import zmq
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_core.utils import ensure_event_loop
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine
from papermill.iorw import load_notebook_node
from papermill.log import logger
from papermill.parameterize import parameterize_notebook

from tutorial_utils.book.notebooks import (
    error_in,
    read_parameters,
    tidy_,
    without_paths,
    write_notebook,
)
from tutorial_utils.data.loading import load
from tutorial_utils.errors import InputError
from tutorial_utils.models.baselines import check_baseline

Planned = dict[Path, dict[str, object]]


class _Specs(KernelSpecManager):
    """Knows one kernel: this interpreter, whatever kernel is installed under its name."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        # A kernel is interrupted before it is shut down, and would log that as an error.
        kernel = ipykernel.kernelspec.get_kernel_dict(["--log-level=CRITICAL"])
        return KernelSpec(resource_dir=ipykernel.kernelspec.RESOURCES, **kernel)


class _Kernel(AsyncKernelManager):
    """A kernel of this interpreter."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return _Specs(parent=self)

    def _transport_encryption_default(self) -> str:
        return "auto" if zmq.has("curve") else "disabled"  # without it the kernel warns


class _Engine(Engine):
    """Papermill's own engine, with a kernel, a folder and an environment of our choice."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, on_cell, cwd, env, **_):
        client = PapermillNotebookClient(
            nb_man,
            kernel_manager_class=_Kernel,
            kernel_name=kernel_name,
            on_cell_executed=on_cell,
            startup_timeout=120,
            timeout=None,
            log=logger,
        )
        with closing(ensure_event_loop()):  # one for each thread that executes
            client.execute(cwd=cwd, env=env)


def check_data(planned: Planned, declarations: dict) -> None:
    """Read the data that the notebooks will read, and check the baselines that they need.

    This reads every image once and fills the cache, so that a broken one is refused now and not
    in the middle of a chapter.

    Raises:
        InputError: for data or a baseline that cannot be used, or a GPU that is not there.
    """
    loaded = {}
    for path, values in planned.items():
        values = read_parameters(path) | values
        if values.get("device") == "cuda":
            _check_cuda()
        if "dataset" not in values:
            continue
        arguments = tuple(values.get(name) for name in ("dataset", "data_dir", "n_train"))
        arguments += (values.get("seed", 0),)
        if arguments not in loaded:
            loaded[arguments] = load(*arguments)
        for name in (declarations["notebooks"].get(path.stem) or {}).get("baselines", []):
            check_baseline(name, loaded[arguments])


def _check_cuda() -> None:
    if not torch.cuda.is_available():
        raise InputError("device=cuda: torch finds no CUDA device here; use device cpu")


def run_notebooks(planned: Planned, out: Path, *, jobs: int = 1, in_place: bool = False) -> int:
    """Execute notebooks, write them, and say how each went.

    Args:
        planned: the notebooks and their parameters, from `parameters.plan`.
        out: folder for the executed notebooks. One that failed is kept as NAME.failed.ipynb.
        jobs: how many run at a time.
        in_place: overwrite the notebooks themselves; those that fail stay as they are.

    Returns:
        how many failed.
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
    seconds = time.monotonic() - start
    print(f"{len(planned)} executed, {n_failed} failed, {seconds:.0f} s in all", flush=True)
    return n_failed


def _run_one(path: Path, values: dict[str, object], out: Path, target: Path, *, live: bool) -> bool:
    claims = out / "claims" / f"{path.stem}.jsonl"
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
        "TUTORIAL_UTILS_CLAIMS_REPORT": "1" * bool(values),  # the claims are about the defaults
    }
    number, error = _execute(notebook, path.parent, environment, progress)
    if error:
        write_notebook(tidy_(notebook), failed)
        progress(number - 1, f"FAILED, see {failed}")
        last = "\n    ".join(without_paths(line) for line in error[-6:])
        print(f"{path.name}, cell [{number}]:\n    {last}", file=sys.stderr, flush=True)
        return False
    write_notebook(tidy_(notebook), target)
    progress(n_cells, _count_claims(claims))
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

    progress(0)
    try:
        _Engine.execute_notebook(
            notebook,
            "python3",
            progress_bar=False,
            on_cell=on_cell,
            cwd=str(folder),
            env=os.environ | environment,
        )
    except (RuntimeError, OSError, TimeoutError) as error:  # the kernel did not start, or died
        return n_done + 1, f"{type(error).__name__}: {error}".splitlines()
    return error_in(notebook)


def _count_claims(path: Path) -> str:
    """How many claims a notebook made, for its line of progress."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    results = [json.loads(line)["holds"] for line in lines]
    counts = {"hold": True, "do not hold with these parameters": False, "skipped": None}
    found = [f"{results.count(r)} {text}" for text, r in counts.items() if r in results]
    return f"claims: {', '.join(found)}" if found else "no claims"
