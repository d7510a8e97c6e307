"""Answers to the exercises in which a network of chapter 7 or 8 is compressed, for tests."""

import copy

import torch
from torch import nn

from tutorial_utils.distillation import kd_loss
from tutorial_utils.measuring import predict
from tutorial_utils.pruning import apply_masks_, make_masks, prune_channels
from tutorial_utils.quantization import best_ptq, quantize_ptq
from tutorial_utils.training import fit

EDGES = {"conv": 8, "fc": 8}


def alone(teacher, student, labelled, unlabelled, val):
    student = copy.deepcopy(student)
    fit(student, labelled, epochs=60, lr=0.02, batch_size=32, show=False)
    return student.eval()


def taught(teacher, student, labelled, unlabelled, val):
    student = copy.deepcopy(student)
    loss = kd_loss(teacher, temperature=4.0, alpha=1.0)
    fit(student, unlabelled, epochs=8, lr=0.05, batch_size=64, loss=loss, show=False)
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


def simply_two_bits(model, train, val):
    return quantize_ptq(model, train[:256], n_bits=2)


def simply_three_bits(model, train, val):
    return quantize_ptq(model, train[:256], n_bits=3)


def half_zeros(model, train, val):
    model = copy.deepcopy(model)
    apply_masks_(model, make_masks(model, 0.5))
    return model
