"""Files: whole or not there, and tensors that come back as they were or not at all."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tutorial_utils.errors import InputError
from tutorial_utils.storage import (
    cache_dir,
    cached_tensors,
    files,
    read_tensors,
    replacing,
    write_tensors,
)

TENSORS = {
    "weight": torch.linspace(-1, 1, 24).view(2, 3, 4),
    "half": torch.tensor([1.5, -0.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "mask": torch.tensor([True, False]),
    "none": torch.empty(0, 3),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "some.safetensors"


# --- tensors ---


def test_tensors_come_back_with_their_types_and_shapes(path):
    write_tensors(path, TENSORS, made_from="this")
    stored = read_tensors(path, made_from="this")
    assert stored.keys() == TENSORS.keys()
    for name, values in TENSORS.items():
        assert stored[name].dtype == values.dtype and stored[name].shape == values.shape
        assert torch.equal(stored[name], values)
    stored["weight"].add_(1)  # a copy that one may change


def test_other_programs_can_read_the_file(path):
    write_tensors(path, TENSORS)
    assert torch.equal(load_file(path)["weight"], TENSORS["weight"])


def test_the_file_depends_neither_on_order_nor_on_memory_format(tmp_path):
    images = torch.randn(2, 3, 4, 4)
    for name, tensors in {
        "a": {"x": images, "y": torch.zeros(1)},
        "b": {"y": torch.zeros(1), "x": images.to(memory_format=torch.channels_last)},
    }.items():
        write_tensors(tmp_path / name, tensors)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_changed_bit_and_every_cut_is_seen(path):
    write_tensors(path, {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3])}, "this")
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in (0, 5):  # the sixth bit turns capitals into small letters
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            try:
                stored = read_tensors(path, "this")
            except InputError as error:
                assert str(path) in str(error) and "delete it" in str(error)
            else:  # white space before the values, for instance
                assert stored["a"].tolist() == [1, 2] and stored["b"].tolist() == [3]
                assert chr(content[place]) in " {}" or place < 8, content[place]
        path.write_bytes(content[:place])
        with pytest.raises(InputError, match="not a whole file of tensors"):
            read_tensors(path, "this")


def test_what_it_was_made_from_has_to_be_the_same(path):
    write_tensors(path, TENSORS, made_from="this")
    for other in ("that", ""):
        with pytest.raises(InputError, match="its SHA-256 is not the recorded one"):
            read_tensors(path, made_from=other)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"sha256": "0" * 64}])
def test_tensors_without_their_sum_are_refused(tmp_path, metadata):
    save_file({"a": torch.zeros(2)}, tmp_path / "a", metadata=metadata)
    with pytest.raises(InputError, match="delete it"):
        read_tensors(tmp_path / "a")


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("save", [pickle.dump, torch.save])
def test_a_pickle_is_refused_and_not_run(tmp_path, save):
    ran = tmp_path / "ran"
    with (tmp_path / "a").open("wb") as file:
        save({"weight": Payload(ran)}, file)
    with pytest.raises(InputError, match="not a whole file of tensors"):
        read_tensors(tmp_path / "a")
    assert not ran.exists()
    # The payload works: a reader that is not careful runs it.
    pickle.loads(pickle.dumps(Payload(ran)))
    assert ran.exists()


def test_cached_tensors_are_made_once(path):
    calls = []

    def make():
        calls.append(1)
        return {"n": torch.tensor(len(calls))}

    assert [cached_tensors(path, "this", make)["n"].item() for _ in range(3)] == [1, 1, 1]
    assert cached_tensors(path, "that", make)["n"] == 2  # made from something else
    path.write_bytes(path.read_bytes()[:-1])
    assert cached_tensors(path, "that", make)["n"] == 3
    assert len(calls) == 3


def test_memory_that_runs_out_while_reading_is_no_damage(path, monkeypatch):
    write_tensors(path, TENSORS)
    content = path.read_bytes()

    def run_out(_path):
        raise MemoryError

    monkeypatch.setattr(Path, "read_bytes", run_out)
    with pytest.raises(MemoryError):
        cached_tensors(path, "", lambda: pytest.fail("made anew"))
    monkeypatch.undo()
    assert path.read_bytes() == content


# --- files ---


def test_a_file_appears_when_the_block_has_succeeded(path):
    with replacing(path) as temporary:
        temporary.write_text("all")
        assert temporary.suffix == path.suffix and not path.exists()
    assert path.read_text() == "all" and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_block_leaves_the_old_file(path, error):
    path.parent.mkdir()
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and os.listdir(path.parent) == [path.name]


def test_what_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"cannot write .*a\.txt.*another folder"),
        replacing(tmp_path / "file" / "a.txt"),
    ):
        pytest.fail("there is nowhere to write to")
    with (
        pytest.raises(InputError, match="disk full"),
        replacing(tmp_path / "a.txt") as temporary,
    ):
        temporary.touch()
        raise OSError("disk full")
    assert os.listdir(tmp_path) == ["file"]


def test_the_cache_is_where_the_variable_says_else_where_the_system_keeps_caches(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("TUTORIAL_UTILS_CACHE", "~/mine")
    assert cache_dir() == Path.home() / "mine"
    for unset in ("TUTORIAL_UTILS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(unset, raising=False)
    assert cache_dir().is_absolute() and "tutorial_utils" in cache_dir().parts
    for system, home, expected in [
        ("unix", "Unix", "~/.cache/tutorial_utils"),
        ("macos", "MacOS", "~/Library/Caches/tutorial_utils"),
    ]:
        module = pytest.importorskip(f"platformdirs.{system}")
        found = getattr(module, home)("tutorial_utils", False).user_cache_path
        assert found == Path(expected).expanduser()
    monkeypatch.setattr(files, "user_cache_path", lambda name, appauthor: (name, appauthor))
    assert cache_dir() == ("tutorial_utils", False)  # on Windows, no folder of an author
