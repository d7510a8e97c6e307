"""Intervals by sources: against simulation, against formulas, and against what cannot be."""

import pytest
import torch

from tutorial_utils.errors import InputError
from tutorial_utils.measuring import accuracy_interval, paired_accuracy, wilson_interval


def draw(n_sources, n_each, generator, spread=0.2):
    """Answers to images of which those of one source share a chance of being right."""
    chance = 0.8 + spread * (torch.rand(n_sources, generator=generator) * 2 - 1)
    correct = torch.rand(n_sources, n_each, generator=generator) < chance[:, None]
    source = torch.arange(n_sources).repeat_interleave(n_each)
    return correct.flatten(), source


@pytest.mark.slow
def test_the_interval_holds_the_true_accuracy_as_often_as_it_says():
    """Answers share a source: Wilson's interval is far too narrow, the one by sources is right."""
    generator = torch.Generator().manual_seed(0)
    n_runs, by_source, by_image = 200, 0, 0
    for _ in range(n_runs):
        correct, source = draw(100, 30, generator)
        low, high = accuracy_interval(correct, source)
        by_source += low <= 0.8 <= high
        low, high = accuracy_interval(correct)
        by_image += low <= 0.8 <= high
    assert 0.90 <= by_source / n_runs <= 0.99
    assert by_image / n_runs < 0.85


def test_images_of_their_own_sources_have_nearly_the_wilson_interval():
    correct = torch.arange(2000) < 1800
    found = accuracy_interval(correct, torch.arange(2000))
    assert found == pytest.approx(wilson_interval(1800, 2000), abs=0.002)
    assert accuracy_interval(correct) == wilson_interval(1800, 2000)


def test_order_and_names_of_sources_do_not_matter():
    generator = torch.Generator().manual_seed(1)
    correct, source = draw(20, 5, generator)
    order = torch.randperm(100, generator=generator)
    assert accuracy_interval(correct, source) == accuracy_interval(
        correct[order], 1000 - 3 * source[order]
    )


@pytest.mark.parametrize("answer", [True, False])
def test_where_all_answers_are_alike_there_are_as_many_trials_as_sources(answer):
    correct, source = torch.full((60,), answer), torch.arange(60) % 6
    assert accuracy_interval(correct, source) == wilson_interval(6 * answer, 6)


def test_the_difference_of_pairs_is_surer_than_either_accuracy():
    generator = torch.Generator().manual_seed(2)
    correct, source = draw(100, 30, generator)
    worse = correct & (torch.rand(3000, generator=generator) > 0.01)
    found = paired_accuracy(worse, correct, source)
    low, high = accuracy_interval(correct, source)
    assert found.mean == pytest.approx((worse.double() - correct.double()).mean().item())
    assert found.low < found.mean < found.high < 0 and found.verdict == "worse"
    assert found.high - found.low < 0.3 * (high - low)
    mirrored = paired_accuracy(correct, worse, source)
    assert mirrored.verdict == "better" and mirrored.mean == -found.mean


def test_equal_sources_make_a_wider_interval_than_independent_images():
    a = torch.arange(400) < 380
    b = torch.arange(400) < 360
    alone, shared = paired_accuracy(a, b), paired_accuracy(a, b, torch.arange(400) // 20)
    assert shared.high - shared.low > 2 * (alone.high - alone.low)


def test_models_that_are_right_on_the_same_images_do_not_differ():
    correct = torch.arange(50) < 40
    assert paired_accuracy(correct, correct) == (0, 0, 0)
    assert paired_accuracy(correct, correct).verdict == "inconclusive"


def test_what_cannot_be_is_refused():
    correct = torch.ones(5, dtype=torch.bool)
    with pytest.raises(InputError, match="at least one"):
        accuracy_interval(correct[:0])
    with pytest.raises(InputError, match="one source for each image"):
        accuracy_interval(correct, torch.arange(4))
    with pytest.raises(InputError, match="same images"):
        paired_accuracy(correct, correct[:4])
