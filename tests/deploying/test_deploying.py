"""Exported files, each loaded in a process of its own, against the model they come from."""

import sys
import types
import zipfile

import pytest
import torch
from torch import nn

from tutorial_utils.deploying import (
    CompilerMissing,
    RuntimeMissing,
    count_integer_convolutions,
    formats,
    has_compiler,
    load_and_time,
    missing,
    package_target,
    quantize_onnx,
    run_isolated,
    save_aoti,
    save_executorch,
    save_exported,
    save_onnx,
)
from tutorial_utils.deploying.isolated import kernel_ms
from tutorial_utils.errors import InputError
from tutorial_utils.quantization import quantize_ptq, why_no_int8_kernels

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")
needs_int8_kernels = pytest.mark.skipif(
    bool(why_no_int8_kernels()), reason=str(why_no_int8_kernels())
)
needs_onnx = pytest.mark.skipif(bool(missing("onnx")), reason="ONNX Runtime is not installed")
needs_executorch = pytest.mark.skipif(bool(missing("executorch")), reason="optional extra")
SIZES = (1, 4)


class SmallNet(nn.Module):
    """Two convolutions with a shortcut, so that an addition is among the operations."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.conv2, self.relu = nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()
        self.fc = nn.Linear(16, 5)

    def forward(self, inputs):
        out = self.relu(self.bn(self.conv1(inputs)))
        return self.fc(self.relu(self.conv2(out) + out).mean((2, 3)))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = SmallNet().eval()
    nn.init.normal_(model.fc.weight, std=3)  # answers that differ by more than rounding
    return model


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4 * 4 + 3, 3, 8, 8, generator=generator)  # the last batch has three


@pytest.fixture(scope="module")
def int8_model(model, images):
    return quantize_ptq(model, images)


def answers(model, images):
    with torch.no_grad():
        return model(images)


def check(report, expected, tolerance):
    """It answered every image, and what it reports is plausible."""
    torch.testing.assert_close(report.answers, expected, atol=tolerance, rtol=0)
    assert not {"tutorial_utils", "pytest"} & report.modules
    assert set(report.latency) == set(SIZES)
    assert min(report.import_ms, report.load_ms, *map(report.latency_ms, SIZES)) > 0


@pytest.mark.slow
def test_export_file_computes_the_same_to_the_bit(model, int8_model, images, tmp_path):
    for candidate, name in ((model, "float.pt2"), (int8_model, "int8.pt2")):
        path = save_exported(candidate, images, tmp_path / name)
        report = run_isolated("exported", path, images, batch_sizes=SIZES)
        expected = torch.cat([answers(candidate, batch) for batch in images.split(4)])
        check(report, expected, 1e-5)
        assert report.size_bytes == path.stat().st_size
        assert b"test_deploying.py" not in path.read_bytes()  # where the model was defined
    assert sorted(file.name for file in tmp_path.iterdir()) == ["float.pt2", "int8.pt2"]


@pytest.mark.slow
@needs_compiler
@needs_int8_kernels
def test_aoti_package_has_integer_kernels_and_any_batch_size(int8_model, images, tmp_path, capfd):
    path = save_aoti(int8_model, images, tmp_path / "int8.pt2")
    assert capfd.readouterr() == ("", "")  # autotuning is silent
    with zipfile.ZipFile(path) as package:
        code = b"".join(package.read(name) for name in package.namelist() if name.endswith(".cpp"))
    assert b"qconv" in code and b"qlinear" in code
    report = run_isolated("aoti", path, images, batch_sizes=SIZES, threads=1)
    expected = answers(int8_model, images)
    check(report, expected, 0.03 * expected.abs().max())
    assert report.kernel_ms is None or 0 < report.kernel_ms < 50
    target = package_target(path)
    assert target["platform"] == sys.platform and set(target) == {"platform", "machine", "isa"}


@pytest.mark.slow
@needs_onnx
def test_onnx_files_need_no_torch_and_keep_or_make_scales(model, int8_model, images, tmp_path):
    float_file = save_onnx(model, images, tmp_path / "float.onnx")
    report = run_isolated("onnx", float_file, images, batch_sizes=SIZES)
    check(report, answers(model, images), 1e-4)
    assert "torch" not in report.modules
    assert count_integer_convolutions(float_file) == 0

    expected = answers(int8_model, images)
    graph = save_onnx(int8_model, images, tmp_path / "graph.onnx")
    report = run_isolated("onnx", graph, images, batch_sizes=SIZES)
    check(report, expected, 0.03 * expected.abs().max())

    own = quantize_onnx(float_file, tmp_path / "own.onnx", images, unsigned=True)
    assert count_integer_convolutions(own) == 2
    report = run_isolated("onnx", own, images, batch_sizes=SIZES)
    check(report, expected, 0.1 * expected.abs().max())
    signed = quantize_onnx(float_file, tmp_path / "signed.onnx", images)
    assert signed.read_bytes() != own.read_bytes()


@needs_executorch
def test_executorch_program(model, images, tmp_path):
    path = save_executorch(model, images, tmp_path / "int8.pte")
    report = run_isolated("executorch", path, images, batch_sizes=(1, 4))
    expected = answers(model, images)
    check(report, expected, 0.1 * expected.abs().max())
    in_float = save_executorch(model, images, tmp_path / "float.pte", quantized=False)
    check(run_isolated("executorch", in_float, images, batch_sizes=(1, 4)), expected, 1e-4)
    assert path.stat().st_size < in_float.stat().st_size


@pytest.mark.slow
def test_a_damaged_file_is_reported_with_its_last_line(tmp_path, images):
    path = tmp_path / "broken.pt2"
    path.write_bytes(b"no zip file")
    with pytest.raises(RuntimeError, match="process that ran broken.pt2 failed: .*not a zip"):
        run_isolated("exported", path, images, batch_sizes=SIZES)
    with pytest.raises(InputError, match="not an AOTInductor package"):
        package_target(path)


def test_a_process_that_takes_too_long_is_ended(tmp_path, images):
    path = tmp_path / "slow.pt2"
    path.write_bytes(b"its time is over before it is read")
    with pytest.raises(RuntimeError, match="ran slow.pt2 took more than 0.01 s"):
        run_isolated("exported", path, images, batch_sizes=SIZES, limit_s=0.01)


def test_a_file_that_failed_leaves_nothing(int8_model, images, tmp_path, monkeypatch):
    path = tmp_path / "model.pt2"
    path.write_bytes(b"the last good one")

    def fail(program, part):
        part.write_bytes(b"half a file")
        raise OSError("disk full")

    monkeypatch.setattr(torch.export, "save", fail)
    with pytest.raises(InputError, match="disk full"):
        save_exported(int8_model, images, path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"the last good one"]


def test_bad_input_is_refused_before_any_work(model, images, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"eval\(\)"):
        save_exported(SmallNet(), images, tmp_path / "a.pt2")
    with pytest.raises(InputError, match=r"\.onnx"):
        save_onnx(model, images, tmp_path / "a.pt2")
    for kind, path, n, reason in (
        ("tflite", __file__, 19, "exported, aoti"),
        ("onnx", "nowhere.onnx", 19, "no such file"),
        ("onnx", __file__, 3, "cannot fill a batch of 4"),
    ):
        with pytest.raises(InputError, match=reason):
            run_isolated(kind, path, images[:n], batch_sizes=SIZES)
    with pytest.raises(InputError, match="tflite"):
        missing("tflite")
    monkeypatch.setattr(formats, "has_compiler", lambda: False)
    assert missing("aoti") == "no C++ compiler"
    with pytest.raises(CompilerMissing, match="no C"):
        save_aoti(model, images, tmp_path / "a.pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_runtime_is_named(model, images, tmp_path, monkeypatch):
    find = types.SimpleNamespace(find_spec=lambda name: None)
    monkeypatch.setattr(formats.importlib, "util", find)
    assert missing("exported") is None
    assert missing("onnx") == "not installed: onnx onnxscript onnxruntime"
    with pytest.raises(RuntimeMissing, match=r'pip install "tutorial_utils\[onnx\]"'):
        save_onnx(model, images, tmp_path / "a.onnx")
    with pytest.raises(RuntimeMissing, match=r'pip install "tutorial_utils\[executorch\]"'):
        save_executorch(model, images, tmp_path / "a.pte")


def test_kernel_times_are_read_from_the_log_of_onednn():
    line = "onednn_verbose,v1,primitive,exec,cpu,convolution,brg,forward_inference,f32,,mb1,0.5"
    created = "onednn_verbose,v1,primitive,create:cache_hit,cpu,convolution,brg,,,mb1,7"
    assert kernel_ms("\n".join(["noise", line, created, line])) == 1
    assert kernel_ms("noise") is None


def test_times_of_calls():
    seen = []
    times = load_and_time.time_calls(seen.append, "images", n_rounds=4, seconds=0.001)
    assert len(times) == 4 and min(times) > 0
    assert len(seen) >= 3 + 4 * 2  # three to warm up, several in each round
