import json
import re

import numpy as np
import pytest
import torch
from conftest import ROOT
from nbval.plugin import get_sanitize_patterns

from tutorial_utils.book import claim
from tutorial_utils.errors import InputError
from tutorial_utils.measuring.timing import BUSY


@pytest.fixture
def record(tmp_path, monkeypatch):
    path = tmp_path / "claims.jsonl"
    monkeypatch.setenv("TUTORIAL_UTILS_CLAIMS", str(path))
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        (0.3, {"at_most": 0.3}),
        (0.3, {"at_least": 0.3}),
        (-1, {"at_most": 0}),
        (torch.tensor(0.5), {"at_least": 0.25}),
        (np.float32(0.5), {"at_least": 0.25}),
        (True, {}),
        (torch.tensor(True), {}),
        (np.bool_(True), {}),
    ],
)
def test_a_true_claim_prints_its_sentence(value, bound, capsys):
    claim("it is so", value, **bound)
    assert re.fullmatch(r"holds: it is so( \(.*\))?\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("value", "bound", "figures"),
    [
        (0.271828, {"at_most": 1 / 3}, " (0.2718, at most 0.3333)"),
        (12345, {"at_least": 1e-3}, " (12,345, at least 0.001)"),
        (-0.5, {"at_most": 1_000_000}, " (-0.5, at most 1,000,000)"),
        (1e9, {"at_least": -2.5}, " (1e+09, at least -2.5)"),
        (True, {}, ""),
    ],
)
def test_figure_and_bound_are_shown_and_taken_out_for_comparing(value, bound, figures, capsys):
    claim("it is so (mostly)", value, **bound)
    printed = capsys.readouterr().out
    assert printed == f"holds: it is so (mostly){figures}\n"
    (pattern, replacement), _ = get_sanitize_patterns((ROOT / "tests/figures.cfg").read_text())
    assert re.sub(pattern, replacement, printed) == "holds: it is so (mostly)\n"
    other = printed.replace("holds", "does not hold")
    assert re.sub(pattern, replacement, other) == other


def test_a_claim_that_a_busy_machine_skipped_is_no_difference(capsys):
    claim("it is fast (now)", None, skip=BUSY)
    claim("it is small", None, skip="no compiler")
    busy, other = capsys.readouterr().out.splitlines()
    _, (pattern, replacement) = get_sanitize_patterns((ROOT / "tests/figures.cfg").read_text())
    assert re.sub(pattern, replacement, busy) == "holds: it is fast (now)"
    assert re.sub(pattern, replacement, other) == other


@pytest.mark.parametrize(
    ("value", "bound", "expected"),
    [
        (0.3000001, {"at_most": 0.3}, "at most 0.3"),
        (0.2999999, {"at_least": 0.3}, "at least 0.3"),
        (float("nan"), {"at_most": 1}, "at most 1"),
        (float("nan"), {"at_least": 0}, "at least 0"),
        (float("inf"), {"at_least": 0}, "at least 0"),
        (float("-inf"), {"at_most": 0}, "at most 0"),
        (False, {}, "True"),
        (torch.tensor(False), {}, "True"),
    ],
)
def test_a_false_claim_raises_with_sentence_value_and_bound(value, bound, expected, capsys):
    with pytest.raises(AssertionError) as error:
        claim("it is so", value, **bound)
    shown = value.item() if isinstance(value, torch.Tensor) else value
    assert f"it is so (value {shown}, expected {expected})" in str(error.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("sentence", "value", "arguments"),
    [
        ("a number without a bound", 0.5, {}),
        ("a number with both bounds", 0.5, {"at_most": 1, "at_least": 0}),
        ("a bound that is NaN", 0.5, {"at_most": float("nan")}),
        ("a bool with a bound", True, {"at_most": 1}),
        ("no value", None, {"at_most": 1}),
        ("a word", "0.5", {"at_most": 1}),
        ("several values", torch.tensor([0.1, 0.2]), {"at_most": 1}),
        ("an empty reason", 0.5, {"at_most": 1, "skip": " "}),
        ("a flag as reason", 0.5, {"at_most": 1, "skip": True}),
        ("", 0.5, {"at_most": 1}),
        ("two\nlines", 0.5, {"at_most": 1}),
    ],
)
def test_what_makes_no_claim_is_refused(sentence, value, arguments, capsys):
    with pytest.raises(InputError):
        claim(sentence, value, **arguments)
    assert capsys.readouterr().out == ""


def test_every_claim_is_recorded_also_skipped_and_false_ones(record):
    claim("small", np.float64(0.25), at_most=0.3)
    claim("true", True)
    claim("later", None, skip="no GPU here")
    with pytest.raises(AssertionError):
        claim("finite", float("nan"), at_most=1)
    small, true, later, finite = record()
    assert small == {
        "claim": "small", "result": "held", "value": 0.25, "at_most": 0.3, "at_least": None
    }  # fmt: skip
    assert true["value"] is True and true["result"] == "held"
    assert later == {"claim": "later", "result": "skipped", "reason": "no GPU here"}
    assert finite["result"] == "broken" and finite["value"] == "nan"


def test_nothing_is_written_when_no_file_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("TUTORIAL_UTILS_CLAIMS", raising=False)
    monkeypatch.chdir(tmp_path)
    claim("it is so", True)
    assert list(tmp_path.iterdir()) == []


def test_with_other_parameters_a_false_claim_is_reported_and_the_run_goes_on(
    record, monkeypatch, capsys
):
    monkeypatch.setenv("TUTORIAL_UTILS_CHANGED", "epochs,dataset")
    claim("small", 2.0, at_most=1)
    assert capsys.readouterr().out.startswith("does not hold: small (value 2.0")
    claim("small", 2.0, at_most=1, on="epochs")
    for on in ((), "lr", ["lr", "n_test"], "epoch"):
        with pytest.raises(AssertionError):
            claim("small", 2.0, at_most=1, on=on)
    results = [entry["result"] for entry in record()]
    assert results == ["reported", "reported", "broken", "broken", "broken", "broken"]


def test_a_function_is_called_only_where_the_claim_is_checked(capsys):
    claim("it is small", lambda: 0.2, at_most=0.3)
    claim("it is fast", lambda: pytest.fail("must not be called"), skip="no compiler")
    assert capsys.readouterr().out == (
        "holds: it is small (0.2, at most 0.3)\nskipped: it is fast (no compiler)\n"
    )
