"""Networks of torchvision through all stages: small ones here, all in the stored file."""

import json

import pytest
import torch
from conftest import ROOT

from tutorial_utils.book import zoo
from tutorial_utils.errors import InputError

STORED = ROOT / "book" / "results" / "zoo.json"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small"])
def test_small_networks_go_through_or_are_refused_with_a_reason(name):
    found = zoo.try_network(name)
    assert list(found) == list(zoo.STAGES)
    n_layers = {"squeezenet1_1": 26, "shufflenet_v2_x0_5": 57, "mobilenet_v3_small": 54}[name]
    assert found["PTQ"].startswith(f"{n_layers} of {n_layers} layers")
    assert found["QAT"].endswith("converted as trained")
    assert found["masks"] == "50% zeros"
    channels = found["half of the MACs"]
    assert "of the MACs, 10 outputs" in channels or (
        name == "shufflenet_v2_x0_5"
        and channels.startswith("refused: ShuffleNetV2 cannot be cut behind layer 'stage")
        and "skip" in channels
    )


def test_untouched_networks_have_outputs_that_depend_on_the_input():
    network, inputs = zoo.make_network("squeezenet1_1", 64)
    with torch.no_grad():
        assert network(inputs).std(0).mean() > 1e-3
    assert not network.training


def test_the_stored_results_are_of_all_networks_and_no_stage_failed():
    stored = json.loads(STORED.read_text())
    assert set(stored["versions"]) == set(zoo.PACKAGES)
    assert set(stored["networks"]) == set(zoo.NETWORKS)
    for found in stored["networks"].values():
        assert list(found) == list(zoo.STAGES)
        assert "NOT" not in "".join(found.values())


def test_results_are_stored_one_by_one_and_not_tried_again(tmp_path, monkeypatch, capsys):
    tried = []

    class Done:
        returncode = 0
        stdout = json.dumps(dict.fromkeys(zoo.STAGES, "works"))

    def run(command, **_):
        tried.append(command[-1])
        if len(tried) == 3:
            raise KeyboardInterrupt
        return Done

    monkeypatch.setattr(zoo.subprocess, "run", run)
    path = tmp_path / "results" / "zoo.json"
    names = ("resnet50", "vgg11_bn", "swin_t")
    with pytest.raises(KeyboardInterrupt):
        zoo.run_zoo(path, names)
    assert list(json.loads(path.read_text())["networks"]) == ["resnet50", "vgg11_bn"]
    assert zoo.run_zoo(path, names) == 0 and tried[3:] == ["swin_t"]
    assert zoo.run_zoo(path, names, again=True) == 0 and tried[4:] == list(names)
    assert "| `swin_t` | works | works | works | works |" in zoo.zoo_table(path)
    monkeypatch.setattr(zoo.importlib.metadata, "version", lambda name: "another")
    zoo.run_zoo(path, names[:1])
    assert list(json.loads(path.read_text())["networks"]) == ["resnet50"]
    with pytest.raises(InputError, match="did you mean 'resnet50'"):
        zoo.run_zoo(path, ("resnet5",))


def test_a_network_that_fails_is_named_and_counted(tmp_path, monkeypatch, capsys):
    class Done:
        returncode = 1
        stderr = "Traceback\nZeroDivisionError: 0"

    monkeypatch.setattr(zoo.subprocess, "run", lambda *a, **k: Done)
    assert zoo.run_zoo(tmp_path / "zoo.json", ("resnet50",)) == 1
    assert "resnet50: FAILED: ZeroDivisionError: 0" in capsys.readouterr().out
    assert not (tmp_path / "zoo.json").exists()
