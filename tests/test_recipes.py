"""Recipes: what is refused, what is shared, and that each step does what its name says."""

import copy
import inspect
from dataclasses import replace

import pytest
import torch
from torch import nn

from tutorial_utils.data import Split, batches, loading
from tutorial_utils.distillation import Remembering
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import count_macs, count_params, pareto_front, size_bytes
from tutorial_utils.measuring.counts import stored_weights
from tutorial_utils.models import load_baseline
from tutorial_utils.pruning import sparsity_of
from tutorial_utils.quantization import quantized_layers
from tutorial_utils.recipes import (
    ORDERS,
    STEPS,
    TABLES,
    Setting,
    check_recipe,
    compress,
    describe,
    training_epochs,
    without_training,
)

CUT = ("cut_stage", {"stage": "stage3", "ratio": 0.5})
TRAIN = {"epochs": 1, "lr": 0.05}
HALF = {"macs": 0.5, "scope": "global", "round_to": 8}
COMPARED = {**TABLES, "orders": ORDERS}


@pytest.fixture(scope="module")
def setting():
    data = loading.load("digits", n_train=256)
    return Setting(load_baseline("resnet8", data), data, seed=0)


def weights(made):
    return torch.cat([value.float().flatten() for value in made.model.state_dict().values()])


@pytest.mark.parametrize(
    "recipe", [recipe for arms in COMPARED.values() for recipe in arms.values()], ids=describe
)
def test_the_recipes_of_the_book_can_be_followed(recipe):
    check_recipe(recipe)
    check_recipe(without_training(recipe))


@pytest.mark.parametrize("arms", COMPARED.values(), ids=COMPARED)
def test_what_is_compared_and_trained_is_trained_for_equally_long_and_at_one_rate(arms):
    epochs = {name: training_epochs(recipe) for name, recipe in arms.items()}
    assert len({round(value, 9) for value in epochs.values() if value}) == 1, epochs
    for kind in ({"train", "distil"}, {"train_quantized"}):  # rounding may need a smaller rate
        steps = [step for recipe in arms.values() for step in recipe]
        assert len({options["lr"] for name, options in steps if name in kind}) <= 1


@pytest.mark.parametrize("step", STEPS)
def test_a_step_hides_no_option(step):
    options = list(inspect.signature(STEPS[step]).parameters.values())[2:]
    assert all(option.default is inspect.Parameter.empty for option in options)


def test_no_name_means_two_recipes():
    names = [name for arms in COMPARED.values() for name in arms]
    assert len(names) == len(set(names))


@pytest.mark.slow
def test_without_training_a_recipe_makes_the_same_shape_and_bits(setting):
    recipe = [
        CUT,
        ("distil", TRAIN),
        ("train_quantized", {"n_bits": 4, "taught": True, **TRAIN}),
    ]
    quick = without_training(recipe)
    assert training_epochs(recipe) == 2 and training_epochs(quick) == 0
    made = [compress(steps, setting).model for steps in (recipe, quick)]
    shapes = [sorted(weight.shape for weight in stored_weights(model)) for model in made]
    assert shapes[0] == shapes[1]
    assert size_bytes(made[0]) == pytest.approx(size_bytes(made[1]), rel=0.02)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ([("distill", {})], "did you mean 'distil'"),
        ([("fly", {})], "expected one of cut_channels"),
        ([("distil", TRAIN | {"share": 3})], "unexpected.*share.*options are.*epochs"),
        ([("distil", {"epochs": 3})], "step 'distil': missing.*lr"),
        ([("quantize", {})], "step 'quantize': missing.*n_bits.*options are.*n_bits"),
        ([("quantize", {"n_bits": 9})], "step 'quantize': n_bits.*9"),
        ([("quantize", {"n_bits": "8"})], "n_bits.*'8'"),
        ([("train", {"epochs": 0, "lr": 0.1})], "step 'train': epochs=0"),
        ([("train", {"epochs": 1, "lr": None})], "step 'train': lr=None"),
        ([("cut_channels", HALF | {"macs": 1})], "macs=1: expected a fraction"),
        ([("cut_channels", HALF | {"round_to": 1.5})], "round_to=1.5.*int"),
        ([("cut_channels", HALF | {"scope": "network"})], "scope='network'"),
        ([("cut_stage", {"stage": "stage3", "ratio": None})], "ratio=None"),
        ([("cut_stage", {"stage": 3, "ratio": 0.5})], "stage=3.*str"),
        ([("prune_weights", {"sparsity": -0.1, "scope": "layer"})], "sparsity=-0.1"),
        ([("take_student", {"model": "resnet9"})], "model='resnet9'.*did you mean"),
        ([("train_quantized", {"n_bits": 4, "taught": "no", **TRAIN})], "taught='no'.*bool"),
        ([("quantize_best", {"n_bits": 4}), ("train", TRAIN)], "quantizing has to be the last"),
        ([("quantize", {"n_bits": 8}), ("train", TRAIN)], "quantizing has to be the last"),
    ],
)
def test_what_cannot_be_followed_is_refused_before_anything_runs(recipe, message):
    with pytest.raises(InputError, match=message):
        compress([("train", TRAIN), *recipe], setting=None)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ([("train", TRAIN), ("cut_stage", CUT[1] | {"stage": "stgae3"})], "did you mean 'stage3'"),
        (
            [("train", TRAIN), ("take_student", {"model": "resnet20"})],
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
    setting = Setting(net, data, seed=0)
    assert setting.example.shape == (1, 3, 12, 20) and len(setting.calibration) == 24
    recipe = [
        ("cut_channels", {"macs": 0.5, "scope": "layer", "round_to": 4}),
        ("distil", {"epochs": 1, "lr": 0.01}),
        ("quantize", {"n_bits": 8}),
    ]
    made = compress(recipe, setting).model
    assert len(quantized_layers(made)) == 3 and made(setting.calibration).shape == (24, 2)
    assert count_params(made) < 0.7 * count_params(net)


def test_recipes_that_begin_alike_share_and_get_what_they_would_alone(setting):
    before = copy.deepcopy(setting.teacher.state_dict())
    recipe = [CUT, ("distil", TRAIN), ("train", TRAIN | {"epochs": 0.5})]
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
    made = compress(
        [("prune_weights", {"sparsity": 0.8, "scope": "global"}), ("distil", TRAIN)], setting
    )
    assert sparsity_of(made.model) == pytest.approx(0.8, abs=1e-3)


def test_cuts_do_what_they_say(setting):
    example = torch.zeros(1, 3, 32, 32)
    half = compress([("cut_channels", HALF)], setting).model
    assert count_macs(half, example) <= 0.5 * count_macs(setting.teacher, example)
    narrow = compress([CUT], setting).model
    assert narrow.fc.in_features == 32 and narrow.stage2[0].conv2.out_channels == 32


@pytest.mark.parametrize(
    "step",
    [
        ("quantize", {"n_bits": 4}),
        ("quantize_best", {"n_bits": 4}),
        ("train_quantized", {"n_bits": 4, "taught": False, **TRAIN}),
    ],
    ids=["after training", "after training, with care", "while training"],
)
@pytest.mark.slow
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
