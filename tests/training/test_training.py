"""Fitting and evaluating, against loops written out and against torch's own schedule."""

import copy
import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from tutorial_utils.data import Split, batches, load, to_inputs
from tutorial_utils.distillation import kd_loss
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import count_macs, measure_in_turns, prediction, time_in_turns
from tutorial_utils.models import check_baseline, resnet
from tutorial_utils.training import baselines, fitting


@pytest.fixture(scope="module")
def data():
    return load("digits", n_train=256)


def small_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return resnet.resnet8(width=4)


def fit(model, data, **options):
    return fitting.fit(model, data, **{"epochs": 2, "batch_size": 64, "show": False} | options)


def test_learning_rate_by_hand():
    # 100 steps: 5 up, then 95 down; half-way down the cosine is 0.
    rates = [fitting.learning_rate(step, 100, 0.4) for step in range(100)]
    assert rates[:6] == pytest.approx([0.08, 0.16, 0.24, 0.32, 0.4, 0.4])
    assert fitting.learning_rate(5 + 95 / 2, 100, 0.4) == pytest.approx(0.2)
    assert rates[99] == pytest.approx(0.2 * (1 + math.cos(math.pi * 94 / 95)))
    assert rates == sorted(rates[:5]) + sorted(rates[5:], reverse=True)


def test_learning_rate_after_warm_up_is_the_cosine_of_torch():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=57)
    for step in range(3, 60):
        assert fitting.learning_rate(step, 60, 0.3) == pytest.approx(cosine.get_last_lr()[0])
        optimizer.step()
        cosine.step()


def test_one_step_is_that_of_an_sgd_written_out(data):
    data = replace(data, train=data.train[:64])
    model, by_hand = small_model(), small_model()
    fit(model, data, epochs=1, lr=0.05, weight_decay=0.01, augmented=False)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    batch = data.train[order]
    by_hand.to(memory_format=torch.channels_last).train()
    nn.functional.cross_entropy(by_hand(to_inputs(batch)), batch.labels).backward()
    for weight, expected in zip(model.parameters(), by_hand.parameters(), strict=True):
        gradient = expected.grad + 0.01 * expected
        # The first step of Nesterov momentum 0.9 goes (1 + 0.9) times the gradient.
        torch.testing.assert_close(weight, expected - 0.05 * 1.9 * gradient)


def test_same_seed_same_weights(data):
    first, again, other = small_model(), small_model(), small_model()
    histories = [fit(first, data), fit(again, data), fit(other, data, seed=1)]
    assert histories[0] == histories[1] != histories[2]
    for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_fit_leaves_the_global_generator_alone(data):
    torch.manual_seed(3)
    expected = torch.rand(1)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(3072, 10))
    torch.manual_seed(3)
    fit(model, data)
    assert torch.equal(torch.rand(1), expected)


def test_dropout_follows_the_seed(data):
    def dropout_model():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(3072, 10))

    histories = []
    for global_seed in (1, 2):
        model = dropout_model()
        torch.manual_seed(global_seed)
        histories.append(fit(model, data, lr=0.01))
    assert histories[0] == histories[1]


def test_fit_overfits_a_small_batch(data):
    few = replace(data, train=data.train[:32])
    model = resnet.resnet8()
    history = fit(model, few, epochs=40, batch_size=32, augmented=False)
    assert len(history) == 40 and [row["epoch"] for row in history] == list(range(1, 41))
    assert history[-1]["accuracy"] == 1 and history[-1]["loss"] < 0.1 < history[0]["loss"]
    assert prediction.evaluate(model, few.train) == 1


def test_bf16_learns_and_keeps_float_weights(data):
    few = replace(data, train=data.train[:32])
    model = resnet.resnet8()
    types = set()

    def loss(model, inputs, labels):
        logits = model(inputs)
        types.add(logits.dtype)
        return nn.functional.cross_entropy(logits, labels)

    history = fit(model, few, epochs=40, batch_size=32, augmented=False, bf16=True, loss=loss)
    assert history[-1]["accuracy"] == 1 and types == {torch.bfloat16}
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_modes_and_memory_format(data):
    model, modes = small_model().eval(), []
    fit(model, data, on_step=lambda _step, _n, model: modes.append(model.training))
    assert all(modes) and not model.training
    assert model.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert not model._forward_hooks


@pytest.mark.parametrize(("epochs", "n_steps"), [(2, 8), (0.5, 2), (1.25, 5), (0.01, 1)])
def test_steps_and_epochs(data, epochs, n_steps):
    calls = []
    history = fit(
        small_model(), data, epochs=epochs, on_step=lambda step, n, _model: calls.append((step, n))
    )
    assert calls == [(step, n_steps) for step in range(1, n_steps + 1)]
    assert len(history) == math.ceil(n_steps / 4)


def test_history_is_the_mean_over_the_batches(data):
    values = []

    def loss(model, inputs, labels):
        value = fitting.cross_entropy(model, inputs, labels)
        values.append(value.item())
        return value

    history = fit(small_model(), data, loss=loss)
    assert history[0]["loss"] == pytest.approx(sum(values[:4]) / 4)
    assert history[1]["loss"] == pytest.approx(sum(values[4:]) / 4)


def test_changes_made_in_on_step_stay(data):
    model = small_model()

    def prune(_step, _n_steps, model):
        with torch.no_grad():
            model.fc.weight[:, 0] = 0

    fit(model, data, on_step=prune)
    assert (model.fc.weight[:, 0] == 0).all()


def test_frozen_weights_stay(data):
    model = small_model()
    model.conv.weight.requires_grad_(False)
    before = model.conv.weight.clone()
    fit(model, data)
    assert torch.equal(model.conv.weight, before)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_bad_loss_stops_and_says_where(data, bad):
    model = small_model()
    values = iter([1.0, 1.0, bad])

    def loss(model, inputs, labels):
        return fitting.cross_entropy(model, inputs, labels) * next(values)

    with pytest.raises(FloatingPointError, match=f"{bad} at step 3 of 8.*learning rate"):
        fit(model, data, loss=loss)
    assert not model.training and not model._forward_hooks


@pytest.mark.parametrize(
    "option", [{"epochs": 0}, {"epochs": -1}, {"epochs": math.inf}, {"lr": 0}, {"batch_size": 0}]
)
def test_impossible_options_are_refused(data, option):
    ((name, value),) = option.items()
    with pytest.raises(InputError, match=f"{name}={value}"):
        fit(small_model(), data, **option)


def test_predict_and_evaluate_are_a_plain_loop(data):
    model = small_model()
    with torch.no_grad():
        model.eval()
        expected = torch.cat([model(to_inputs(data.val[i : i + 1])) for i in range(30)])
        model.train()
    logits = prediction.predict(model, data.val[:30], batch_size=7)
    torch.testing.assert_close(logits, expected)
    assert model.training  # as it was
    model.fc.eval()
    prediction.predict(model, data.val[:30])
    assert model.training and not model.fc.training
    n_correct = sum(
        int(row.argmax() == label) for row, label in zip(expected, data.val.labels, strict=False)
    )
    assert prediction.evaluate(model, data.val[:30]) == pytest.approx(n_correct / 30)


def test_predict_takes_a_callable_and_an_exported_graph(data):
    model = small_model().eval()
    expected = prediction.predict(model, data.val[:20])
    torch.testing.assert_close(prediction.predict(lambda x: model(x), data.val[:20]), expected)
    exported = torch.export.export(
        model,
        (to_inputs(data.val[:4]),),
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        strict=True,
    ).module()
    with pytest.raises(NotImplementedError):
        exported.eval()
    torch.testing.assert_close(prediction.predict(exported, data.val[:20]), expected)


@pytest.mark.slow
def test_fit_takes_an_exported_graph(data):
    exported = torch.export.export(
        small_model(),
        (to_inputs(data.val[:4]),),
        dynamic_shapes=({0: torch.export.Dim("n", min=2)},),
        strict=True,
    ).module()
    history = fit(exported, data, epochs=3)
    assert history[-1]["loss"] < history[0]["loss"]
    # In eval mode an image's logits do not depend on those beside it.
    both = prediction.predict(exported, data.val[:20])
    torch.testing.assert_close(prediction.predict(exported, data.val[:2]), both[:2])


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_a_split_is_fitted_as_the_data_set_that_it_is_of_without_augmentation(data):
    of_split, of_data = small_model(), small_model()
    histories = [fit(of_split, data.train), fit(of_data, data, augmented=False)]
    assert histories[0] == histories[1] and same_weights(of_split, of_data)


class Stream:
    """Batches that can be gone through again and have no length."""

    def __init__(self, batches):
        self.batches, self.n_times = batches, 0

    def __iter__(self):
        self.n_times += 1
        return iter(self.batches)


class Endless(torch.utils.data.IterableDataset):
    """Images one by one, for a DataLoader that has no length."""

    def __init__(self, split):
        self.split = split

    def __iter__(self):
        yield from zip(to_inputs(self.split), self.split.labels, strict=True)


def test_a_loader_is_gone_through_once_an_epoch(data):
    batches_of = list(batches(data.train[:60], 25))  # 25, 25 and 10: a loader's batches all count
    models, histories = [small_model() for _ in range(4)], []
    stream = Stream(batches_of)
    loader = torch.utils.data.DataLoader(Endless(data.train[:60]), batch_size=25)
    for model, source in zip(models, [batches_of, stream, loader, batches_of * 2], strict=True):
        steps = []
        histories.append(
            fit(model, source, on_step=lambda step, n, _, to=steps: to.append((step, n)))
        )
        n_steps = 12 if source is not stream and len(histories) == 4 else 6
        assert steps == [(step, n_steps) for step in range(1, n_steps + 1)]
    assert stream.n_times == 3  # once to count
    assert histories[0] == histories[1] and same_weights(models[0], models[1])
    assert [row["epoch"] for row in histories[0]] == [1, 2]
    assert histories[2] == [pytest.approx(row, rel=1e-3) for row in histories[0]]


def test_a_loader_that_shuffles_follows_the_seed(data):
    pairs = torch.utils.data.TensorDataset(to_inputs(data.train), data.train.labels)
    loader = torch.utils.data.DataLoader(pairs, batch_size=64, shuffle=True)
    histories = []
    for global_seed, seed in ((1, 0), (2, 0), (2, 1)):
        model = small_model()
        torch.manual_seed(global_seed)
        histories.append(fit(model, loader, seed=seed))
    assert histories[0] == histories[1] != histories[2]


@pytest.mark.parametrize("size", [(8, 8), (96, 40)])
def test_images_of_any_size_are_fitted_and_scored(size):
    images = torch.randint(256, (32, 3, *size), dtype=torch.uint8)
    split, model = Split.from_arrays(images, torch.arange(32) % 2), resnet.resnet8(2)
    history = fit(model, split, epochs=2, batch_size=16)
    assert len(history) == 2
    by_split = prediction.predict(model, split)
    by_loader = prediction.predict(model, list(batches(split, 12)))
    torch.testing.assert_close(by_loader, by_split)
    assert prediction.evaluate(model, list(batches(split, 12))) == prediction.evaluate(model, split)


def test_labels_are_read_from_the_batches_that_were_answered(data):
    pairs = torch.utils.data.TensorDataset(to_inputs(data.val[:64]), data.val.labels[:64])
    shuffled = torch.utils.data.DataLoader(pairs, batch_size=7, shuffle=True)
    model = small_model().eval()
    expected = prediction.evaluate(model, data.val[:64])
    assert prediction.evaluate(model, shuffled) == pytest.approx(expected)
    assert prediction.evaluate(model, iter(list(shuffled))) == pytest.approx(expected)  # one pass


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (iter([]), "list_iterator, which gives its batches only once"),
        ([], "no batch in a list"),
        ([torch.zeros(4, 3, 8, 8)], "expected .inputs, labels."),
        (3, "expected a Split"),
    ],
)
def test_data_of_another_kind_is_refused(source, message):
    model = small_model().eval()
    before = small_model()
    with pytest.raises(InputError, match=message):
        fit(model, source)
    assert same_weights(model, before) and not model.training


class Recording(nn.Module):
    """Notes each call of `to`, and where its inputs are; its own weights are nowhere."""

    def __init__(self, device="cpu"):
        super().__init__()
        self.fc = nn.Linear(3072, 10, device=device)
        self.moves, self.seen = [], set()

    def to(self, *args, **kwargs):
        self.moves.append((args, kwargs))
        return super().to(*args, **kwargs)

    def forward(self, inputs):
        self.seen.add(inputs.device.type)
        if self.fc.weight.is_meta:
            return torch.zeros(len(inputs), 10)
        return self.fc(inputs.flatten(1))


def test_inputs_go_to_the_model_and_the_model_stays(data):
    model = Recording("meta")
    assert prediction.predict(model, data.val[:20]).shape == (20, 10)
    prediction.evaluate(model, data.val[:20])
    count_macs(model, torch.zeros(1, 3, 32, 32))
    time_in_turns([model], torch.zeros(1, 3, 32, 32), n_rounds=2)
    assert model.seen == {"meta"} and model.moves == []
    model = Recording()
    fit(model, data, lr=0.01)
    assert model.seen == {"cpu"}
    assert model.moves == [((), {"memory_format": torch.channels_last})]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_model_on_a_gpu_is_fitted_scored_and_measured_there(data):
    model = small_model().cuda()
    teacher = small_model(1).cuda()
    fit(model, data, bf16=True)
    fit(model, list(batches(data.train, 64)), loss=kd_loss(teacher))
    assert {value.device.type for value in model.state_dict().values()} == {"cuda"}
    logits = prediction.predict(model, data.val[:100])
    assert logits.device.type == "cpu"
    on_cpu = copy.deepcopy(model).cpu()
    torch.testing.assert_close(
        logits, prediction.predict(on_cpu, data.val[:100]), atol=0.05, rtol=0
    )
    rows = measure_in_turns({"gpu": model, "cpu": on_cpu}, data.val[:100])
    assert rows["gpu"].macs == rows["cpu"].macs
    with pytest.raises(InputError, match="teacher is on cpu"):
        fit(model, data, loss=kd_loss(on_cpu))
    assert {value.device.type for value in on_cpu.state_dict().values()} == {"cpu"}


def test_train_baseline_is_found_by_load_baseline(data, tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_UTILS_CACHE", str(tmp_path))
    own = replace(data, key="folder-0123")
    path = baselines.train_baseline("resnet8", own, epochs=0.5, show=False)
    assert [file.name for file in path.parent.iterdir()] == ["resnet8-folder-0123.safetensors"]
    first = path.read_bytes()
    assert check_baseline("resnet8", own) == path
    baselines.train_baseline("resnet8", own, epochs=0.5, show=False)
    assert path.read_bytes() == first  # from a seed, to the bit


def test_shipped_baseline_is_not_trained_over(data):
    with pytest.raises(InputError, match="shipped"):
        baselines.train_baseline("resnet8", data, epochs=0.5, show=False)


def test_only_shipped_baselines_are_trained_again():
    with pytest.raises(InputError, match="did you mean 'mobilenet'"):
        baselines.train_shipped(["mobilenet2"])


@pytest.mark.parametrize(("name", "epochs"), [("resnet9", 1), ("resnet8", -1)])
def test_train_baseline_refuses_before_work(data, name, epochs, tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_UTILS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError):
        baselines.train_baseline(name, replace(data, key="folder-0123"), epochs=epochs, show=False)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("n_images", [25, 64])
@pytest.mark.slow
def test_narrow_networks_are_trained_without_corrupting_memory(n_images):
    """In a process of its own: torch 2.14 ends one that trains them in channels_last."""
    code = (
        "import sys, torch\n"
        "from tutorial_utils.models import resnet8\n"
        "from tutorial_utils.training import fit\n"
        "n = int(sys.argv[1])\n"
        "size = 32 if n % 2 else 96\n"
        "batch = (torch.randn(n, 3, size, size), torch.arange(n) % 10)\n"
        "model = resnet8(width=4).to(memory_format=torch.channels_last)\n"
        "print(len(fit(model, [batch] * 10, epochs=3, show=False)))"
    )
    command = [sys.executable, "-c", code, str(n_images)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == "3", done.stderr[-300:]
