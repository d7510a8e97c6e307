"""The result of `python -m tutorial_utils compress`: a folder that is whole or not there."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tutorial_utils.deploying import save_exported
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import (
    Measurement,
    comparison_table,
    describe_machine,
    measure_in_turns,
)
from tutorial_utils.own_model.bringing import Brought
from tutorial_utils.own_model.choosing import Budget, attempts_table, code_for, explain, points_lost
from tutorial_utils.own_model.trying import Attempt, first_images

_REPORT = """\
# {name}

{explained}

## On the images for testing

{final}

## All that was tried, on the images for choosing

{table}

## The program that makes it again

```python
{code}```
"""


def check_new(out: Path) -> Path:
    """Refuse a folder that holds anything, and return it."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"out={str(out)!r} is not empty: name a new folder")
    return out


def final_rows(chosen: Attempt, brought: Brought, n_images: int = 5000) -> list[Measurement]:
    """Measure the network and the chosen one on images for testing, once and without timing.

    Args:
        chosen: from `recommend`.
        brought: the network and its images.
        n_images: how many of a split, at most; a loader is used whole.
    """
    models = {"float32": brought.model} | ({chosen.name: chosen.model} if chosen.recipe else {})
    return list(
        measure_in_turns(models, first_images(brought.data.test, n_images), batch_sizes=()).values()
    )


def write_report(
    out: Path,
    brought: Brought,
    attempts: Sequence[Attempt],
    chosen: Attempt,
    budget: Budget,
    seed: int = 0,
) -> Path:
    """Write the chosen model, the measurements and the report into a new folder.

    Args:
        out: folder that is not there yet, or empty. It gets compressed.pt2 (see
            `deploying.save_exported`), measurements.json and report.md, all or none.
        brought, attempts, chosen, budget: of the run.
        seed: that the recipes were followed with.

    Returns:
        the file of the report.

    Raises:
        InputError: the folder holds something, or cannot be written.
    """
    check_new(out)
    final = final_rows(chosen, brought)
    part = out.with_name(f".{os.getpid()}.{out.name}")
    try:
        part.mkdir(parents=True)
        save_exported(chosen.model, brought.example, part / "compressed.pt2")
        measured = _measurements(attempts, chosen, final)
        (part / "measurements.json").write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
        text = _REPORT.format(
            name=chosen.name,
            explained=explain(chosen, attempts, budget),
            final=comparison_table(final),
            table=attempts_table(attempts),
            code=code_for(chosen, brought, seed),
        )
        (part / "report.md").write_text(text, "utf-8")
        if out.exists():
            out.rmdir()
        part.rename(out)
    except OSError as error:
        raise InputError(f"out={str(out)!r} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out / "report.md"


def _measurements(
    attempts: Sequence[Attempt], chosen: Attempt, final: Sequence[Measurement]
) -> dict:
    baseline = next(attempt for attempt in attempts if attempt.row)
    tried = [
        {"name": a.name, "recipe": list(a.recipe)}
        | ({"points_lost": points_lost(a, baseline)} | _figures(a.row) if a.row else {})
        | ({"reason": a.reason} if a.reason else {})
        for a in attempts
    ]
    test = [{"name": row.name} | _figures(row) for row in final]
    return {"chosen": chosen.name, "tried": tried, "test": test, "machine": describe_machine()}


def _figures(row: Measurement) -> dict:
    return {
        "accuracy": row.accuracy,
        "accuracy_interval": list(row.accuracy_interval),
        "size_bytes": row.size_bytes,
        "macs": row.macs,
        "latency_ms": {str(size): time.median_ms for size, time in row.latency.items()},
    }
