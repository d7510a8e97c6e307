"""A study: the same training for each arm and seed, one JSON row each, resumable."""

import importlib
import json
import pkgutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tutorial_utils.errors import InputError, check_choice
from tutorial_utils.measuring.machine import describe_machine
from tutorial_utils.storage.files import replacing

RESULTS = Path(__file__).parent / "results"
Row = dict[str, object]


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        name: of the module that it is in, and of the file of its results.
        about: one sentence: what is trained and on what.
        arms: names of what is compared.
        run: ``run(arm, seed)`` trains once and returns what was measured, as JSON can store it.
        seeds: of all arms, so that arms are compared seed by seed.
        metric: the figure that `make_again` compares.
        tolerance: by how much it may differ when it is made again, on another processor.
    """

    name: str
    about: str
    arms: tuple[str, ...]
    run: Callable[[str, int], Row]
    seeds: tuple[int, ...] = (0, 1, 2)
    metric: str = "accuracy"
    tolerance: float = 0.02


def studies() -> dict[str, Study]:
    """Return all studies of the book, by name."""
    names = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    modules = [importlib.import_module(f"tutorial_utils.evidence.{name}") for name in names]
    found = [module.STUDY for module in modules if hasattr(module, "STUDY")]
    return {study.name: study for study in found}


def run_study(
    study: Study,
    arms: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    folder: Path = RESULTS,
) -> None:
    """Run what is not stored yet; each result is stored as soon as it is there.

    Args:
        study: what to run.
        arms, seeds: which of the study's; by default all.
        folder: where ``NAME.json`` is.

    Raises:
        InputError: for an arm or a seed that the study does not have.
    """
    for arm in arms or ():
        check_choice("arm", arm, study.arms)
    for seed in seeds or ():
        if seed not in study.seeds:
            raise InputError(f"seed={seed}: the study {study.name} has the seeds {study.seeds}")
    for seed in seeds or study.seeds:
        for arm in arms or study.arms:
            if _find(_read(study.name, folder), arm, seed) is None:
                row = run_once(study, arm, seed)
                _store(study, row, folder)
                print(json.dumps(row), flush=True)


def run_once(study: Study, arm: str, seed: int) -> Row:
    """Run one arm with one seed; the row says also how long it took and on what."""
    start = time.monotonic()
    found = study.run(arm, seed)
    seconds = round(time.monotonic() - start, 1)
    return {"arm": arm, "seed": seed, **found, "seconds": seconds, "machine": describe_machine()}


def load_results(name: str, folder: Path = RESULTS) -> dict[str, list[Row]]:
    """Return what is stored of a study: for each arm one row a seed, in the order of the seeds.

    Raises:
        InputError: when nothing is stored under this name, or the arms have not the same seeds.
    """
    rows = _read(name, folder)
    if not rows:
        raise InputError(f"{name}: nothing is stored; run python -m tutorial_utils evidence {name}")
    by_arm: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        by_arm.setdefault(row["arm"], []).append(row)
    seeds = {arm: [row["seed"] for row in found] for arm, found in by_arm.items()}
    if len({tuple(found) for found in seeds.values()}) > 1:
        raise InputError(f"{name}: seeds differ between arms, {seeds}: run the study to its end")
    return by_arm


def make_again(
    study: Study, arms: Sequence[str] | None = None, seed: int = 0, folder: Path = RESULTS
) -> dict[str, tuple[float, float]]:
    """Run a study once more with one seed, store nothing, and compare with what is stored.

    Returns:
        for each arm the stored metric and the new one. Another processor rounds differently, so
        what was trained is alike, not equal: up to `Study.tolerance`.

    Raises:
        InputError: when an arm is not stored with this seed.
    """
    stored = {}
    for arm in arms or study.arms:
        row = _find(_read(study.name, folder), arm, seed)
        if row is None:
            raise InputError(f"{study.name}: arm {arm!r} with seed {seed} is not stored")
        stored[arm] = row[study.metric]
    return {arm: (value, run_once(study, arm, seed)[study.metric]) for arm, value in stored.items()}


def _read(name: str, folder: Path) -> list[Row]:
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


def _find(rows: list[Row], arm: str, seed: int) -> Row | None:
    return next((row for row in rows if (row["arm"], row["seed"]) == (arm, seed)), None)


def _store(study: Study, row: Row, folder: Path) -> None:
    # Read again, since another process may have stored its row meanwhile.
    rows = [*_read(study.name, folder), row]
    rows.sort(key=lambda row: (study.arms.index(row["arm"]), row["seed"]))
    lines = ",\n".join(json.dumps(row) for row in rows)
    text = f'{{"about": {json.dumps(study.about)},\n"rows": [\n{lines}\n]}}\n'
    with replacing(folder / f"{study.name}.json") as temporary:
        temporary.write_text(text, encoding="utf-8")
