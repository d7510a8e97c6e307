"""A network and its images, brought by name: what fits is there, the rest has one line."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tutorial_utils.data import first_inputs
from tutorial_utils.errors import InputError
from tutorial_utils.own_model import bring

HERE = Path(__file__).parent / "own_net.py"
NET, LOADERS = f"{HERE}:make_net", f"{HERE}:make_loaders"


def test_without_arguments_it_is_the_networks_of_the_book():
    brought = bring()
    assert brought.arguments == {}
    assert not brought.model.training
    assert brought.data.train.classes


def test_a_file_and_a_module_name_the_same(monkeypatch):
    monkeypatch.syspath_prepend(HERE.parent)
    by_file, by_module = bring(NET, data=LOADERS), bring("own_net:make_net", data=LOADERS)
    assert torch.equal(by_file.model(by_file.example), by_module.model(by_file.example))
    assert by_file.arguments == {"factory": NET, "data": LOADERS}


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_weights_are_loaded(tmp_path, ending):
    state = bring(NET, data=LOADERS).model.state_dict()
    state = {name: torch.zeros_like(values) for name, values in state.items()}
    path = tmp_path / f"net.{ending}"
    (torch.save if ending == "pt" else save_file)(state, path)
    brought = bring(NET, weights=str(path), data=LOADERS)
    assert all(not parameter.any() for parameter in brought.model.parameters())


def test_a_file_of_weights_runs_no_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"0.weight": Trap()}, tmp_path / "net.pt")
    with pytest.raises(InputError, match="do not fit"):
        bring(NET, weights=str(tmp_path / "net.pt"), data=LOADERS)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_of_images_is_normalised_as_the_network_wants_it(tmp_path):
    from PIL import Image

    for part in ("train", "test"):
        for name, colour in (("a", (255, 0, 0)), ("b", (0, 255, 0)), ("c", (0, 0, 255))):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(4):
                Image.new("RGB", (20, 20), colour).save(tmp_path / part / name / f"{i}.png")
    brought = bring(
        NET, data_dir=str(tmp_path), image_size=16, mean=[0.5, 0.5, 0.5], std=[0.25, 0.5, 1.0]
    )
    inputs = first_inputs(brought.data.test, 1)
    assert inputs.shape == (1, 3, 16, 16)
    assert torch.allclose(inputs[0].amax((1, 2)), torch.tensor([2.0, -1.0, -0.5]))
    for part in (brought.data.train.train, brought.data.val, brought.data.test):
        assert part.std == (0.25, 0.5, 1.0)


@pytest.mark.parametrize(
    "arguments, reason",
    [
        ({"weights": "net.pt"}, "without a factory"),
        ({"factory": NET}, "as data='module:function' or as data_dir"),
        ({"factory": NET, "data": LOADERS, "data_dir": "x"}, "as data='module:function' or"),
        ({"factory": "make_net", "data": LOADERS}, "expected module:function"),
        ({"factory": "no_module:net", "data": LOADERS}, "No module named 'no_module'"),
        ({"factory": f"{HERE}:make_nets", "data": LOADERS}, "has no attribute 'make_nets'"),
        ({"factory": f"{HERE}:a_number", "data": LOADERS}, "is a int, expected a function"),
        ({"factory": f"{HERE}:broken", "data": LOADERS}, "failed: 'no such key'"),
        ({"factory": "nowhere.py:net", "data": LOADERS}, "No such file"),
        ({"factory": LOADERS, "data": LOADERS}, "expected an nn.Module"),
        ({"factory": f"{HERE}:features", "data": LOADERS}, "expected logits"),
        ({"factory": NET, "data": f"{HERE}:two_loaders"}, "expected three loaders"),
        ({"factory": NET, "data": f"{HERE}:many_classes"}, "label 7 with 3 outputs"),
        ({"factory": NET, "data": f"{HERE}:gray_images"}, "the model fails on inputs (8, 1, 16"),
        ({"factory": NET, "data": LOADERS, "weights": "no.pt"}, "no such file"),
        ({"factory": NET, "data": LOADERS, "image_size": 16}, "goes with data_dir"),
        ({"factory": NET, "data_dir": "nowhere"}, "no such folder"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(arguments, reason):
    with pytest.raises(InputError) as error:
        bring(**arguments)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_of_another_network_are_named(tmp_path):
    torch.save({"other.weight": torch.zeros(2)}, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r'do not fit: .*"0\.weight"'):
        bring(NET, weights=str(tmp_path / "net.pt"), data=LOADERS)
    (tmp_path / "net.pt").write_text("no weights")
    with pytest.raises(InputError, match="do not fit"):
        bring(NET, weights=str(tmp_path / "net.pt"), data=LOADERS)
