"""Answers to the exercise in which a network is written to a file, for its tests."""

import torch

from tutorial_utils.data import to_inputs
from tutorial_utils.deploying import quantize_onnx, save_exported, save_onnx
from tutorial_utils.quantization import quantize_ptq


def float_file(model, calibration, folder):
    return "exported", save_exported(model, to_inputs(calibration), folder / "float.pt2")


def int8_file(model, calibration, folder):
    quantized = quantize_ptq(model, calibration)
    return "exported", save_exported(quantized, to_inputs(calibration), folder / "int8.pt2")


def int8_onnx_file(model, calibration, folder):
    quantized = quantize_ptq(model, calibration)
    return "onnx", save_onnx(quantized, to_inputs(calibration), folder / "graph.onnx")


def signed_onnx_file(model, calibration, folder):
    source = save_onnx(model, to_inputs(calibration), folder / "source.onnx")
    return "onnx", quantize_onnx(source, folder / "signed.onnx", calibration)


def of_one_size(model, calibration, folder):
    program = torch.export.export(model, (to_inputs(calibration[:4]).clone(),))
    torch.export.save(program, folder / "fixed.pt2")
    return "exported", folder / "fixed.pt2"


def pickled(model, calibration, folder):
    torch.save(model, folder / "pickle.pt2")
    return "exported", folder / "pickle.pt2"


def two_bit_file(model, calibration, folder):
    quantized = quantize_ptq(model, calibration, n_bits=2)
    return "exported", save_exported(quantized, to_inputs(calibration), folder / "two.pt2")


WRONG_FILES = [
    (lambda model, calibration, folder: folder / "x.pt2", "know how to load it"),
    (lambda model, calibration, folder: ("exported", folder / "none.pt2"), "write the file"),
    (lambda model, calibration, folder: model, "know how to load it"),
    (of_one_size, "free batch size"),
    (pickled, "none of your classes"),
    (float_file, "still float"),
    (two_bit_file, "does not keep to the budget"),
]  # fmt: skip
