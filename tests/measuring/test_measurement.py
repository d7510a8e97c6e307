"""Counts against hand counts, intervals against the formula, a table against what went into it."""

import copy
import dataclasses
import zlib

import pytest
import torch
from torch import nn

from tutorial_utils import legacy
from tutorial_utils.data import Split, batches
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import (
    clustered,
    comparison_table,
    counts,
    measurement,
    statistics,
)
from tutorial_utils.pruning import apply_masks_, make_masks
from tutorial_utils.quantization import quantize_ptq
from tutorial_utils.storage import write_tensors


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 32 * 32, 5)).eval()


@pytest.fixture
def split() -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (70, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(70) % 5, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.mark.parametrize("n_correct,n", [(0, 10), (10, 10), (7, 9), (4750, 5000)])
def test_wilson_interval_is_the_formula(n_correct, n):
    z, p = 1.959963984540054, n_correct / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5 / (1 + z**2 / n)
    low, high = statistics.wilson_interval(n_correct, n)
    assert low == pytest.approx(max(0, middle - half), abs=1e-12)
    assert high == pytest.approx(min(1, middle + half), abs=1e-12)


@pytest.mark.parametrize("n_correct,n", [(1, 0), (-1, 5), (6, 5)])
def test_wilson_interval_refuses_impossible_counts(n_correct, n):
    with pytest.raises(InputError, match=f"{n_correct} correct out of {n}"):
        statistics.wilson_interval(n_correct, n)


class Scaled(nn.Module):
    """A parameter and a weight with the names of what quantization keeps, and buffers."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(7))
        self.scale_1 = nn.Linear(3, 2)
        self.register_buffer("weight", torch.ones(100))
        self.register_buffer("mask", torch.ones(2, 3, dtype=torch.int8))

    def forward(self, inputs):
        return self.scale_1(inputs)


class Tied(nn.Module):
    """A small language model whose embedding is its head, once more as another view of it."""

    def __init__(self, head):
        super().__init__()
        self.embedding, self.head = nn.Embedding(50, 8), nn.Linear(8, 50, bias=False)
        if head == "module":
            self.head = self.embedding
        if head == "parameter":
            self.head.weight = self.embedding.weight
        if head == "storage":
            self.head.weight = nn.Parameter(self.embedding.weight.data)


def test_weights_are_the_parameters(net):
    assert counts.count_params(net) == 3 * 4 * 9 + 4 + 4 + 4096 * 5 + 5
    assert counts.count_params(net) == sum(p.numel() for p in net.parameters())


def test_names_decide_nothing_and_buffers_are_no_weights():
    assert counts.count_params(Scaled()) == counts.count_nonzero(Scaled()) == 7 + 3 * 2 + 2


@pytest.mark.parametrize("head", ["module", "parameter", "storage"])
def test_tied_weights_count_once(head):
    tied = Tied(head)
    assert counts.count_params(tied) == counts.count_nonzero(tied) == 50 * 8
    assert counts.count_params(Tied("own")) == 2 * 50 * 8
    assert counts.size_bytes(tied) < counts.size_bytes(Tied("own")) - 4 * 50 * 8 + 100


def test_weights_on_no_device_are_counted(net):
    assert counts.count_params(copy.deepcopy(net).to("meta")) == counts.count_params(net)


@pytest.mark.parametrize("way", ["PT2E", "PT2E, head in float", "eager"])
def test_an_int8_model_has_the_weights_of_the_folded_float_model(net, way):
    calibration = torch.randn(8, 3, 32, 32)
    if way == "eager":
        quantized = legacy.quantize_ptq(net, calibration)
    else:
        quantized = quantize_ptq(net, calibration, skip=["4"] if "head" in way else ())
    batch_norm, folded_bias = 4 + 4, 4
    assert counts.count_params(quantized) == counts.count_params(net) - batch_norm + folded_bias
    dtypes = [weight.dtype for weight in counts.stored_weights(quantized)]
    assert dtypes.count(torch.int8) == (1 if "head" in way else 2)


def test_zeros_of_an_int8_model_are_counted(net):
    with torch.no_grad():
        net[4].weight[:, :1000].zero_()
    for quantized in (
        quantize_ptq(net, torch.randn(8, 3, 32, 32)),
        legacy.quantize_ptq(net, torch.randn(8, 3, 32, 32)),
    ):
        n_params, n_nonzero = counts.count_params(quantized), counts.count_nonzero(quantized)
        # besides the 5,000, those that were rounded to 0: about one in 256
        assert 5_000 <= n_params - n_nonzero < 5_000 + 0.02 * n_params


def test_weights_that_masks_removed_count_but_not_as_non_zero(net):
    masks = make_masks(net, 0.5)
    before = counts.count_params(net)
    apply_masks_(net, masks)
    removed = sum(int((mask == 0).sum()) for mask in masks.values())
    assert counts.count_params(net) == before
    assert counts.count_nonzero(net) == before - removed - 4  # biases of a new batch norm are 0


def test_nonzero_weights_are_counted(net):
    with torch.no_grad():
        net[0].weight.fill_(1.0)[0].zero_()
        net[4].weight.fill_(0.5)
    # the bias of a batch norm starts at zero
    assert counts.count_nonzero(net) == 27 * 3 + 4 + 0 + 4096 * 5 + int(net[4].bias.count_nonzero())


def test_size_is_that_of_the_file(net, tmp_path):
    write_tensors(tmp_path / "model.safetensors", net.state_dict())
    content = (tmp_path / "model.safetensors").read_bytes()
    assert counts.size_bytes(net) == len(content)
    assert counts.compressed_bytes(net) == len(zlib.compress(content, 9))
    older = legacy.quantize_ptq(net, torch.randn(8, 3, 32, 32))  # its state is more than tensors
    torch.save(older.state_dict(), tmp_path / "model.pt")
    on_disk = (tmp_path / "model.pt").stat().st_size
    assert abs(counts.size_bytes(older) - on_disk) < 500  # the file's name is stored inside it


def test_zeros_save_nothing_until_compressed(net):
    zeros = copy.deepcopy(net)
    nn.init.zeros_(zeros[4].weight)
    assert counts.size_bytes(zeros) == counts.size_bytes(net)
    assert counts.compressed_bytes(zeros) < 0.2 * counts.compressed_bytes(net)


@pytest.mark.parametrize("groups,stride", [(1, 1), (1, 2), (4, 1)])
def test_macs_of_a_convolution_by_hand(groups, stride):
    conv = nn.Conv2d(8, 12, 3, stride=stride, padding=1, groups=groups)
    side = 16 // stride
    by_hand = 8 // groups * 9 * 12 * side * side
    assert counts.count_macs(conv, torch.zeros(1, 8, 16, 16)) == by_hand
    assert counts.count_macs(conv, torch.zeros(3, 8, 16, 16)) == 3 * by_hand


def test_layers_add_up_to_the_model(net):
    example = torch.zeros(1, 3, 32, 32)
    weights, macs = counts.count_by_layer(net, example)
    assert weights == {"0": 108, "4": 20480}
    assert macs == {"0": 108 * 32 * 32, "4": 20480}
    assert sum(macs.values()) == counts.count_macs(net, example)


def test_a_measurement_holds_what_a_plain_loop_finds(net, split):
    with torch.no_grad():
        inputs = (split.images.float() / 255 - 0.5) / 0.25
        accuracy = (net(inputs).argmax(1) == split.labels).float().mean().item()
    row = measurement.measure("net", net, split)
    assert row.accuracy == pytest.approx(accuracy, abs=1.5 / 70)
    low, high = row.accuracy_interval
    assert low < row.accuracy < high
    assert set(row.latency) == {1, 64}
    assert all(latency.median_ms > 0 and latency.iqr_ms >= 0 for latency in row.latency.values())
    assert row.machine["threads"] == str(torch.get_num_threads())


class Compiled:
    """What `deploying.CompiledModel` looks like; always answers with class 0."""

    compile_s = 1.5

    def __init__(self, model):
        self.model, self.sizes = model, []

    def __call__(self, inputs):
        self.sizes.append(len(inputs))
        return torch.eye(5)[torch.zeros(len(inputs), dtype=torch.long)]


def test_a_compiled_model_is_run_and_what_it_was_made_from_is_counted(net, split):
    compiled = Compiled(net)
    row = measurement.measure("net", compiled, split, batch_sizes=(2, 8))
    assert row.accuracy == 14 / 70 and row.compile_s == 1.5
    assert compiled.sizes.count(2) > 3 and compiled.sizes.count(8) > 3
    assert row.n_params == counts.count_params(net) and row.macs == 108 * 32 * 32 + 20480


def test_a_module_that_has_a_model_inside_is_measured_as_a_whole(net, split):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.model, self.bias = net, nn.Parameter(torch.zeros(5))

        def forward(self, inputs):
            return self.model(inputs) + self.bias

    row = measurement.measure("wrapped", Wrapped(), split, batch_sizes=(1,))
    assert row.n_params == counts.count_params(net) + 5 and row.compile_s is None


def test_a_callable_that_cannot_be_counted_is_refused_before_anything_is_measured(net, split):
    called = []
    models = {"net": net, "function": lambda inputs: called.append(1)}
    net.register_forward_hook(lambda *_: called.append(1))
    with pytest.raises(InputError, match="'function'.*expected modules"):
        measurement.measure_in_turns(models, split, batch_sizes=(1,))
    assert not called


def test_a_model_in_training_mode_is_measured_as_in_eval_mode_and_not_changed(net, split):
    net[1].running_var.mul_(7)
    row = measurement.measure("net", net, split, batch_sizes=(1, 8))
    net.train()[4].eval()
    before = copy.deepcopy(net.state_dict())
    again = measurement.measure("net", net, split, batch_sizes=(1, 8))
    assert again.accuracy == row.accuracy and again.macs == row.macs
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == [True] * 5 + [False]


@pytest.mark.parametrize("count", [counts.count_macs, counts.count_by_layer])
def test_counting_changes_no_model_in_training_mode(net, count):
    example = torch.randn(1, 3, 32, 32)
    expected = count(net, example)
    net.train()[4].eval()
    before = copy.deepcopy(net.state_dict())
    assert count(net, example) == expected
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == [True] * 5 + [False]


def test_batch_norm_of_one_value_can_be_counted_in_training_mode():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).train()  # refuses a batch of one
    assert counts.count_macs(model, torch.zeros(1, 3)) == 6


def test_a_loader_is_measured_as_the_split_is(net, split):
    class Loader:  # without len(), as of an endless or streamed data set
        def __iter__(self):
            return batches(split, 16)

    by_split = measurement.measure("net", net, split, batch_sizes=(1, 40))
    by_loader = measurement.measure("net", net, Loader(), batch_sizes=(1, 40))
    assert by_loader.accuracy == by_split.accuracy and by_loader.macs == by_split.macs
    assert set(by_loader.latency) == {1, 40}


def test_what_gives_its_batches_once_cannot_be_measured(net, split):
    with pytest.raises(InputError, match="only once"):
        measurement.measure("net", net, batches(split, 16))


def test_measure_refuses_a_split_that_cannot_fill_a_batch(net, split):
    with pytest.raises(InputError, match="70 images cannot fill a batch of 128"):
        measurement.measure("net", net, split, batch_sizes=(1, 128))


def test_without_batch_sizes_nothing_is_timed(net, split):
    row = measurement.measure("net", net, split, batch_sizes=())
    assert row.latency == {}
    assert row.accuracy == measurement.measure("net", net, split, batch_sizes=(1,)).accuracy


def test_models_in_turns_are_measured_as_one_by_one(net, split):
    models = {"net": net, "other": Compiled(net)}
    rows = measurement.measure_in_turns(models, split, batch_sizes=(1, 8))
    for name, row in rows.items():
        alone = measurement.measure(name, models[name], split, batch_sizes=(1, 8))
        assert row.accuracy == alone.accuracy and row.size_bytes == alone.size_bytes
        assert row.name == name and set(row.latency) == {1, 8}
        assert row.compile_s == alone.compile_s


def test_differences_are_those_of_the_paired_t_test():
    a, b = [0.91, 0.87, 0.93, 0.90], [0.88, 0.86, 0.87, 0.91]
    n, differences = len(a), [x - y for x, y in zip(a, b, strict=True)]
    mean = sum(differences) / n
    error = (sum((d - mean) ** 2 for d in differences) / (n - 1) / n) ** 0.5
    half = 3.182446305284263 * error  # t of 97.5 % with three degrees of freedom, from a table
    assert statistics.paired_difference(a, b) == pytest.approx((mean, mean - half, mean + half))


@pytest.mark.parametrize("a", [[0.5, 0.7, 0.9], [0.5, 0.5, 0.5]])
@pytest.mark.parametrize("by", [0.1, 0.0, -0.1])
def test_differences_that_are_all_alike_have_no_width(a, by):
    found = statistics.paired_difference([value + by for value in a], a)
    assert found == pytest.approx((by, by, by)) and found.low == found.mean == found.high


def test_points_have_the_interval_of_the_pairs(net, split):
    split = dataclasses.replace(split, source=torch.arange(70) // 7)
    rows = measurement.measure_in_turns(
        {"net": net, "zero": Compiled(net)}, split, batch_sizes=(1,)
    )
    first, second = rows.values()
    assert first.correct.shape == (70,) and first.source is split.source
    assert first.accuracy == first.correct.double().mean()
    found = clustered.paired_accuracy(second.correct, first.correct, split.source)
    cell = f"({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    assert cell in comparison_table([first, second]).splitlines()[3]
    assert first.accuracy_interval == clustered.accuracy_interval(first.correct, split.source)
