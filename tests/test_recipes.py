"""Recipes: what is refused, what is shared, and that each step does what its name says."""

import copy

import pytest
import torch

from tutorial_utils.data import loading
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import count_macs, pareto_front
from tutorial_utils.models import load_baseline
from tutorial_utils.pruning import sparsity_of
from tutorial_utils.quantization import quantized_layers
from tutorial_utils.recipes import ORDERS, RECIPES, Setting, check_recipe, compress, describe

CUT = ("cut_stage", {"stage": "stage3", "ratio": 0.5})


@pytest.fixture(scope="module")
def setting():
    data = loading.load("digits", n_train=256)
    return Setting(load_baseline("resnet8", data), data, epochs=1, lr=0.05, seed=0)


def weights(made):
    return torch.cat([value.float().flatten() for value in made.model.state_dict().values()])


@pytest.mark.parametrize("recipe", [*RECIPES.values(), *ORDERS.values()], ids=describe)
def test_the_recipes_of_the_book_can_be_followed(recipe):
    check_recipe(recipe)


def test_the_first_recipe_is_the_baseline():
    assert next(iter(RECIPES.values())) == []


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ([("distill", {})], "did you mean 'distil'"),
        ([("fly", {})], "expected one of train"),
        ([("distil", {"epochs": 3})], "no option.*epochs.*share"),
        ([("quantize", {"n_bits": 8}), ("train", {})], "quantizing has to be the last"),
    ],
)
def test_what_cannot_be_followed_is_refused_before_anything_runs(recipe, message):
    with pytest.raises(InputError, match=message):
        compress([("cut_stage", {"stage": None, "ratio": None}), *recipe], setting=None)


def test_recipes_that_begin_alike_share_and_get_what_they_would_alone(setting):
    before = copy.deepcopy(setting.teacher.state_dict())
    recipe = [CUT, ("distil", {}), ("train", {"share": 0.5})]
    alone = compress(recipe, setting)
    done = {}
    shorter = compress(recipe[:2], setting, done)
    kept = weights(shorter)
    longer = compress(recipe, setting, done)
    assert len(done) == 3
    assert torch.equal(weights(longer), weights(alone))
    assert torch.equal(weights(shorter), kept)
    assert longer.seconds > shorter.seconds > 0
    after = setting.teacher.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_zeros_stay_in_later_training(setting):
    made = compress([("prune_and_train", {"sparsity": 0.8}), ("distil", {})], setting)
    assert sparsity_of(made.model) == pytest.approx(0.8, abs=1e-3)


def test_cuts_do_what_they_say(setting):
    example = torch.zeros(1, 3, 32, 32)
    half = compress([("cut_channels", {"macs": 0.5, "round_to": 8})], setting).model
    assert count_macs(half, example) <= 0.5 * count_macs(setting.teacher, example)
    narrow = compress([CUT], setting).model
    assert narrow.fc.in_features == 32 and narrow.stage2[0].conv2.out_channels == 32


@pytest.mark.parametrize("step", [("quantize", {"n_bits": 4}), ("train_quantized", {"n_bits": 4})])
def test_both_ways_to_quantize_end_in_integers(setting, step):
    model = compress([CUT, step], setting).model
    assert len(quantized_layers(model)) == 10
    ints = [value for value in model.state_dict().values() if value.dtype == torch.int8]
    assert len(ints) == 10 and max(int(value.abs().max()) for value in ints) <= 8


def test_the_front_is_what_nothing_beats():
    generator = torch.Generator().manual_seed(0)
    costs, values = torch.randint(20, (2, 60), generator=generator).tolist()
    front = pareto_front(costs, values)
    points = set(zip(costs, values, strict=True))
    beaten = {
        (c, v) for c, v in points for d, w in points if (d, w) != (c, v) and d <= c and w >= v
    }
    assert {(costs[i], values[i]) for i in front} == points - beaten
    assert len(front) == len(points - beaten)


def test_costs_and_values_come_in_pairs():
    with pytest.raises(InputError, match="2 costs"):
        pareto_front([1, 2], [1])
