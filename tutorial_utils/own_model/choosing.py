"""Which of the attempts to take under a budget, in words and in code."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutorial_utils.errors import InputError, check_positive
from tutorial_utils.measuring import comparison_table, speed_up
from tutorial_utils.own_model.bringing import Brought
from tutorial_utils.own_model.trying import Attempt
from tutorial_utils.recipes import describe

_CODE = """\
from tutorial_utils.deploying import save_exported
from tutorial_utils.own_model import bring
from tutorial_utils.recipes import Setting, compress

brought = bring({arguments})
setting = Setting(brought.model, brought.data.train, seed={seed})
recipe = [
{steps}]
compressed = compress(recipe, setting).model
save_exported(compressed, brought.example, "compressed.pt2")
"""

ALIKE = 1.1  # times that differ by less say nothing about which model is faster


@dataclass(frozen=True)
class Budget:
    """At most so many points of accuracy lost, and so many megabytes (10^6 bytes), or any size."""

    max_points_lost: float = 1.0
    max_mb: float | None = None

    def __post_init__(self):
        if not 0 <= self.max_points_lost <= 100:
            raise InputError(f"max_points_lost={self.max_points_lost}: expected 0 to 100 points")
        if self.max_mb is not None:
            check_positive(max_mb=self.max_mb)

    def __str__(self) -> str:
        size = "" if self.max_mb is None else f" and at most {self.max_mb:g} MB"
        return f"at most {self.max_points_lost:g} points lost{size}"


def points_lost(attempt: Attempt, baseline: Attempt) -> float:
    """Points of accuracy that an attempt lost on the images for choosing; 1 point is 1 %."""
    return 100 * (baseline.row.accuracy - attempt.row.accuracy)


def recommend(attempts: Sequence[Attempt], budget: Budget) -> Attempt:
    """Return the fastest attempt within a budget, of those that are as fast the smallest.

    Where there are no times, or the machine was busy, it is the smallest.

    Args:
        attempts: from `try_recipes`; the first is the baseline.
        budget: what may be lost, and how large the result may be.

    Raises:
        InputError: none is within the budget; the message names the nearest.
    """
    baseline, *others = [attempt for attempt in attempts if attempt.row]
    fitting = [
        attempt
        for attempt in [baseline, *others]
        if points_lost(attempt, baseline) <= budget.max_points_lost
        and (budget.max_mb is None or attempt.row.size_bytes <= 1e6 * budget.max_mb)
    ]
    if not fitting:
        nearest = min([baseline, *others], key=lambda a: a.row.size_bytes)
        raise InputError(
            f"nothing that was tried keeps {budget}: the smallest file is {nearest.name!r} with "
            f"{nearest.row.size_bytes / 1e6:.3g} MB, {points_lost(nearest, baseline):.1f} points "
            "lost; allow more, or train longer after the cuts (epochs)"
        )
    steady = all(t.steady for a in fitting for t in a.row.latency.values())
    if baseline.row.latency and steady:
        times = {a.name: a.row.latency_ms(next(iter(a.row.latency))) for a in fitting}
        limit = ALIKE * min(times.values())
        fitting = [attempt for attempt in fitting if times[attempt.name] <= limit]
    return min(fitting, key=lambda a: a.row.size_bytes)


def explain(chosen: Attempt, attempts: Sequence[Attempt], budget: Budget) -> str:
    """Return the recommendation in plain words, Markdown."""
    baseline = next(attempt for attempt in attempts if attempt.row)
    if chosen is baseline:
        return f"Under your budget ({budget}) nothing is better than the model as it is."
    lost = points_lost(chosen, baseline)
    smaller = baseline.row.size_bytes / chosen.row.size_bytes
    words = [f"Under your budget ({budget}) take **{chosen.name}**: {describe(chosen.recipe)}."]
    words += [f"The file is {smaller:.1f} times smaller."]
    if any(options.get("n_bits", 8) < 8 for _, options in chosen.recipe):
        words += ["(That is with packed weights, see `save_packed`; an export file keeps bytes.)"]
    for size, before in baseline.row.latency.items():
        speed = speed_up(before, chosen.row.latency[size])
        if not speed.skip:
            words += [f"A batch of {size} takes {1 / speed.ratio:.2f} of the time, compiled."]
    changed = f"loses {lost:.1f} points" if lost > 0 else f"loses nothing ({-lost:+.1f} points)"
    return " ".join([*words, f"On the images for choosing it {changed}."])


def attempts_table(attempts: Sequence[Attempt]) -> str:
    """Return what was measured as a table, and below it what failed, with the reasons."""
    text = comparison_table([attempt.row for attempt in attempts if attempt.row])
    failed = [f"- **{a.name}** does not work here: {a.reason}" for a in attempts if a.reason]
    return "\n".join([text, "", *failed]).strip()


def code_for(chosen: Attempt, brought: Brought, seed: int = 0) -> str:
    """Return the program that makes the recommended model again and saves it."""
    arguments = ", ".join(f"{name}={value!r}" for name, value in brought.arguments.items())
    steps = "".join(f"    {step!r},\n" for step in chosen.recipe)
    return _CODE.format(arguments=arguments, seed=seed, steps=steps)
