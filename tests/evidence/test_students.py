"""Studies of distillation: fair starts, choices on validation, answers that survive storing."""

from dataclasses import replace

import pytest
import torch

from tutorial_utils.evidence import distillation_settings as settings
from tutorial_utils.evidence import pack_answers, unpack_answers
from tutorial_utils.evidence.distillation import ARMS
from tutorial_utils.evidence.students import FEW, gap, new_student, views_of
from tutorial_utils.evidence.teachers import largest_share
from tutorial_utils.models import make_model

TINY = replace(FEW, n_labels=10, n_views=2, batch_size=10)


def test_answers_survive_storing():
    correct = torch.rand(5000, generator=torch.Generator().manual_seed(0)) < 0.8
    text = pack_answers(correct)
    assert len(text) == 1250 and torch.equal(unpack_answers(text, 5000), correct)


def test_students_start_alike_with_half_of_the_channels():
    first, second = (new_student().state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    halved = [weight.shape for weight in make_model("resnet8", width=8).parameters()]
    assert [weight.shape for weight in new_student().parameters()] == halved


def test_few_labels_are_others_for_each_seed():
    images = [views_of(TINY, seed)[0].images for seed in (0, 1)]
    assert not torch.equal(*images) and images[0].shape == images[1].shape == (20, 3, 32, 32)


def test_the_best_on_validation_is_chosen(monkeypatch):
    stored = {arm: [{"accuracy": 0.5}, {"accuracy": 0.5}] for arm in settings.ARMS}
    stored["KD, T = 2, alpha = 0.9"] = [{"accuracy": 0.4}, {"accuracy": 0.7}]
    stored["KD, T = 8, alpha = 0.9"] = [{"accuracy": 0.6}, {"accuracy": 0.4}]
    stored["hints, beta = 10"] = [{"accuracy": 0.9}, {"accuracy": 0.9}]
    monkeypatch.setattr(settings, "load_results", lambda name: stored)
    assert settings.chosen("KD") == {"temperature": 2, "alpha": 0.9}
    assert settings.chosen("hints") == {"beta": 10}
    assert settings.chosen("alone") == settings.chosen("smoothing") == {}


def test_arms_of_one_plan_differ_in_the_method_alone():
    for plan in ("short", "long"):
        arms = [arm for name, arm in ARMS.items() if name.startswith(f"{plan}: ")]
        assert len({arm[:2] for arm in arms}) == 1
        assert len({arm[2:] for arm in arms}) == len(arms) >= 4


def test_gap_and_share_by_hand():
    assert gap(torch.tensor([[4.0, 1.0, 0.0], [0.0, 0.0, 1.0]])) == pytest.approx((3.5 + 1) / 2)
    # Among the wrong classes (1, 2): e^0 against e^ln3, a quarter and three quarters.
    logits = torch.tensor([[9.0, 0.0, torch.tensor(3.0).log().item()]])
    assert largest_share(logits, torch.tensor([0])) == pytest.approx(0.75)
    assert largest_share(logits, torch.tensor([0]), temperature=1e6) == pytest.approx(0.5)
