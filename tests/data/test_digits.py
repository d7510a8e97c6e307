"""Scene digits: disjoint sources, balance, determinism, the cache."""

import hashlib
import os
import subprocess
import sys

import pytest
import torch
from sklearn.datasets import load_digits

from tutorial_utils.data import digits
from tutorial_utils.storage import write_tensors

SMALL = {"train": 40, "val": 20, "test": 20}


def sha256_of(scenes) -> str:
    tensors = [tensor for part in scenes.values() for tensor in part]
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in tensors)).hexdigest()


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_UTILS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "digits.safetensors"


@pytest.fixture
def small(own_cache, monkeypatch):
    """Counts how often scenes are generated, few at a time."""
    calls = []

    def make(sizes=SMALL, make_scenes=digits.make_scenes):
        calls.append(sizes)
        return make_scenes(sizes)

    monkeypatch.setattr(digits, "make_scenes", make)
    return calls


def test_splits_share_no_source_digit_and_use_every_one():
    labels = torch.from_numpy(load_digits().target)
    parts = digits.split_sources(labels)
    used = {part: set(torch.cat(by_class).tolist()) for part, by_class in parts.items()}
    assert sum(map(len, used.values())) == len(set.union(*used.values())) == 1797
    for by_class in parts.values():
        for c, indices in enumerate(by_class):
            assert (labels[indices] == c).all()
    assert min(len(indices) for indices in parts["val"]) >= 16


def test_every_source_digit_is_unique():
    # A copy of a digit in another split would make them overlap after all.
    pixels = load_digits().data
    assert len({row.tobytes() for row in pixels}) == len(pixels)


def test_pick_only_takes_digits_of_the_split_and_class():
    by_class = [torch.tensor([3, 5]), torch.tensor([8]), torch.tensor([1, 2, 9])]
    labels = torch.arange(3).repeat(200)
    picked = digits.pick(by_class, labels, torch.Generator().manual_seed(0))
    for c, allowed in enumerate(by_class):
        assert set(picked[labels == c].tolist()) == set(allowed.tolist())


def test_full_size_types_and_balance():
    scenes = digits.load_scenes()
    assert {part: len(labels) for part, (_, labels, _) in scenes.items()} == digits.SIZES
    source_labels = torch.from_numpy(load_digits().target)
    may_use = digits.split_sources(source_labels)
    for part, (images, labels, sources) in scenes.items():
        assert torch.equal(source_labels[sources], labels)
        assert set(sources.tolist()) <= set(torch.cat(may_use[part]).tolist())
        assert len(sources.unique()) > 0.98 * sum(map(len, may_use[part]))
        assert images.shape[1:] == (3, 32, 32) and images.dtype == torch.uint8
        assert labels.dtype == torch.int64
        assert labels.bincount().tolist() == [len(labels) // 10] * 10
        assert labels[:50].bincount().tolist() == [5] * 10


def test_constants_are_those_of_the_training_scenes():
    pixels = digits.load_scenes()["train"][0].transpose(0, 1).flatten(1).double() / 255
    torch.testing.assert_close(
        pixels.mean(1), torch.tensor(digits.MEAN).double(), atol=5e-4, rtol=0
    )
    torch.testing.assert_close(pixels.std(1), torch.tensor(digits.STD).double(), atol=5e-4, rtol=0)


@pytest.mark.slow
def test_same_scenes_in_another_process_with_another_number_of_threads():
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from test_digits import SMALL, digits, sha256_of\n"
        "torch.manual_seed(5)\n"
        "print(sha256_of(digits.make_scenes(SMALL)))"
    )
    env = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    torch.set_num_threads(threads := torch.get_num_threads())
    torch.set_num_threads(2)
    try:
        assert other.stdout.strip() == sha256_of(digits.make_scenes(SMALL)), other.stderr
    finally:
        torch.set_num_threads(threads)


def test_a_split_does_not_depend_on_the_size_of_another():
    alone = digits.make_scenes({"val": 20})["val"][0]
    assert torch.equal(alone, digits.make_scenes(SMALL)["val"][0])


def test_splits_differ_in_their_backgrounds_too():
    val, test = (part[0].float() for part in digits.make_scenes({"val": 20, "test": 20}).values())
    assert (val - test).abs().median() > 10


def test_paper_and_ink_differ_enough():
    paper, ink = digits.draw_colours(500, torch.Generator().manual_seed(0))
    distance = (paper - ink).flatten(1).norm(dim=1)
    assert distance.min() >= digits.CONTRAST
    assert ((paper >= 0) & (paper <= 1) & (ink >= 0) & (ink <= 1)).all()


def test_placed_digit_keeps_its_size_and_stays_inside():
    square = torch.zeros(300, 1, 50, 50, dtype=torch.float64)
    square[:, :, 5:45, 5:45] = 1  # the part of the source that a digit takes
    drawn = digits.place_strokes(square, torch.Generator().manual_seed(0), spread=1)
    area = drawn.sum(dim=(1, 2, 3)) / 32**2
    # A square of 60 to 95 % of the side; turning and shearing keep the area, corners may be cut.
    assert 0.355 < area.min() < 0.40 and 0.80 < area.max() < 0.9025 + 1e-6


def test_second_load_reads_the_cache(small):
    first, second = digits.load_scenes(), digits.load_scenes()
    assert len(small) == 1 and sha256_of(first) == sha256_of(second)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other version"])
def test_damaged_cache_is_made_anew(small, own_cache, damage, monkeypatch):
    good = sha256_of(digits.load_scenes())
    content = bytearray(own_cache.read_bytes())
    if damage == "cut":
        own_cache.write_bytes(content[:-1])
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        own_cache.write_bytes(content)
    elif damage == "empty":
        own_cache.write_bytes(b"")
    else:
        write_tensors(own_cache, {"train images": torch.zeros(1)}, made_from="another module")
    assert sha256_of(digits.load_scenes()) == good
    assert len(small) == 2
    assert [path.name for path in own_cache.parent.iterdir()] == ["digits.safetensors"]


def test_interrupted_write_leaves_nothing(small, own_cache, monkeypatch):
    def interrupt(*_names):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        digits.load_scenes()
    assert list(own_cache.parent.iterdir()) == []
