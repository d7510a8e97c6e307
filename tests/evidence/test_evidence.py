"""Studies: resumed without repeating, whole at any moment, and refused when they are not."""

import dataclasses
import json

import pytest
from click.testing import CliRunner

from tutorial_utils import evidence
from tutorial_utils.__main__ import main
from tutorial_utils.errors import InputError
from tutorial_utils.evidence import Study, load_results, make_again, run_study, studies


@pytest.fixture
def calls():
    return []


@pytest.fixture
def study(calls):
    def run(arm, seed):
        calls.append((arm, seed))
        return {"accuracy": 0.5 + seed / 10 + (arm == "new") / 100}

    return Study("small", "A sum.", ("old", "new"), run)


def test_every_arm_is_run_with_every_seed_and_nothing_twice(study, calls, tmp_path):
    run_study(study, arms=["new"], seeds=[1], folder=tmp_path)
    assert calls == [("new", 1)]
    run_study(study, folder=tmp_path)
    run_study(study, folder=tmp_path)
    assert sorted(calls) == [(arm, seed) for arm in ("new", "old") for seed in (0, 1, 2)]
    found = load_results("small", tmp_path)
    assert list(found) == ["old", "new"]  # as the study has them, whatever was run first
    assert [row["accuracy"] for row in found["new"]] == pytest.approx([0.51, 0.61, 0.71])
    assert found["old"][2]["seed"] == 2 and "torch" in found["old"][2]["machine"]


def test_what_was_done_before_an_error_is_kept(study, calls, tmp_path):
    def run(arm, seed):
        if (arm, seed) == ("new", 1):
            raise KeyboardInterrupt
        return study.run(arm, seed)

    with pytest.raises(KeyboardInterrupt):
        run_study(dataclasses.replace(study, run=run), folder=tmp_path)
    assert len(json.loads((tmp_path / "small.json").read_text())["rows"]) == 3
    with pytest.raises(InputError, match="seeds differ"):
        load_results("small", tmp_path)
    run_study(study, folder=tmp_path)
    assert len(calls) == 6 and len(load_results("small", tmp_path)["new"]) == 3


def test_what_is_not_there_is_refused(study, calls, tmp_path):
    with pytest.raises(InputError, match="arm='nwe'; did you mean 'new'"):
        run_study(study, arms=["nwe"], folder=tmp_path)
    with pytest.raises(InputError, match="seed=7: .* has the seeds"):
        run_study(study, seeds=[7], folder=tmp_path)
    with pytest.raises(InputError, match="small: nothing is stored; run python -m"):
        load_results("small", tmp_path)
    with pytest.raises(InputError, match="not stored"):
        make_again(study, folder=tmp_path)
    assert not calls and not list(tmp_path.iterdir())


def test_making_again_stores_nothing(study, tmp_path):
    run_study(study, folder=tmp_path)
    before = (tmp_path / "small.json").read_text()
    other = dataclasses.replace(study, run=lambda arm, seed: {"accuracy": 0.25})
    assert make_again(other, ["old"], 1, tmp_path) == {"old": (0.6, 0.25)}
    assert (tmp_path / "small.json").read_text() == before


@pytest.mark.parametrize(("again", "status"), [(0.0, 0), (0.019, 0), (0.5, 1)])
def test_the_command_says_what_differs(study, tmp_path, monkeypatch, again, status):
    monkeypatch.setattr(evidence.running, "RESULTS", tmp_path)
    for function in (run_study, make_again):
        monkeypatch.setattr(function, "__defaults__", (*function.__defaults__[:-1], tmp_path))
    run_study(study)
    other = dataclasses.replace(study, run=lambda arm, seed: {"accuracy": 0.5 + again})
    monkeypatch.setattr(evidence, "studies", lambda: {"small": other})
    done = CliRunner().invoke(main, ["evidence", "small", "--check", "--arm", "old"])
    assert done.exit_code == status
    assert ("as stored" in done.output) == (status == 0)
    assert CliRunner().invoke(main, ["evidence", "smal"]).exit_code == 2


@pytest.mark.parametrize("study", studies().values(), ids=studies())
def test_a_study_of_the_book_is_whole(study):
    found = load_results(study.name)
    assert tuple(found) == study.arms
    for rows in found.values():
        assert tuple(row["seed"] for row in rows) == study.seeds
        assert all(study.metric in row and row["seconds"] > 0 for row in rows)
