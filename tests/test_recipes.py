"""Recipes: what is refused, what is shared, and that each step does what its name says."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from tutorial_utils.data import Split, batches, loading
from tutorial_utils.distillation import Remembering
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import count_macs, count_params, pareto_front
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
        ([("fly", {})], "expected one of cut_channels"),
        ([("distil", {"epochs": 3})], "unexpected.*epochs.*options are.*share"),
        ([("quantize", {})], "step 'quantize': missing.*n_bits.*options are.*n_bits"),
        ([("quantize", {"n_bits": 9})], "step 'quantize': n_bits.*9"),
        ([("quantize", {"n_bits": "8"})], "n_bits.*'8'"),
        ([("train", {"share": 0})], "step 'train': share=0"),
        ([("cut_channels", {"macs": 1})], "macs=1: expected a fraction"),
        ([("cut_channels", {"macs": 0.5, "round_to": 1.5})], "round_to=1.5.*int"),
        ([("cut_stage", {"stage": "stage3", "ratio": None})], "ratio=None"),
        ([("cut_stage", {"stage": 3, "ratio": 0.5})], "stage=3.*str"),
        ([("prune_and_train", {"sparsity": -0.1})], "sparsity=-0.1"),
        ([("take_student", {"model": "resnet9"})], "model='resnet9'.*did you mean"),
        ([("train_quantized", {"n_bits": 4, "taught": "no"})], "taught='no'.*bool"),
        ([("quantize", {"n_bits": 8}), ("train", {})], "quantizing has to be the last"),
    ],
)
def test_what_cannot_be_followed_is_refused_before_anything_runs(recipe, message):
    with pytest.raises(InputError, match=message):
        compress([("train", {}), *recipe], setting=None)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ([("train", {}), ("cut_stage", CUT[1] | {"stage": "stgae3"})], "did you mean 'stage3'"),
        (
            [("train", {}), ("take_student", {"model": "resnet20"})],
            "found by the name of a Dataset",
        ),
    ],
)
def test_what_does_not_fit_the_setting_is_refused_before_anything_runs(recipe, message, setting):
    # the data has nothing to train with: whoever begins to train fails otherwise
    bare = replace(setting, teacher=Remembering(setting.teacher).eval(), data=[])
    with pytest.raises(InputError, match=message):
        compress(recipe, bare)


@pytest.mark.parametrize("kind", ["split", "loader"])
def test_recipes_work_on_ones_own_model_and_images(kind):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, stride=2),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2),
    ).eval()  # fmt: skip
    split = Split.from_arrays(torch.randint(256, (24, 3, 12, 20)).byte(), torch.arange(24) % 2)
    data = split if kind == "split" else list(batches(split, 8))
    setting = Setting(net, data, epochs=1, lr=0.01, seed=0)
    assert setting.example.shape == (1, 3, 12, 20) and len(setting.calibration) == 24
    recipe = [
        ("cut_channels", {"macs": 0.5, "round_to": 4}),
        ("distil", {}),
        ("quantize", {"n_bits": 8}),
    ]
    made = compress(recipe, setting).model
    assert len(quantized_layers(made)) == 3 and made(setting.calibration).shape == (24, 2)
    assert count_params(made) < 0.7 * count_params(net)


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
