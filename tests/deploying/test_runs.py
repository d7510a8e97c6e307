"""Rows of files: figures where there is a file, a reason where there is none."""

import pytest
import torch

from tutorial_utils.deploying import Deployments, IsolatedRun, runs
from tutorial_utils.errors import InputError
from tutorial_utils.measuring.timing import Latency

TIMES = {"slow.pt2": 6.0, "fast.pt2": 2.0}


@pytest.fixture
def deployments(monkeypatch, tmp_path):
    def run(kind, path, inputs, *, batch_sizes):
        latency = {size: Latency((TIMES[path.name] * size,) * 3) for size in batch_sizes}
        return IsolatedRun(kind, 10, 1.0, 1.0, latency, None, frozenset(), torch.eye(4))

    monkeypatch.setattr(runs, "run_isolated", run)
    monkeypatch.setattr(runs, "missing", lambda kind: None)
    found = Deployments(torch.zeros(4, 3, 2, 2), (1, 4), {"aoti": "no C++ compiler"})
    for name in ("slow", "fast"):
        found.add(f"{name}, int8", "exported", lambda name=name: tmp_path / f"{name}.pt2")
    found.add("package", "aoti", lambda: pytest.fail("must not be made"))
    return found


def test_rows_that_are_there_have_figures(deployments):
    assert deployments.missing("slow, int8", "fast, int8") is None
    assert deployments.speed_up("slow, int8", "fast, int8", 4) == (3, None)
    assert deployments.fastest(1) == deployments.fastest(4, "int8") == {"exported": "fast, int8"}
    assert deployments.fastest(1, "slow") == {"exported": "slow, int8"}
    assert deployments.agreement("fast, int8", torch.eye(4)[[0, 1, 2, 0]]) == 0.75


def test_a_row_that_is_missing_has_a_reason(deployments):
    assert deployments.missing("slow, int8", "package") == "no C++ compiler"
    assert deployments.speed_up("package", "fast, int8", 1).skip == "no C++ compiler"
    assert deployments.report("package") is deployments.load("package") is None
    with pytest.raises(InputError, match="no C\\+\\+ compiler"):
        deployments.agreement("package", torch.eye(4))


def test_an_unknown_name_is_refused(deployments):
    with pytest.raises(InputError, match="did you mean 'slow, int8'"):
        deployments.speed_up("slow int8", "fast, int8", 1)
