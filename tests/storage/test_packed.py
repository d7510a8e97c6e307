"""Packed integers against arithmetic by hand, files of quantized networks against the graphs."""

import pytest
import torch
from torch import nn

from tutorial_utils.errors import InputError
from tutorial_utils.measuring import compressed_bytes, size_bytes
from tutorial_utils.models import resnet8
from tutorial_utils.quantization import finish_qat, prepare_qat, quantize_ptq
from tutorial_utils.storage import packed


def net(seed=0):
    torch.manual_seed(seed)
    conv = nn.Conv2d(3, 8, 3)
    block = nn.Sequential(conv, nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 5, 3, bias=False))
    return nn.Sequential(block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7)).eval()


def images(seed=0):
    return torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


N_WEIGHTS = 8 * 27 + 5 * 72 + 35


@pytest.mark.parametrize("n_bits", range(1, 9))
@pytest.mark.parametrize("n_codes", [0, 1, 7, 8, 9, 100])
def test_integers_come_back_and_take_their_bits(n_bits, n_codes):
    codes = torch.randint(2**n_bits, (n_codes,), generator=torch.Generator().manual_seed(n_codes))
    stored = packed.pack_bits(codes, n_bits)
    assert stored.dtype == torch.uint8 and stored.shape == (-(-n_codes * n_bits // 8),)
    assert torch.equal(packed.unpack_bits(stored, n_bits, n_codes), codes.to(torch.uint8))
    # One large number in base 2^n_bits has the same bytes.
    number = sum(int(code) << (n_bits * i) for i, code in enumerate(codes))
    assert bytes(stored.tolist()) == number.to_bytes(len(stored), "little")


def test_codes_that_do_not_fit_are_refused():
    for codes in ([4], [-1]):
        with pytest.raises(InputError, match="expected 0 to 3 for 2 bits"):
            packed.pack_bits(torch.tensor(codes), 2)
    for bad in (0, 9, True, 2.0):
        with pytest.raises(InputError, match="n_bits"):
            packed.pack_bits(torch.tensor([0]), bad)
    with pytest.raises(InputError, match="3 bytes do not hold 4 integers of 4 bits"):
        packed.unpack_bits(torch.zeros(3, dtype=torch.uint8), 4, 4)


@pytest.mark.parametrize("n_bits", [8, 5, 4, 2])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.slow
def test_a_file_gives_the_same_answers_and_has_the_counted_size(tmp_path, n_bits, per_channel):
    model = quantize_ptq(net(), images(), n_bits=n_bits, per_channel=per_channel)
    template = quantize_ptq(net(1), torch.ones(1, 3, 8, 8), per_channel=per_channel)
    path = tmp_path / "model.safetensors"
    packed.save_packed(model, path)
    loaded = packed.load_packed(path, template)
    x = images(2)
    assert torch.equal(loaded(x), model(x))
    assert not torch.equal(template(x), model(x))
    assert size_bytes(model) == size_bytes(loaded) == path.stat().st_size
    n_header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    n_weights = sum(-(-n * n_bits // 8) for n in (8 * 27, 5 * 72, 35))
    n_channels = 8 + 5 + 7 if per_channel else 0
    n_steps = sum(map(packed._is_step, model.graph.nodes))
    biases = 8 + 7
    assert path.stat().st_size - n_header == (
        n_weights + 4 * n_channels + 4 * biases + n_steps * (4 + 6)
    )
    assert packed.load_packed(path, loaded)(x).equal(model(x))


@pytest.mark.slow
def test_fewer_bits_are_a_smaller_file_by_just_those_bits():
    sizes = {b: size_bytes(quantize_ptq(resnet8().eval(), images(), n_bits=b)) for b in (8, 4, 2)}
    n_weights = sum(p.numel() for p in resnet8().parameters() if p.dim() > 1)
    assert sizes[8] - sizes[4] == pytest.approx(n_weights / 2, abs=100)  # digits in the header
    assert sizes[4] - sizes[2] == pytest.approx(n_weights / 4, abs=100)


def test_what_is_not_packed_is_kept_whole(tmp_path):
    """A layer in float, a graph inside a module, one after training."""
    model = quantize_ptq(net(), images(), n_bits=4, skip=["0.3"])
    saved = 4 * 5 * 72 - 5 * 72 // 2  # bytes of one layer in float instead of 4 bits
    smaller = size_bytes(quantize_ptq(net(), images(), n_bits=4))
    assert size_bytes(model) - smaller == pytest.approx(saved, abs=400)
    inside = nn.Sequential(nn.Identity(), model)
    assert size_bytes(inside) == pytest.approx(size_bytes(model), abs=100)
    trained = finish_qat(prepare_qat(net(), images(), n_bits=4))
    assert size_bytes(trained) == pytest.approx(smaller, abs=100)
    packed.save_packed(trained, tmp_path / "a")
    template = finish_qat(prepare_qat(net(1), images(1), n_bits=2))
    assert torch.equal(packed.load_packed(tmp_path / "a", template)(images()), trained(images()))
    assert compressed_bytes(trained) <= size_bytes(trained) + 100


def test_files_that_do_not_fit_are_refused(tmp_path):
    model = quantize_ptq(net(), images())
    packed.save_packed(model, tmp_path / "a")
    other = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).eval()
    for template in (quantize_ptq(other, images()), quantize_ptq(net(), images(), skip=["3"])):
        with pytest.raises(InputError, match="not of the network of the template"):
            packed.load_packed(tmp_path / "a", template)
    with pytest.raises(InputError, match="no integer weights"):
        packed.save_packed(net(), tmp_path / "b")
    content = bytearray((tmp_path / "a").read_bytes())
    content[-1] ^= 1
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match="SHA-256"):
        packed.load_packed(tmp_path / "a", model)
