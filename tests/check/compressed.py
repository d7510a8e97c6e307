"""Answers to the exercises in which a network of chapters 7 to 9 is compressed, for their tests."""

import copy

import torch
from torch import nn

from tutorial_utils.data import to_inputs
from tutorial_utils.deploying import quantize_onnx, save_exported, save_onnx
from tutorial_utils.distillation import kd_loss
from tutorial_utils.measuring import predict
from tutorial_utils.pruning import apply_masks_, keep_masked, make_masks, prune_channels
from tutorial_utils.quantization import best_ptq, quantize_ptq
from tutorial_utils.training import fit

EDGES = {"conv": 8, "fc": 8}


def alone(teacher, student, labelled, unlabelled, val):
    student = copy.deepcopy(student)
    fit(student, labelled, epochs=60, lr=0.02, batch_size=32, show=False)
    return student.eval()


def taught(teacher, student, labelled, unlabelled, val, epochs=8):
    student = copy.deepcopy(student)
    loss = kd_loss(teacher, temperature=4.0, alpha=1.0)
    fit(student, unlabelled, epochs=epochs, lr=0.05, batch_size=64, loss=loss, show=False)
    return student.eval()


def with_hard_answers(teacher, student, labelled, unlabelled, val):
    student = copy.deepcopy(student)
    unlabelled = copy.copy(unlabelled)
    object.__setattr__(unlabelled, "labels", predict(teacher, unlabelled).argmax(1))
    fit(student, unlabelled, epochs=4, lr=0.05, batch_size=64, show=False)
    return student.eval()


def forgetful(teacher, student, *_):
    student = copy.deepcopy(student)
    nn.init.zeros_(student.fc.weight)
    return student


def cut_too_little(teacher, *_):
    return prune_channels(teacher, torch.zeros(1, 3, 32, 32), ratio=0.3, criterion="l1")


def eight_bits(model, train, val):
    return quantize_ptq(model, train[:256])


def three_bits(model, train, val):
    return best_ptq(model, train[:256], n_bits=3, other_bits=EDGES)


def two_bits(model, train, val):
    return best_ptq(model, train[:256], n_bits=2, other_bits=EDGES)


def zeros_and_bits(model, train, val, n_bits=3):
    model = copy.deepcopy(model)
    masks = make_masks(model, 0.6)
    apply_masks_(model, masks)
    fit(model, train, epochs=2, lr=0.02, on_step=keep_masked(masks), show=False)
    apply_masks_(model, masks)
    return quantize_ptq(model.eval(), train[:256], n_bits=n_bits, weight_range="mse",
                        other_bits=EDGES)  # fmt: skip


def simply_two_bits(model, train, val):
    return quantize_ptq(model, train[:256], n_bits=2)


def half_zeros(model, train, val):
    model = copy.deepcopy(model)
    apply_masks_(model, make_masks(model, 0.5))
    return model


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


WRONG_RECIPES = {
    "teach": [
        (forgetful, "little better than guessing"),
        (cut_too_little, "does not keep to the budget"),
        (alone, "an answer to each of them"),
    ],
    "combine": [
        (eight_bits, "a halving of the file is worth three"),
        (simply_two_bits, "before you compress less"),
        (half_zeros, "does not keep to the budget"),
    ],
    "ship": [
        (lambda model, calibration, folder: folder / "x.pt2", "know how to load it"),
        (lambda model, calibration, folder: ("exported", folder / "none.pt2"), "write the file"),
        (lambda model, calibration, folder: model, "know how to load it"),
        (of_one_size, "free batch size"),
        (pickled, "none of your classes"),
        (float_file, "still float"),
        (two_bit_file, "does not keep to the budget"),
    ],
}  # fmt: skip
LAZY_RECIPES = {"teach": alone, "combine": eight_bits, "ship": float_file}
