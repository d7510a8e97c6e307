"""Counts against hand counts, intervals against the formula, a table against what went into it."""

import copy
import io
import zlib

import pytest
import torch
from torch import nn

from tutorial_utils.data import Split
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import Latency, counts, measurement, statistics


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


def test_weights_are_counted_without_batch_norm_statistics(net):
    assert counts.count_params(net) == 3 * 4 * 9 + 4 + 4 + 4096 * 5 + 5
    assert counts.count_params(net) == sum(p.numel() for p in net.parameters())


def test_nonzero_weights_are_counted(net):
    with torch.no_grad():
        net[0].weight.fill_(1.0)[0].zero_()
        net[4].weight.fill_(0.5)
    # the bias of a batch norm starts at zero
    assert counts.count_nonzero(net) == 27 * 3 + 4 + 0 + 4096 * 5 + int(net[4].bias.count_nonzero())


def test_size_is_that_of_the_file(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "model.pt")
    on_disk = (tmp_path / "model.pt").stat().st_size
    assert abs(counts.size_bytes(net) - on_disk) < 500  # the file's name is stored inside it
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    assert counts.compressed_bytes(net) == len(zlib.compress(buffer.getvalue(), 9))


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


def test_measure_times_and_scores_the_compiled_form(net, split):
    sizes = []

    def run(inputs):
        sizes.append(len(inputs))
        return torch.eye(5)[torch.zeros(len(inputs), dtype=torch.long)]  # always class 0

    row = measurement.measure("net", net, split, batch_sizes=(2, 8), run=run, compile_s=1.5)
    assert row.accuracy == 14 / 70 and row.compile_s == 1.5
    assert sizes.count(2) > 3 and sizes.count(8) > 3


def test_a_latency_that_is_known_is_not_measured_again(net, split):
    calls = []

    def run(inputs):
        calls.append(len(inputs))
        return net(inputs)

    known = {2: Latency(1.5, 0.5)}
    row = measurement.measure("net", net, split, batch_sizes=(35,), run=run, latency=known)
    assert row.latency == known and calls == [35, 35]


def test_measure_refuses_a_split_that_cannot_fill_a_batch(net, split):
    with pytest.raises(InputError, match="70 images cannot fill a batch of 128"):
        measurement.measure("net", net, split, batch_sizes=(1, 128))


def test_models_in_turns_are_measured_as_one_by_one(net, split):
    models = {"net": net, "other": copy.deepcopy(net)}
    runs = {"net": net, "other": lambda inputs: -net(inputs)}
    rows = measurement.measure_in_turns(models, split, batch_sizes=(1, 8), runs=runs)
    for name, row in rows.items():
        alone = measurement.measure(name, models[name], split, batch_sizes=(1, 8), run=runs[name])
        assert row.accuracy == alone.accuracy and row.size_bytes == alone.size_bytes
        assert row.name == name and set(row.latency) == {1, 8}
