"""All recipes on a network that the package does not know, and what is recommended."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from tutorial_utils.__main__ import main
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import Measurement
from tutorial_utils.measuring.timing import Latency
from tutorial_utils.own_model import (
    Attempt,
    Budget,
    attempts_table,
    bring,
    code_for,
    explain,
    own_recipes,
    recommend,
    try_recipes,
    write_report,
)

HERE = Path(__file__).parent / "own_net.py"
NET, LOADERS = f"{HERE}:make_net", f"{HERE}:make_loaders"


@pytest.fixture(scope="module")
def brought():
    return bring(NET, data=LOADERS)


@pytest.fixture(scope="module")
def attempts(brought):
    return try_recipes(brought, own_recipes(1), compiled=False)


def row(name="a", accuracy=0.9, size=1000, ms=None) -> Measurement:
    latency = {} if ms is None else {8: Latency((ms,) * 5)}
    return Measurement(name, accuracy, (0, 1), 10, 10, size, size, 10, latency)


def attempt(name, recipe=(("quantize", {"n_bits": 8}),), **figures) -> Attempt:
    return Attempt(name, recipe, torch.nn.Identity(), row(name, **figures))


def test_every_recipe_works_and_makes_what_it_says(attempts):
    by_name = {a.name: a for a in attempts}
    assert [a.reason for a in attempts if a.reason] == []
    assert by_name["int8"].row.size_bytes < 0.5 * by_name["float32"].row.size_bytes
    assert by_name["4 bits"].row.size_bytes < by_name["int8"].row.size_bytes
    assert by_name["50% of the MACs"].row.macs <= 0.5 * by_name["float32"].row.macs
    weights = by_name["80% zeros, taught"].row
    assert weights.n_nonzero < 0.25 * weights.n_params


def test_training_comes_only_with_epochs():
    steps = [name for recipe in own_recipes(0).values() for name, _ in recipe]
    assert "distil" not in steps
    assert set(own_recipes(0)) < set(own_recipes(1))


def test_what_does_not_work_has_a_reason_and_the_others_go_on():
    brought = bring(f"{HERE}:Branching", data=LOADERS)
    attempts = try_recipes(brought, own_recipes(), compiled=False)
    by_name = {a.name: a for a in attempts}
    assert "data-dependent" in by_name["int8"].reason.lower().replace(" ", "-")
    assert by_name["int8"].row is None
    assert by_name["80% zeros"].row is not None
    assert f"**int8** does not work here: {by_name['int8'].reason}" in attempts_table(attempts)


def test_too_few_images_are_refused_before_anything_is_tried(brought, monkeypatch):
    monkeypatch.setattr("tutorial_utils.own_model.trying.compress", None)
    with pytest.raises(InputError, match="64 images for choosing cannot fill a batch of 65"):
        try_recipes(brought, own_recipes(), batch_size=65)


def test_the_fastest_within_the_budget_is_recommended():
    tried = [
        attempt("float32", recipe=(), ms=10),
        attempt("fast and bad", accuracy=0.8, size=10, ms=1),
        attempt("good", accuracy=0.895, size=300, ms=3),
        attempt("smaller", accuracy=0.895, size=200, ms=5),
        attempt("as fast, larger", accuracy=0.895, size=900, ms=2.95),
        Attempt("failed", (), reason="it does not"),
    ]
    assert recommend(tried, Budget(1)).name == "good"
    assert recommend(tried, Budget(1, max_mb=0.00025)).name == "smaller"
    assert recommend(tried, Budget(20)).name == "fast and bad"
    assert recommend(tried, Budget(0)).name == "float32"
    untimed = [replace(a, row=replace(a.row, latency={})) for a in tried[:4]]
    assert recommend(untimed, Budget(1)).name == "smaller"


def test_a_budget_that_nothing_keeps_names_the_nearest():
    tried = [attempt("float32", recipe=(), size=4000), attempt("int8", size=1000, accuracy=0.5)]
    with pytest.raises(InputError, match="'int8' with 0.001 MB, 40.0 points lost"):
        recommend(tried, Budget(1, max_mb=0.0001))


@pytest.mark.parametrize("budget", [(-1, None), (float("nan"), None), (1, 0)])
def test_impossible_budgets_are_refused(budget):
    with pytest.raises(InputError, match="max_"):
        Budget(*budget)


def test_the_words_say_what_was_measured():
    tried = [attempt("float32", recipe=(), size=4000, ms=8), attempt("int8", size=1000, ms=2)]
    text = explain(tried[1], tried, Budget(1, 3))
    assert "at most 1 points lost and at most 3 MB" in text
    assert "4.0 times smaller" in text
    assert "0.25 of the time" in text
    assert "nothing is better" in explain(tried[0], tried, Budget(1))


@pytest.mark.slow
def test_the_program_makes_the_same_model_again(brought, attempts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = next(a for a in attempts if a.name == "50% of the MACs, taught, int8")
    made = {}
    exec(code_for(chosen, brought), made)
    assert torch.equal(made["compressed"](brought.example), chosen.model(brought.example))
    assert (tmp_path / "compressed.pt2").stat().st_size > 0


@pytest.mark.slow
def test_the_command_writes_a_folder_that_is_whole(tmp_path):
    out = tmp_path / "small"
    arguments = ["compress", "--factory", NET, "--data", LOADERS, "--not-compiled"]
    arguments += ["--max-points-lost", "50", "--out", str(out)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in out.iterdir()) == [
        "compressed.pt2",
        "measurements.json",
        "report.md",
    ]
    measured = json.loads((out / "measurements.json").read_text())
    assert measured["chosen"] in {entry["name"] for entry in measured["tried"]}
    assert [entry["name"] for entry in measured["test"]] == ["float32", measured["chosen"]]
    assert "compress(recipe, setting)" in (out / "report.md").read_text()
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 2 and "is not empty" in again.output


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["--factory", "nothing"], "pass the images of the network"),
        (["--max-points-lost", "-1"], "max_points_lost"),
        (["--mean", "a,b"], "expected numbers"),
        (["--epochs", "-1"], "epochs=-1"),
    ],
)
def test_the_command_refuses_in_one_line_and_writes_nothing(tmp_path, arguments, reason):
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["compress", *arguments, "--out", str(out)])
    assert done.exit_code == 2
    assert reason in done.output
    assert not out.exists()


def test_a_report_that_fails_leaves_nothing(brought, attempts, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tutorial_utils.own_model.writing.save_exported", fail)
    with pytest.raises(InputError, match="No space left"):
        write_report(tmp_path / "out", brought, attempts, attempts[0], Budget())
    assert list(tmp_path.iterdir()) == []
