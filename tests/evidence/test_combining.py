"""The study of chapter 8: what it stores is what the models answered."""

import pytest
import torch

from tutorial_utils.data import loading
from tutorial_utils.evidence import combining
from tutorial_utils.measuring import correct_answers, paired_accuracy
from tutorial_utils.models import load_baseline
from tutorial_utils.recipes import Setting


def row(correct):
    """A row as `run` would store it for these answers."""

    class Says(torch.nn.Module):
        def forward(self, inputs):
            return torch.eye(2)[inputs.flatten(1)[:, 0].long()]

    split = [(correct.view(-1, 1, 1, 1).float(), torch.ones(len(correct), dtype=torch.long))]
    return combining._score(Says(), split)


@pytest.fixture
def tiny(monkeypatch):
    """The study with few images, and one arm that trains for a few steps."""
    data = loading.load("digits", n_train=256)
    few = type(data)(**{**vars(data), "val": data.val[:64], "test": data.test[:96]})
    setting = Setting(load_baseline("resnet8", data), few, seed=0)
    monkeypatch.setattr(combining, "_shared", lambda seed: (setting, {}))
    sparse = [
        ("take_student", {"model": "resnet8"}),
        ("prune_weights", {"sparsity": 0.7, "scope": "global"}),
        ("train", {"epochs": 0.5, "lr": 0.01}),
    ]
    monkeypatch.setitem(combining.ARMS, "tiny", sparse)
    return setting


def test_answers_come_back_bit_by_bit():
    generator = torch.Generator().manual_seed(0)
    for n in (1, 8, 13):
        correct = torch.randint(2, (n,), generator=generator).bool()
        stored = row(correct)
        assert torch.equal(combining.answers(stored), correct)
        assert stored["accuracy"] == pytest.approx(correct.double().mean().item())


def test_arms_are_compared_on_the_same_images_with_all_seeds_of_a_source_together():
    generator = torch.Generator().manual_seed(0)
    source = torch.arange(20).repeat_interleave(5)
    a, b = torch.rand(2, 3, 100, generator=generator) < torch.tensor([0.9, 0.8]).view(2, 1, 1)
    found = combining.compare([row(x) for x in a], [row(x) for x in b], source)
    assert found.mean == pytest.approx((a.double() - b.double()).mean().item())
    assert found == paired_accuracy(a.T.flatten(), b.T.flatten(), source.repeat_interleave(3))


def test_a_sparse_arm_says_also_what_deep_compression_gives_back(tiny):
    found = combining.run("tiny", 0)
    assert found["n_images"] == 96 and found["deep"]["n_images"] == 96
    assert 5_000 < found["deep"]["size_bytes"] < 40_000


def test_orders_are_scored_on_validation_and_the_others_on_test_images(tiny, monkeypatch):
    monkeypatch.setitem(combining.ARMS, "distil, cut, round", [])
    found = combining.run("distil, cut, round", 0)
    assert torch.equal(combining.answers(found), correct_answers(tiny.model, tiny.data.val))
    assert "deep" not in found
