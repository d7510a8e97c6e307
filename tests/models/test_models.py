"""Networks: sizes by hand, shapes; baselines: anything but the recorded weights is refused."""

import shutil
from dataclasses import replace

import pytest
import torch
from torch import nn

from tutorial_utils.data import load
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import evaluate
from tutorial_utils.models import baselines, named, resnet
from tutorial_utils.models.mobilenet import InvertedResidual, mobilenet
from tutorial_utils.storage import write_tensors


@pytest.fixture(scope="module")
def data():
    return load("digits")


@pytest.fixture
def own(data, tmp_path, monkeypatch):
    """A data set without a shipped baseline, and an empty cache."""
    monkeypatch.setenv("TUTORIAL_UTILS_CACHE", str(tmp_path / "cache"))
    return replace(data, name="folder", key="folder-0123", data_dir="/my images")


@pytest.fixture
def saved(own):
    """A baseline in the cache that is good."""
    return baselines.save_baseline(resnet.resnet8(), "resnet8", own)


def n_parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def count_by_hand(n: int, w: int, n_classes: int) -> int:
    def conv_and_norm(n_in, n_out, kernel):
        return n_in * n_out * kernel**2 + 2 * n_out

    def stage(n_in, n_out):
        first = conv_and_norm(n_in, n_out, 3) + conv_and_norm(n_out, n_out, 3)
        shortcut = 0 if n_in == n_out else conv_and_norm(n_in, n_out, 1)
        return first + shortcut + (n - 1) * 2 * conv_and_norm(n_out, n_out, 3)

    stages = stage(w, w) + stage(w, 2 * w) + stage(2 * w, 4 * w)
    return conv_and_norm(3, w, 3) + stages + 4 * w * n_classes + n_classes


@pytest.mark.parametrize(("name", "n"), [("resnet8", 1), ("resnet20", 3), ("resnet56", 9)])
@pytest.mark.parametrize(("width", "n_classes"), [(16, 10), (4, 7)])
def test_parameter_count(name, n, width, n_classes):
    model = named.MODELS[name](n_classes, width)
    assert n_parameters(model) == count_by_hand(n, width, n_classes)


def test_published_size():
    # He et al., table 6: 0.27 and 0.85 million (with shortcuts that have no parameters).
    assert n_parameters(resnet.resnet20()) == 272_474
    assert n_parameters(resnet.resnet56()) == 855_770


@pytest.mark.parametrize("name", ["resnet8", "resnet20", "resnet56"])
def test_depth_and_shapes(name):
    model = named.MODELS[name](n_classes=7, width=8)
    main_path = [
        module
        for path, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in path
    ]
    assert len(main_path) == int(name.removeprefix("resnet"))
    sizes = {}
    for stage in ("stage1", "stage2", "stage3"):
        getattr(model, stage).register_forward_hook(
            lambda _module, _inputs, out, stage=stage: sizes.update({stage: tuple(out.shape)})
        )
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    assert sizes == {
        "stage1": (2, 8, 32, 32),
        "stage2": (2, 16, 16, 16),
        "stage3": (2, 32, 8, 8),
    }


def test_block_is_the_sum_of_both_paths():
    block = resnet.Block(4, 8, stride=2).eval()
    x = torch.randn(2, 4, 6, 6)
    main = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
    torch.testing.assert_close(block(x), torch.relu(main + block.shortcut(x)))


def test_each_relu_is_a_module_of_its_own():
    model = resnet.resnet8()
    calls = []
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda module, _inputs, _out: calls.append(id(module)))
    model(torch.zeros(1, 3, 32, 32))
    assert len(calls) == len(set(calls)) == 7


@pytest.mark.parametrize(("name", "hint"), [("resnet18", "resnet8"), ("resnet-20", "resnet20")])
def test_unknown_model_names_the_nearest(name, hint):
    with pytest.raises(InputError, match=f"did you mean '{hint}'"):
        named.make_model(name)


@pytest.mark.parametrize("size", [(8, 8), (33, 33), (96, 64)])
def test_images_of_other_sizes(size):
    model = resnet.resnet8(n_classes=7, width=4).eval()
    images = torch.randn(2, 3, *size)
    logits = model(images)
    assert logits.shape == (2, 7)
    # The last stage is averaged, whatever its size: turned images have turned feature maps.
    turned = resnet.resnet8(n_classes=7, width=4).eval()
    turned.load_state_dict(
        {
            name: weight.transpose(2, 3) if weight.dim() == 4 else weight
            for name, weight in model.state_dict().items()
        }
    )
    torch.testing.assert_close(turned(images.transpose(2, 3)), logits, atol=1e-5, rtol=1e-4)


def test_impossible_sizes_are_refused():
    with pytest.raises(InputError, match="width=0"):
        resnet.resnet8(width=0)
    with pytest.raises(InputError, match="n_classes=1"):
        resnet.resnet8(n_classes=1)


def test_mobile_network_filters_each_channel_by_itself():
    model = mobilenet(n_classes=7, width=8)
    depthwise = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert [m.groups == m.in_channels == m.out_channels for m in depthwise] == [True] * 6
    assert (
        model(torch.zeros(2, 3, 32, 32)).shape == model(torch.zeros(2, 3, 40, 24)).shape == (2, 7)
    )
    blocks = [m for m in model.modules() if isinstance(m, InvertedResidual)]
    assert [m.has_shortcut for m in blocks] == [True, True, False, True, False, True]


def test_parameters_of_a_mobile_network():
    def block(n_in, n_out, t=4):
        mid = t * n_in
        return n_in * mid + 9 * mid + mid * n_out + 2 * (mid + mid + n_out)

    w = 16
    stages = [(w, w), (w, w), (w, 2 * w), (2 * w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w)]
    stem, head = 27 * w + 2 * w, 4 * w * 8 * w + 2 * 8 * w
    by_hand = stem + sum(block(*stage) for stage in stages) + head + 8 * w * 10 + 10
    assert n_parameters(mobilenet()) == by_hand


def test_impossible_mobile_networks_are_refused():
    with pytest.raises(InputError, match="width=0"):
        mobilenet(width=0)


@pytest.mark.parametrize(
    ("name", "least"), [("resnet8", 0.925), ("resnet20", 0.955), ("mobilenet", 0.9)]
)
def test_shipped_baseline(data, name, least):
    path = baselines.check_baseline(name, data)
    assert path.parent == baselines.SHIPPED and path.stat().st_size < 1_500_000
    model = baselines.load_baseline(name, data)
    assert not model.training
    assert model.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert {weight.device.type for weight in model.state_dict().values()} == {"cpu"}
    # They reach 0.949 and 0.976 there, and 0.971 and 0.985 on all test images.
    assert evaluate(model, data.val[:1000]) > least


def test_saved_weights_come_back(own):
    model = resnet.resnet8()
    model(torch.randn(4, 3, 32, 32))  # gives the running statistics values of their own
    path = baselines.save_baseline(model, "resnet8", own)
    loaded = baselines.load_baseline("resnet8", own).state_dict()
    assert loaded.keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(loaded[key], value)
    assert baselines.check_baseline("resnet8", own) == path


def test_missing_baseline_names_the_command(own):
    command = "python -m tutorial_utils train resnet20 --dataset folder --data-dir '/my images'"
    with pytest.raises(InputError) as refused:
        baselines.load_baseline("resnet20", own)
    assert f"`{command} --epochs 30`" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_one_byte_less_is_refused(saved, own):
    saved.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(InputError, match="not a whole file of tensors"):
        baselines.check_baseline("resnet8", own)


def test_one_bit_more_is_refused(saved, own):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    with pytest.raises(InputError, match="SHA-256"):
        baselines.load_baseline("resnet8", own)


def test_shipped_file_is_checked_too(data, tmp_path, monkeypatch):
    shipped = shutil.copytree(baselines.SHIPPED, tmp_path / "baselines")
    monkeypatch.setattr(baselines, "SHIPPED", shipped)
    baselines.check_baseline("resnet8", data)
    path = shipped / "resnet8-digits.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="not a whole file of tensors"):
        baselines.check_baseline("resnet8", data)


def test_weights_in_the_older_format_are_not_read(own):
    path = baselines.baseline_path("resnet8", own).with_suffix(".pt")
    path.parent.mkdir(parents=True)
    torch.save(resnet.resnet8().state_dict(), path)
    with pytest.raises(InputError, match="no trained resnet8 for 'folder' yet"):
        baselines.load_baseline("resnet8", own)


def test_weights_of_another_model_are_refused(saved, own):
    write_tensors(saved, resnet.resnet20().state_dict())
    with pytest.raises(InputError, match="not the weights of a resnet8"):
        baselines.check_baseline("resnet8", own)


def test_the_command_names_an_image_size_of_ones_own(own):
    large = replace(own.train[:2], images=torch.zeros(2, 3, 96, 96, dtype=torch.uint8))
    command = baselines.train_command("resnet8", replace(own, train=large))
    assert "--data-dir '/my images' --image-size 96 --epochs" in command
    assert "--image-size" not in baselines.train_command("resnet8", own)
