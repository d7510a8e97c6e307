"""The reader's own tries at the exercises that are scored: one small file, and a leaderboard.

A try that keeps to the budget is stored by `check.NAME(function)`; ``make progress`` lists the
best.
"""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from platformdirs import user_data_path

from tutorial_utils.errors import InputError
from tutorial_utils.storage import replacing

Try = dict[str, object]  # score, figures by name, when
SHOWN = 5  # tries of an exercise


@dataclass(frozen=True)
class Reached:
    """Scores that others reached within the budget, measured once (a test measures them again).

    ``lazy`` is what somebody gets who does the first thing that keeps to the budget; ``best`` is
    the best that is known, and ``how`` says in a few words how it was made. Who reaches ``wanted``
    has solved the exercise.
    """

    lazy: float
    solution: float
    best: float
    how: str
    wanted: float

    def ladder(self, score: float) -> list[str]:
        """Return lines with the rungs and this score among them, best first.

        >>> print("\\n".join(Reached(71, 80, 84, "twice the training", 76).ladder(81.5)))
           84.00   the best that is known: twice the training
        >  81.50   yours
           80.00   the solution
           76.00   solved from here on
           71.00   a lazy answer
        """
        rungs = [
            (score, 4, "yours"),
            (self.best, 3, f"the best that is known: {self.how}"),
            (self.solution, 2, "the solution"),
            (self.wanted, 1, "solved from here on"),
            (self.lazy, 0, "a lazy answer"),
        ]
        return [
            f"{'>' if what == 'yours' else ' '} {value:6.2f}   {what}"
            for value, _, what in sorted(rungs, reverse=True)
        ]


def tries_path() -> Path:
    """Return the file of the tries (it may not exist yet).

    `$TUTORIAL_UTILS_TRIES` if that is set, else `tries.json` where this system keeps data of users.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, TUTORIAL_UTILS_TRIES="/tmp/mine.json"):
    ...     print(tries_path().as_posix())
    /tmp/mine.json
    """
    if own := os.environ.get("TUTORIAL_UTILS_TRIES"):
        return Path(own).expanduser()
    return user_data_path("tutorial_utils", appauthor=False) / "tries.json"


def read_tries() -> dict[str, list[Try]]:
    """Return the tries of each exercise, best first.

    Raises:
        InputError: when the file cannot be read or holds something else.
    """
    path = tries_path()
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: sorted(tries, key=lambda one: float(one["score"]), reverse=True)
            for name, tries in stored.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no list of tries ({error}): delete it") from error


def store_try(name: str, score: float, figures: dict[str, float]) -> None:
    """Add a try, unless one with the same figures is there.

    Raises:
        InputError: as `read_tries`, and when the file cannot be written.
    """
    tries = read_tries()
    figures = {key: round(value, 4) for key, value in figures.items() if key != "score"}
    if any(one.get("figures") == figures for one in tries.get(name, [])):
        return
    when = datetime.now().strftime("%Y-%m-%d %H:%M")
    tries.setdefault(name, []).append({"score": round(score, 4), "figures": figures, "when": when})
    with replacing(tries_path()) as temporary:
        temporary.write_text(json.dumps(tries, indent=1), encoding="utf-8")


def leaderboard(name: str) -> list[str]:
    """Return lines with the best tries at an exercise: place, score, figures, when.

    Raises:
        InputError: as `read_tries`.
    """
    tries = read_tries().get(name, [])
    return [
        f"{place}. {one['score']:8.2f}   {shown(one['figures'])}   {one['when']}"
        for place, one in enumerate(tries[:SHOWN], 1)
    ]


def shown(figures: dict[str, float]) -> str:
    """Return figures in one line.

    >>> shown({"accuracy": 91.25, "bytes": 57812})
    'accuracy 91.25, bytes 57,812'
    """
    return ", ".join(
        f"{name} {value:,.2f}" if value != int(value) else f"{name} {int(value):,}"
        for name, value in figures.items()
    )
