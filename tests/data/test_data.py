"""Loading: splits, batches and augmentation against loops; every bad input is refused."""

import gzip
import hashlib
import http.server
import io
import math
import pickle
import shutil
import struct
import tarfile
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image
from torch.utils.data import DataLoader, TensorDataset
from torchvision import datasets

from tutorial_utils.data import (
    Split,
    augment,
    batches,
    downloads,
    first_inputs,
    input_batches,
    labelled_batches,
    load,
    splits,
    to_inputs,
)
from tutorial_utils.data import folder as folder_module
from tutorial_utils.errors import InputError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_UTILS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def refused(*args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        load(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def tiny_split(n: int = 10) -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(n) % 3, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


# --- one function, one type ---


@pytest.mark.slow
def test_digits():
    data = load()
    assert [len(part) for part in (data.train, data.val, data.test)] == [20_000, 2_500, 5_000]
    assert data.classes == tuple("0123456789") and data.key == data.name == "digits"
    assert not data.flip and data.recolour


def test_split_takes_slices_and_indices():
    split = tiny_split()
    assert torch.equal(split[2:4].images, split.images[2:4])
    picked = split[torch.tensor([7, 1])]
    assert torch.equal(picked.labels, split.labels[[7, 1]]) and picked.mean == split.mean


def test_n_train_is_balanced_and_nested_and_follows_the_seed():
    few, more = load(n_train=55).train, load(n_train=200).train
    assert sorted(few.labels.bincount().tolist()) == [5] * 5 + [6] * 5
    assert torch.equal(few.images, more[:55].images)
    assert torch.equal(few.images, load(n_train=55).train.images)
    assert not torch.equal(few.images, load(n_train=55, seed=1).train.images)


def test_splits_do_not_depend_on_the_seed():
    first, other = load(n_train=10), load(n_train=10, seed=7)
    assert torch.equal(first.val.images, other.val.images)
    assert torch.equal(first.test.images, other.test.images)


def test_to_inputs_by_hand():
    split = tiny_split(2)
    inputs = to_inputs(split)
    assert inputs.dtype == torch.float32
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    value = split.images[1, 2, 5, 7].item()
    assert inputs[1, 2, 5, 7].item() == pytest.approx((value / 255 - 0.3) / 0.3, abs=1e-6)


def test_training_inputs_are_standardised():
    inputs = to_inputs(load().train)
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3), atol=5e-3, rtol=0)
    torch.testing.assert_close(inputs.std((0, 2, 3)), torch.ones(3), atol=5e-3, rtol=0)


def test_channel_statistics_are_those_of_torch():
    images = tiny_split(6).images
    mean, std = splits.channel_statistics(images)
    pixels = images.transpose(0, 1).flatten(1).double() / 255
    assert mean == pytest.approx(pixels.mean(1).tolist())
    assert std == pytest.approx(pixels.std(1, correction=0).tolist())


def test_a_constant_channel_does_not_divide_by_zero():
    images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    assert to_inputs(Split(images, torch.zeros(4), *splits.channel_statistics(images))).sum() == 0


def test_batches_in_order():
    split = tiny_split()
    inputs, labels = zip(*batches(split, 4), strict=True)
    assert [len(part) for part in labels] == [4, 4, 2]
    assert torch.equal(torch.cat(inputs), to_inputs(split))
    assert torch.equal(torch.cat(labels), split.labels)


def test_shuffled_batches_hold_every_image_once():
    split, key = tiny_split(), torch.Generator().manual_seed(4)
    inputs, labels = zip(*batches(split, 4, generator=key), strict=True)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(4))
    assert torch.equal(torch.cat(inputs), to_inputs(split[order]))
    assert torch.equal(torch.cat(labels), split.labels[order])
    assert not torch.equal(order, torch.arange(10))


def test_augmented_images_are_shifted_mirrored_recoloured_originals():
    images = tiny_split(40).images
    out = augment(images, torch.Generator().manual_seed(0), flip=True, recolour=True)
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    seen = set()
    for image, changed in zip(padded, out, strict=True):
        found = set()
        for inverted in (False, True):
            original = 255 - changed if inverted else changed
            for top in range(9):
                for left in range(9):
                    window = image[:, top : top + 32, left : left + 32]
                    for flipped in (False, True):
                        candidate = window.flip(2) if flipped else window
                        for channels in [
                            (0, 1, 2),
                            (0, 2, 1),
                            (1, 0, 2),
                            (1, 2, 0),
                            (2, 0, 1),
                            (2, 1, 0),
                        ]:
                            if torch.equal(candidate[list(channels)], original):
                                found.add((inverted, top, left, flipped, channels))
        assert len(found) == 1
        seen |= found
    inverted, top, left, flipped, channels = (set(values) for values in zip(*seen, strict=True))
    assert inverted == flipped == {False, True} and len(channels) == 6
    assert {0, 8} <= top and {0, 8} <= left


def test_augment_only_shifts_by_default():
    grey = torch.arange(32, dtype=torch.uint8).expand(50, 3, 32, 32) + 100
    out = augment(grey, torch.Generator().manual_seed(0), flip=False)
    middle = out[:, :, 10:20, 4:28].int()
    assert (middle.diff(dim=3) == 1).all()  # neither mirrored nor inverted
    assert len(middle[:, 0, 0, 0].unique()) > 1  # but shifted
    assert torch.equal(grey[0, 0, 0], torch.arange(32, dtype=torch.uint8) + 100)  # left as it was


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"name": "cifar"}, ["dataset='cifar'", "did you mean 'cifar10'"]),
        ({"name": "mnist"}, ["did you mean 'fashion_mnist'"]),
        ({"name": "zzz"}, ["dataset='zzz'", "cifar10, digits, fashion_mnist, folder"]),
        ({"name": None}, ["dataset=None"]),
        ({"n_train": 9}, ["n_train=9", "10", "20000"]),
        ({"n_train": 20_001}, ["n_train=20001", "20000"]),
        ({"n_train": -1}, ["n_train=-1"]),
        ({"n_train": 10.5}, ["n_train=10.5", "integer"]),
        ({"n_train": True}, ["n_train=True"]),
        ({"seed": -1}, ["seed=-1"]),
        ({"seed": 2**32}, ["seed=4294967296"]),
        ({"seed": 0.5}, ["seed=0.5"]),
        ({"data_dir": "/somewhere"}, ["data_dir='/somewhere'", "dataset='folder'"]),
        ({"image_size": 32}, ["image_size=32", "dataset='folder'"]),
        ({"name": "cifar10", "image_size": 64}, ["image_size=64", "'cifar10'"]),
        ({"name": "folder", "data_dir": ".", "image_size": 0}, ["image_size=0", "above 0"]),
        ({"name": "folder", "data_dir": ".", "image_size": 48.0}, ["image_size=48.0"]),
        ({"name": "folder", "data_dir": ".", "image_size": True}, ["image_size=True"]),
        ({"name": "folder"}, ["data_dir"]),
        ({"name": "folder", "data_dir": ""}, ["data_dir"]),
        ({"name": "folder", "data_dir": "/no/such"}, ["data_dir='/no/such'", "no such folder"]),
    ],
)
def test_bad_arguments_are_refused(kwargs, words):
    message = refused(**kwargs)
    assert all(word in message for word in words), message


# --- images of one's own, of any size ---


@pytest.mark.parametrize("size", [(8, 8), (96, 64), (1, 5)])
def test_split_of_any_size(size):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (6, 3, *size), generator=generator, dtype=torch.uint8)
    split = Split.from_arrays(images, torch.arange(6))
    inputs = torch.cat([inputs for inputs, _ in batches(split, 4)])
    assert inputs.shape == images.shape and inputs.dtype == torch.float32
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    deviation = inputs.double().std((0, 2, 3), correction=0)
    torch.testing.assert_close(deviation, torch.ones(3).double(), atol=1e-5, rtol=0)


def test_sources_go_where_their_images_go():
    images = np.zeros((4, 3, 8, 8), np.uint8)
    split = Split.from_arrays(images, np.arange(4), source=np.array([7, 7, 5, 5], np.int16))
    assert split[1:3].source.tolist() == [7, 5] and split.source.dtype == torch.int64
    assert split[torch.tensor([3, 0])].source.tolist() == [5, 7]
    assert Split.from_arrays(images, np.arange(4))[:2].source is None
    for wrong in (np.arange(3), np.arange(4) / 2, np.zeros((4, 1), int)):
        with pytest.raises(InputError, match="source is .* expected integers"):
            Split.from_arrays(images, np.arange(4), source=wrong)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint16])
def test_split_from_numpy_arrays_that_torch_cannot_share(dtype):
    images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 3)
    backwards = images[..., ::-1].transpose(0, 3, 1, 2)  # as OpenCV's colours are turned round
    backwards.flags.writeable = False
    split = Split.from_arrays(backwards, np.array([1, 0], dtype), (0.1, 0.2, 0.3), std=[1, 2, 3])
    assert split.images.tolist() == backwards.tolist()
    assert split.labels.dtype == torch.int64 and split.labels.tolist() == [1, 0]
    assert split.mean == (0.1, 0.2, 0.3) and split.std == (1.0, 2.0, 3.0)


IMAGES, LABELS = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((IMAGES / 255, LABELS), ["images is torch.float32", "uint8"]),
        ((IMAGES.permute(0, 2, 3, 1), LABELS), ["(2, 4, 4, 3)", "channels before the rows"]),
        ((IMAGES[0], LABELS), ["(3, 4, 4)"]),
        ((IMAGES, LABELS.float()), ["labels is torch.float32", "integers (N,)"]),
        ((IMAGES, LABELS == 0), ["labels is torch.bool"]),
        ((IMAGES, LABELS[:, None]), ["labels is torch.int64 of shape (2, 1)"]),
        ((IMAGES, LABELS[:1]), ["2 images", "1 labels"]),
        ((IMAGES[:0], LABELS[:0]), ["0 images", "at least one"]),
        ((IMAGES[..., :0], LABELS), ["4x0 pixels"]),
        ((IMAGES, LABELS - 1), ["labels has -1", "from 0"]),
        ((IMAGES, ["ants", "bees"]), ["labels: expected a tensor or an array of numbers"]),
        ((IMAGES, [[0, 1], [2]]), ["labels: expected"]),
        ((IMAGES, LABELS, (0.5, 0.5, 0.5)), ["std=None", "neither"]),
        ((IMAGES, LABELS, None, (0.5, 0.5, 0.5)), ["mean=None"]),
        ((IMAGES, LABELS, (0.5, 0.5), (1, 1, 1)), ["mean=(0.5, 0.5)", "three"]),
        ((IMAGES, LABELS, (0.5, 0.5, math.nan), (1, 1, 1)), ["mean=", "finite"]),
        ((IMAGES, LABELS, 0.5, (1, 1, 1)), ["mean=0.5"]),
        ((IMAGES, LABELS, (0, 0, 0), (1, 0, 1)), ["std=(1, 0, 1)", "above 0"]),
    ],
)
def test_arrays_that_are_no_split_are_refused(arguments, words):
    with pytest.raises(InputError) as caught:
        Split.from_arrays(*arguments)
    assert all(word in str(caught.value) for word in words), caught.value


# --- a split, or whatever yields batches ---


def test_batches_of_a_split_and_of_a_loader_are_the_same():
    split = tiny_split()
    loader = DataLoader(TensorDataset(to_inputs(split), split.labels.int()), batch_size=4)
    for source in (loader, list(loader), iter(loader), (tuple(batch) for batch in loader)):
        for ours, theirs in zip(
            labelled_batches(split, 4), labelled_batches(source, 9), strict=True
        ):
            assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])
            assert theirs[1].dtype == torch.int64


def test_inputs_come_from_tensors_splits_and_batches_with_or_without_labels():
    split = tiny_split()
    x = to_inputs(split)
    with_labels = [(x[:4], split.labels[:4]), (x[4:], split.labels[4:])]
    for source in (x, split, with_labels, [x[:4], x[4:]], [(x[:4],), (x[4:],)]):
        assert torch.equal(torch.cat(list(input_batches(source, 3))), x)
        for n in (1, 4, 7, 10, 99):
            assert torch.equal(first_inputs(source, n), x[:n])
    assert [len(part) for part in input_batches(x, 3)] == [3, 3, 3, 1]


def test_first_inputs_asks_for_no_more_batches_than_needed():
    class Counted:
        n_given = 0

        def __iter__(self):
            for _ in range(5):
                self.n_given += 1
                yield torch.zeros(4, 3, 8, 8)

    source = Counted()
    assert len(first_inputs(source, 8)) == 8 and source.n_given == 2


def test_an_iterator_never_comes_back_empty_in_silence():
    spent = iter([(torch.zeros(2, 3, 4, 4), LABELS)])
    assert len(list(labelled_batches(spent, 4))) == 1
    for read in (labelled_batches, input_batches):
        for empty in (spent, [], DataLoader([])):
            with pytest.raises(InputError, match="no batch in a .* used before"):
                list(read(empty, 4))
    with pytest.raises(InputError, match="a generator gives its batches only once"):
        first_inputs((batch for batch in [torch.zeros(2, 3, 4, 4)]), 1)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, ["got a NoneType"]),
        (load, ["got a function"]),
        ([torch.zeros(2, 3, 4, 4)], ["a batch is float32 (2, 3, 4, 4)", "(inputs, labels)"]),
        ([{"x": IMAGES}], ["a batch is a dict of 1"]),
        ([(IMAGES / 255, LABELS, LABELS)], ["a batch is a tuple of 3"]),
        ([(IMAGES, LABELS)], ["uint8 (2, 3, 4, 4)", "floats", "Split.from_arrays"]),
        ([(IMAGES[:0] / 255, LABELS[:0])], ["float32 (0, 3, 4, 4)"]),
        ([(torch.tensor(0.5), LABELS)], ["float32 ()"]),
        (TensorDataset(IMAGES / 255, LABELS), ["a DataLoader", "got a TensorDataset"]),
        ([(IMAGES / 255, LABELS.float())], ["labels", "float32 (2,)", "integers (2,)"]),
        ([(IMAGES / 255, LABELS[:1])], ["int64 (1,)", "integers (2,)"]),
        ([(IMAGES / 255, LABELS[:, None])], ["int64 (2, 1)"]),
        ([(IMAGES / 255, [0, 1])], ["a list of 2"]),
    ],
)
def test_what_yields_no_batches_is_refused(source, words):
    with pytest.raises(InputError) as caught:
        list(labelled_batches(source, 4))
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_later_batch_is_checked_too():
    with pytest.raises(InputError, match="inputs of a batch are uint8"):
        list(input_batches([IMAGES / 255, IMAGES], 4))


# --- folders ---


def write_image(path: Path, shade: int, size=(40, 20), **save) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size[::-1], 3), shade, np.uint8)
    pixels[: size[1] // 2] //= 2  # the upper half is darker
    Image.fromarray(pixels).save(path, **save)


@pytest.fixture
def images(tmp_path):
    """A folder with two classes, and twelve and two images for each."""
    root = tmp_path / "my images"
    for c, name in enumerate(["ants", "bees"]):
        for i in range(12):
            write_image(root / "train" / name / f"{i:02}.png", 100 * c + 2 * i + 50)
        for i, suffix in enumerate(["jpg", "WEBP"]):
            write_image(root / "test" / name / f"{i}.{suffix}", 100 * c + 50)
    return root


def test_folder(images, cache):
    data = load("folder", images)
    assert data.classes == ("ants", "bees") and data.flip and not data.recolour
    assert [len(part) for part in (data.train, data.val, data.test)] == [22, 2, 4]
    assert data.val.labels.tolist() == [0, 1] and data.test.labels.tolist() == [0, 1, 0, 1]
    # Each image says in its shade which one it is: none is in two splits, all labels are right.
    shades = {}
    for part in (data.train, data.val):
        for image, label in zip(part.images, part.labels, strict=True):
            assert image.shape == (3, 32, 32)
            shades[image[0, 31, 0].item()] = label.item()
    assert shades == {100 * c + 2 * i + 50: c for c in range(2) for i in range(12)}
    mean, _ = splits.channel_statistics(data.train.images)
    assert data.train.mean == data.test.mean == mean


def test_folder_keeps_rows_and_colours(images, cache):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4, :, 0] = pixels[4:, :, 2] = 200  # red above blue
    Image.fromarray(pixels).save(images / "test" / "ants" / "0.png")
    image = load("folder", images).test.images[[0, 2]]
    image = image[(image[:, 0, 0, 0] == 200).nonzero().item()]
    assert image[:, 0, 0].tolist() == [200, 0, 0] and image[:, 31, 31].tolist() == [0, 0, 200]


@pytest.mark.parametrize("size", [20, 96])
def test_folder_of_images_of_another_size(images, cache, monkeypatch, size):
    ramp = np.linspace(0, 255, 960).astype(np.uint8)
    pixels = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (700, 960, 3)))
    for path in (images / "test" / "ants").iterdir():
        path.unlink()
    Image.fromarray(pixels).save(images / "test" / "ants" / "0.jpg")
    default, data = load("folder", images), load("folder", images, image_size=size)
    assert data.train.images.shape == (22, 3, size, size)
    assert data.test.labels.tolist() == default.test.labels.tolist()
    # Rescaled to that size from the file, not from 32 pixels.
    expected = torch.from_numpy(ramp.reshape(size, -1).mean(1)).float()
    read = data.test.images[data.test.labels == 0].float().mean(dim=(0, 1, 2))
    assert (read - expected).abs().max() < 4
    # Each size has a cache and a baseline of its own.
    monkeypatch.setattr(folder_module, "decode", None)
    assert load("folder", images).train.images.shape[-1] == 32
    again = load("folder", images, image_size=size)
    assert torch.equal(again.train.images, data.train.images)
    assert again.key == data.key != default.key


def test_folder_small_classes_keep_training_images(images, cache):
    for path in sorted((images / "train" / "bees").iterdir())[2:]:
        path.unlink()
    data = load("folder", images)
    assert data.train.labels.bincount().tolist() == [11, 1]
    assert data.val.labels.bincount().tolist() == [1, 1]


def test_folder_second_load_decodes_nothing(images, cache, monkeypatch):
    first = load("folder", images)
    monkeypatch.setattr(folder_module, "decode", None)
    second = load("folder", images)
    assert torch.equal(first.train.images, second.train.images) and first.key == second.key


def test_folder_key_follows_contents_not_place(images, cache, tmp_path):
    key = load("folder", images).key
    moved = tmp_path / "moved"
    shutil.copytree(images, moved, copy_function=shutil.copyfile)  # other times as well
    assert load("folder", moved).key == key
    write_image(moved / "train" / "ants" / "00.png", 51)
    assert load("folder", moved).key != key
    assert load("folder", images).key == key


def test_folder_sees_a_changed_file(images, cache):
    before = load("folder", images)
    write_image(images / "test" / "ants" / "0.jpg", 7)
    assert not torch.equal(load("folder", images).test.images, before.test.images)


def test_folder_damaged_cache_is_made_anew(images, cache):
    first = load("folder", images)
    (cached,) = (cache / "folders").iterdir()
    cached.write_bytes(cached.read_bytes()[:-100])
    assert torch.equal(load("folder", images).train.images, first.train.images)


def test_folder_ignores_what_file_managers_leave(images, cache):
    key = load("folder", images).key
    (images / "train" / ".ipynb_checkpoints").mkdir()
    (images / "train" / "ants" / "more.jpg").mkdir()
    (images / "train" / "ants" / ".DS_Store").touch()
    (images / "train" / "ants" / "._00.png").write_bytes(b"no image")
    (images / "train" / "ants" / "notes.txt").touch()
    assert load("folder", images).key == key


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1"])
def test_folder_reads_every_colour_mode(images, cache, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.new("RGB", (9, 9), "white").convert(mode).save(images / "test" / "ants" / f"0.{suffix}")
    images_read = load("folder", images).test.images
    assert (images_read.flatten(1).double().mean(1) == 255).any()


def test_folder_starts_no_other_program_for_postscript(images, cache, monkeypatch):
    def ghostscript(*_arguments, **_named):
        pytest.fail("the image was given to Ghostscript")

    # Pillow goes by the content: this file calls itself PNG.
    fake = images / "train" / "ants" / "00.png"
    Image.new("RGB", (9, 9)).save(fake, format="EPS")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", ghostscript)
    message = refused("folder", images)
    assert "train/ants/00.png" in message and "not a readable image" in message


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PPM", "ICO"])
def test_folder_reads_no_format_that_its_names_do_not_promise(images, cache, kind):
    Image.new("RGB", (16, 16)).save(images / "train" / "ants" / "00.png", format=kind)
    assert "not a readable image" in refused("folder", images)


def test_folder_goes_by_the_content_among_its_formats(images, cache):
    for i, kind in enumerate(["PNG", "JPEG", "BMP", "WEBP"]):
        path = images / "train" / "ants" / f"{i:02}.png"
        Image.new("RGB", (16, 16), "white").save(path, format=kind)
    data = load("folder", images)
    everything = torch.cat([data.train.images, data.val.images])
    assert (everything > 250).flatten(1).all(1).sum() == 4


def test_folder_transparent_is_white_and_rotation_is_followed(images, cache):
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(images / "test" / "ants" / "0.png")
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(images / "test" / "bees" / "0.jpg", exif=exif)
    (images / "test" / "ants" / "0.jpg").unlink()
    test = load("folder", images).test
    assert (test.images[test.labels == 0] == 255).flatten(1).all(1).any()
    rows = test.images[test.labels == 1].double().mean(dim=(1, 3))
    assert any(row[0] < 10 and row[31] > 245 for row in rows)


def test_folder_large_jpeg_is_not_distorted(images, cache):
    ramp = np.linspace(0, 255, 1000).astype(np.uint8)
    pixels = np.broadcast_to(ramp[None, :, None], (700, 1000, 3))
    Image.fromarray(np.ascontiguousarray(pixels)).save(images / "test" / "ants" / "0.jpg")
    expected = torch.from_numpy(ramp[:992].reshape(32, 31).mean(1)).float()
    read = load("folder", images).test.images.float().mean(dim=(1, 2))
    assert min((row - expected).abs().max() for row in read) < 4


def damage_missing_test(root):
    shutil.rmtree(root / "test")
    return ["no folder 'test'"]


def damage_missing_train(root):
    shutil.rmtree(root / "train")
    return ["no folder 'train'"]


def damage_empty_class(root):
    for path in (root / "train" / "bees").iterdir():
        path.unlink()
    return ["bees has 0 images", ".jpg"]


def damage_empty_test_class(root):
    for path in (root / "test" / "bees").iterdir():
        path.rename(path.with_suffix(".heic"))
    return ["bees has 0 images", ".webp"]


def damage_single_image(root):
    for path in sorted((root / "train" / "bees").iterdir())[1:]:
        path.unlink()
    return ["bees has 1 images", "at least 2", "validation"]


def damage_extra_test_class(root):
    shutil.copytree(root / "test" / "ants", root / "test" / "cats")
    return ["class 'cats' is in test/ but not in train/"]


def damage_missing_test_class(root):
    shutil.rmtree(root / "test" / "ants")
    return ["class 'ants' is in train/ but not in test/"]


def damage_one_class(root):
    shutil.rmtree(root / "train" / "ants")
    shutil.rmtree(root / "test" / "ants")
    return ["1 class folders", "at least 2"]


def damage_broken_jpeg(root):
    (root / "train" / "ants" / "05.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    return ["train/ants/05.jpg", "not a readable image"]


def damage_truncated_jpeg(root):
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "test" / "bees" / "0.jpg")
    path = root / "test" / "bees" / "0.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return ["test/bees/0.jpg", "truncated"]


def damage_truncated_png(root):
    path = root / "train" / "ants" / "03.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return ["train/ants/03.png"]


def damage_zero_bytes(root):
    (root / "train" / "bees" / "11.png").write_bytes(b"")
    return ["train/bees/11.png", "not a readable image"]


def damage_sixteen_bits(root):
    Image.fromarray(np.full((8, 8), 60_000, np.uint16)).save(root / "train" / "ants" / "00.png")
    return ["train/ants/00.png", "8 bits"]


def damage_dangling_link(root):
    (root / "train" / "ants" / "05.jpg").symlink_to(root / "nowhere.jpg")
    return ["train/ants/05.jpg"]


@pytest.mark.parametrize(
    "damage",
    [value for name, value in globals().items() if name.startswith("damage_")],
    ids=lambda function: function.__name__.removeprefix("damage_"),
)
def test_bad_folder_is_refused_and_leaves_nothing(images, cache, damage):
    words = damage(images)
    message = refused("folder", images)
    assert all(word in message for word in words), message
    assert not cache.exists()


def test_data_dir_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    assert "no such folder" in refused("folder", tmp_path / "file")


def test_unwritable_cache_is_refused(images, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TUTORIAL_UTILS_CACHE", str(tmp_path / "file"))
    assert "TUTORIAL_UTILS_CACHE" in refused("folder", images)


# --- downloads, from a server on this machine ---


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def cifar_archive(monkeypatch, n: int = 200) -> dict[str, bytes]:
    """Make a small CIFAR-10 archive and tell torchvision to expect it."""
    rng = np.random.default_rng(0)
    files = {}
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        pixels = rng.integers(256, size=(n, 3072), dtype=np.uint8)
        files[name] = pickle.dumps({"data": pixels, "labels": [i % 10 for i in range(n)]})
    files["batches.meta"] = pickle.dumps({"label_names": [f"class {i}" for i in range(10)]})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    sums = [[name, md5(content)] for name, content in files.items()]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", sums[5:6])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": sums[6][1]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(buffer.getvalue()))
    return {"cifar-10-python.tar.gz": buffer.getvalue()}


def fashion_archives(monkeypatch) -> dict[str, bytes]:
    """Make small Fashion-MNIST files and tell torchvision to expect them."""
    rng = np.random.default_rng(0)
    files = {}
    for part, n in (("train", 100), ("t10k", 20)):
        pixels = rng.integers(256, size=(n, 28, 28), dtype=np.uint8)
        labels = np.arange(n, dtype=np.uint8) % 10
        files[f"{part}-images-idx3-ubyte.gz"] = (
            struct.pack(">4i", 2051, n, 28, 28) + pixels.tobytes()
        )
        files[f"{part}-labels-idx1-ubyte.gz"] = struct.pack(">2i", 2049, n) + labels.tobytes()
    files = {name: gzip.compress(content) for name, content in files.items()}
    sums = [(name, md5(content)) for name, content in files.items()]
    monkeypatch.setattr(datasets.FashionMNIST, "resources", sums)
    return files


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve the files of a folder; both data sets are downloaded from there."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_args):
            pass

        def send_head(self):
            if (site / "nonsense").exists():  # what answers is no web server
                self.wfile.write(b"nonsense\r\n\r\n")
                return None
            return super().send_head()

        def copyfile(self, source, outputfile):
            content = source.read()
            if (site / "break off").exists():
                content = content[: len(content) // 2]
            outputfile.write(content)

    site = tmp_path / "site"
    site.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{web.server_port}/"
        monkeypatch.setattr(datasets.CIFAR10, "url", url + "cifar-10-python.tar.gz")
        monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [url])
        yield site
        web.shutdown()
        thread.join()


MAKERS = {"cifar10": cifar_archive, "fashion_mnist": fashion_archives}


def publish(site: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (site / name).write_bytes(content)


def test_cifar10(server, cache, monkeypatch):
    publish(server, cifar_archive(monkeypatch))
    data = load("cifar10")
    assert [len(part) for part in (data.train, data.val, data.test)] == [900, 100, 200]
    assert data.val.labels.bincount().tolist() == [10] * 10
    assert data.classes[3] == "class 3" and data.key == "cifar10" and data.flip
    # The first image of the archive, wherever the split put it: channels first, then rows.
    first = np.random.default_rng(0).integers(256, size=(200, 3072), dtype=np.uint8)[0]
    expected = torch.from_numpy(first.reshape(3, 32, 32))
    everything = torch.cat([data.train.images, data.val.images])
    assert (everything == expected).flatten(1).all(1).sum() == 1
    assert len({image.numpy().tobytes() for image in everything}) == 1000


def test_fashion_mnist(server, tmp_path, monkeypatch):
    publish(server, fashion_archives(monkeypatch))
    data = load("fashion_mnist", tmp_path / "here")
    assert [len(part) for part in (data.train, data.val, data.test)] == [90, 10, 20]
    assert data.classes[0] == "T-shirt/top" and data.key == "fashion_mnist"
    first = np.random.default_rng(0).integers(256, size=(100, 28, 28), dtype=np.uint8)[0]
    everything = torch.cat([data.train.images, data.val.images])
    inside = everything[:, :, 2:30, 2:30] == torch.from_numpy(first)
    assert inside.flatten(1).all(1).sum() == 1
    assert everything[:, :, :2].sum() == everything[:, :, :, 30:].sum() == 0
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["FashionMNIST"]


@pytest.mark.parametrize("name", MAKERS)
def test_second_load_needs_no_network(server, cache, monkeypatch, name):
    publish(server, MAKERS[name](monkeypatch))
    first = load(name)
    shutil.rmtree(server)
    assert torch.equal(load(name).train.images, first.train.images)


# Python leaves the socket of a refused connection to the garbage collector, which complains.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "fault", ["half", "wrong byte", "missing", "break off", "nonsense", "no server"]
)
def test_bad_download_is_refused_and_leaves_nothing(server, cache, monkeypatch, name, fault):
    files = MAKERS[name](monkeypatch)
    last = list(files)[-1]
    publish(server, files)
    if fault == "half":
        (server / last).write_bytes(files[last][: len(files[last]) // 2])
    elif fault == "wrong byte":
        content = bytearray(files[last])
        content[len(content) // 2] ^= 1
        (server / last).write_bytes(content)
    elif fault == "missing":
        (server / last).unlink()
    elif fault in ("break off", "nonsense"):
        (server / fault).touch()
    else:
        monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
        monkeypatch.setattr(datasets.FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    message = refused(name)
    assert f"cannot download {name!r}" in message and str(cache / name) in message
    assert list((cache / name).iterdir()) == []


@pytest.mark.parametrize("name", MAKERS)
def test_damaged_local_copy_is_downloaded_again(server, cache, monkeypatch, name):
    publish(server, MAKERS[name](monkeypatch))
    first = load(name)
    victim = max((cache / name).rglob("*batch_1" if name == "cifar10" else "train-images*ubyte"))
    victim.write_bytes(victim.read_bytes()[:-1])
    assert torch.equal(load(name).train.images, first.train.images)
    assert [path.name for path in (cache / name).iterdir()] == [downloads.SOURCES[name][1]]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("where", ["cache", "own folder"])
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        PermissionError("not yours"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_is_no_damage_removes_nothing(
    server, cache, tmp_path, monkeypatch, name, where, error
):
    publish(server, MAKERS[name](monkeypatch))
    data_dir = tmp_path / "mine" if where == "own folder" else None
    load(name, data_dir)
    before = snapshot(data_dir or cache)
    # It goes wrong once: a download would succeed.
    results = [error]
    read_parts = downloads.read_parts

    def fail_once(*arguments):
        if results:
            raise results.pop()
        return read_parts(*arguments)

    monkeypatch.setattr(downloads, "read_parts", fail_once)
    with pytest.raises(type(error)):
        load(name, data_dir)
    assert snapshot(data_dir or cache) == before


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("damage", ["cut", "emptied", "one file less", "no files"])
def test_a_damaged_copy_of_the_readers_own_stays(server, tmp_path, monkeypatch, name, damage):
    publish(server, MAKERS[name](monkeypatch))
    first = load(name, tmp_path / "mine")
    folder = tmp_path / "mine" / downloads.SOURCES[name][1]
    victim = max(folder.rglob("*batch_1" if name == "cifar10" else "train-images*ubyte"))
    if damage == "cut":
        victim.write_bytes(victim.read_bytes()[:-1])
    elif damage == "emptied":
        victim.write_bytes(b"")
    else:
        victim.unlink()
        if damage == "no files":
            shutil.rmtree(folder)
            folder.mkdir()
    (folder / "notes.txt").write_text("my notes")
    before = snapshot(tmp_path / "mine")
    message = refused(name, tmp_path / "mine")
    assert str(folder) in message and "rename or remove it" in message
    assert snapshot(tmp_path / "mine") == before
    folder.rename(folder.with_name("old"))  # as the message says
    assert torch.equal(load(name, tmp_path / "mine").train.images, first.train.images)
