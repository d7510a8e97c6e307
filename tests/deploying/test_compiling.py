"""Compiled models against the uncompiled ones. Skipped where there is no C++ compiler."""

import logging
import re
import warnings

import pytest
import torch
from torch import nn

from tutorial_utils.deploying import (
    CompilerMissing,
    compile_for_inference,
    compiling,
    count_integer_kernels,
    has_compiler,
)
from tutorial_utils.errors import InputError
from tutorial_utils.quantization import quantize_ptq, why_no_int8_kernels

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")
needs_int8_kernels = pytest.mark.skipif(
    bool(why_no_int8_kernels()), reason=str(why_no_int8_kernels())
)


def inputs(n):
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(n))


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(),
        nn.Linear(16 * 36, 5),
    ).eval()  # fmt: skip


@pytest.mark.slow
@needs_compiler
def test_compiled_models_compute_the_same_for_each_batch_size():
    model = small_net()
    quantized = quantize_ptq(model, inputs(16))
    settings = torch._inductor.config.save_config(), torch._dynamo.config.save_config()
    filters, level = list(warnings.filters), logging.getLogger("torch.utils.cpp_extension").level
    for candidate, tolerance in ((model, 1e-5), (quantized, 0.02)):
        run = compile_for_inference(candidate, inputs(8))
        assert run.compile_s > 0 and run.model is candidate
        for n in (8, 1, 8):
            out = run(inputs(n))
            assert not out.requires_grad
            with torch.no_grad():
                torch.testing.assert_close(out, candidate(inputs(n)), atol=tolerance, rtol=0)
        assert repr(run) == f"CompiledModel({type(candidate).__name__}, compiled for 2 shapes)"
    # Nothing of this stays behind.
    assert settings == (torch._inductor.config.save_config(), torch._dynamo.config.save_config())
    assert list(warnings.filters) == filters
    assert logging.getLogger("torch.utils.cpp_extension").level == level


@pytest.mark.slow
@needs_compiler
@needs_int8_kernels
def test_quantized_model_becomes_integer_kernels():
    from torch._inductor.utils import run_and_get_code

    quantized = quantize_ptq(small_net(), inputs(16))
    _, code = run_and_get_code(compile_for_inference, quantized, inputs(5))
    assert "qconv" in "".join(code) and "qlinear" in "".join(code)


@pytest.mark.slow
@needs_compiler
@needs_int8_kernels
def test_integer_kernels_are_counted_and_missing_ones_named():
    """All, the convolution alone, and none."""
    from torch._inductor.utils import run_and_get_code

    cases = (({}, 2, ""), ({"skip": "4"}, 1, ""), ({"per_channel": False}, 0, r"0, 4.*per_channel"))
    for options, expected, complaint in cases:
        quantized = quantize_ptq(small_net(), inputs(16), **options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run, code = run_and_get_code(compile_for_inference, quantized, inputs(5))
        assert count_integer_kernels(run) == expected
        assert ("qconv" in "".join(code)) == bool(expected)  # the generated code has the calls
        said = [str(w.message) for w in caught if "integer kernels" in str(w.message)]
        assert len(said) == bool(complaint) and all(re.search(complaint, text) for text in said)
    run(inputs(1))
    assert count_integer_kernels(run) == 0


@pytest.mark.slow
@needs_compiler
def test_a_float_model_has_no_integer_kernels():
    assert count_integer_kernels(compile_for_inference(small_net(), inputs(2))) == 0


@pytest.mark.slow
@needs_compiler
def test_many_models_of_one_class_can_be_compiled():
    # torch counts recompilations per class and gives up after 8.
    for index in range(10):
        model = nn.Linear(3, 2).eval()
        run = compile_for_inference(model, torch.ones(2 + index, 3))
        torch.testing.assert_close(run(torch.ones(1, 3)), model(torch.ones(1, 3)).detach())


def test_missing_compiler_and_training_mode_are_refused(monkeypatch):
    with pytest.raises(InputError, match="eval"):
        compile_for_inference(small_net().train(), inputs(2))
    monkeypatch.setattr(compiling, "has_compiler", lambda: False)
    with pytest.raises(CompilerMissing, match="install"):
        compile_for_inference(small_net(), inputs(2))


def test_compiler_is_looked_for(monkeypatch):
    import torch._inductor.cpp_builder as builder
    from torch._inductor.exc import InvalidCxxCompiler

    def fail():
        raise InvalidCxxCompiler

    monkeypatch.setattr(builder, "get_cpp_compiler", fail)
    assert not has_compiler()


@needs_compiler
@pytest.mark.slow
def test_a_callers_inference_mode_does_not_compile_again():
    """It did, without freezing, so that the timed model was not the compiled one."""
    run = compile_for_inference(small_net(), inputs(2))
    with torch.inference_mode():
        run(inputs(2))  # a tensor that was made in inference mode counts as another layout
    ordinary = inputs(2)
    with torch._dynamo.config.patch(error_on_recompile=True):
        run(ordinary)
        with torch.inference_mode():
            assert run(ordinary).shape == run(inputs(2)).shape == (2, 5)


@pytest.mark.slow
@needs_compiler
@needs_int8_kernels
def test_an_export_in_between_does_not_undo_the_freezing():
    """Any strict export clears what torch has compiled; it came back as float code, and slow."""
    from torch._inductor.utils import run_and_get_code

    run = compile_for_inference(quantize_ptq(small_net(), inputs(16)), inputs(2))
    expected = run(inputs(2))
    for _ in range(2):
        quantize_ptq(nn.Sequential(nn.Conv2d(3, 4, 3)).eval(), inputs(4))
        outputs, code = run_and_get_code(run, inputs(2))
        assert "qconv" in "".join(code)
        assert torch.equal(outputs, expected)
        with torch._dynamo.config.patch(error_on_recompile=True):
            run(inputs(2))
