"""Distillation losses by hand, by finite differences and by identities; comparisons by scipy."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn
from torchvision.models import mobilenet_v2, resnet18

from tutorial_utils.data import Dataset, Split
from tutorial_utils.distillation import (
    Hinted,
    Remembering,
    attention_loss,
    attention_map,
    attention_transfer_loss,
    capture_features,
    distillation_loss,
    feature_loss,
    hint_loss,
    kd_loss,
    soft_target_loss,
)
from tutorial_utils.distillation.teaching import ask
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import Difference, agreement, calibration_error, paired_difference
from tutorial_utils.models import resnet8
from tutorial_utils.training import fit


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_data(n_images=128):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (n_images, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(10, (n_images,), generator=generator)
    split = Split(images, labels, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return Dataset("random", tuple("0123456789"), split, split, split, flip=False, key="random")


STUDENT, TEACHER, LABELS = randn(4, 5), 3 * randn(4, 5, seed=1), torch.tensor([0, 4, 2, 2])


# -- losses on tensors ---------------------------------------------------------------------------


def test_soft_target_loss_by_hand():
    # Two classes, T = 2: teacher (2 ln 3, 0) says (3/4, 1/4), student (0, 0) says (1/2, 1/2).
    teacher = torch.tensor([[2 * math.log(3), 0.0]], dtype=torch.float64)
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    student = torch.zeros(1, 2, dtype=torch.float64)
    assert soft_target_loss(student, teacher, 2.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_soft_target_loss_is_cross_entropy_less_the_entropy_of_the_teacher(temperature):
    probabilities = (TEACHER / temperature).softmax(1)
    entropy = -(probabilities * probabilities.log()).sum(1).mean()
    expected = temperature**2 * (F.cross_entropy(STUDENT / temperature, probabilities) - entropy)
    torch.testing.assert_close(soft_target_loss(STUDENT, TEACHER, temperature), expected)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_soft_target_loss_has_the_gradient_of_the_paper(temperature):
    # Hinton et al., equation 2, times T squared, averaged over the images.
    student = STUDENT.clone().requires_grad_(True)
    soft_target_loss(student, TEACHER, temperature).backward()
    difference = (STUDENT / temperature).softmax(1) - (TEACHER / temperature).softmax(1)
    torch.testing.assert_close(student.grad, temperature * difference / len(STUDENT))


def test_soft_target_loss_matches_logits_at_high_temperature():
    # Hinton et al., section 2.1: half the squared difference of centred logits, per class.
    centred = (STUDENT - STUDENT.mean(1, True)) - (TEACHER - TEACHER.mean(1, True))
    expected = centred.square().sum(1).mean() / (2 * STUDENT.shape[1])
    loss = soft_target_loss(STUDENT, TEACHER, 1e4)
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=0)


def test_soft_target_loss_does_not_depend_on_batch_size_or_a_shift_of_the_logits():
    twice = soft_target_loss(STUDENT.repeat(2, 1), TEACHER.repeat(2, 1), 4.0)
    torch.testing.assert_close(twice, soft_target_loss(STUDENT, TEACHER, 4.0))
    torch.testing.assert_close(soft_target_loss(STUDENT + 7, TEACHER - 3, 4.0), twice)


def test_distillation_loss_mixes_teacher_and_labels():
    soft, hard = soft_target_loss(STUDENT, TEACHER, 4.0), F.cross_entropy(STUDENT, LABELS)
    for alpha in (0.0, 0.3, 1.0):
        loss = distillation_loss(STUDENT, TEACHER, LABELS, 4.0, alpha)
        torch.testing.assert_close(loss, alpha * soft + (1 - alpha) * hard)


def test_feature_loss_by_hand():
    assert feature_loss(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.zeros(1, 4)).item() == 3.75


def test_attention_map_and_loss_by_hand():
    # Two channels, two places: squares sum to (3, 4), of length 5.
    student = torch.tensor([[[[1.0, 2.0]], [[math.sqrt(2), 0.0]]]])
    torch.testing.assert_close(attention_map(student), torch.tensor([[0.6, 0.8]]))
    teacher = torch.tensor([[[[0.0, 7.0]]]])  # one channel: (0, 1)
    assert attention_loss(student, teacher).item() == pytest.approx((0.6**2 + 0.2**2) / 2)


def test_gradients_by_finite_differences():
    student = STUDENT.clone().requires_grad_(True)
    features = randn(2, 3, 4, 4).requires_grad_(True)
    for loss, values in [
        (lambda s: soft_target_loss(s, TEACHER, 3.0), student),
        (lambda s: distillation_loss(s, TEACHER, LABELS, 3.0, 0.7), student),
        (lambda f: feature_loss(f, randn(2, 3, 4, 4, seed=1)), features),
        (lambda f: attention_loss(f, randn(2, 5, 4, 4, seed=1)), features),
    ]:
        assert torch.autograd.gradcheck(loss, (values,))


def test_the_teacher_gets_no_gradient():
    teacher = randn(4, 5, 2, 2).requires_grad_(True)
    student = randn(4, 5, 2, 2, seed=1).requires_grad_(True)
    losses = [
        soft_target_loss(student.mean((2, 3)), teacher.mean((2, 3)), 4.0),
        feature_loss(student, teacher),
        attention_loss(student, teacher),
    ]
    sum(losses).backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0


def test_half_precision_inputs_are_computed_in_float32():
    student, teacher = STUDENT.bfloat16(), TEACHER.bfloat16()
    exact = distillation_loss(student.float(), teacher.float(), LABELS, 4.0, 0.5)
    assert distillation_loss(student, teacher, LABELS, 4.0, 0.5) == exact
    features = randn(2, 3, 4, 4).bfloat16()
    assert torch.equal(attention_map(features), attention_map(features.float()))
    assert feature_loss(features, 2 * features) == feature_loss(features.float(), 2 * features)


# -- features ------------------------------------------------------------------------------------


def test_captured_features_are_the_outputs_and_hooks_go_away():
    model = resnet8(width=4).eval()
    inputs = randn(2, 3, 32, 32, dtype=torch.float32)
    with capture_features(model, ["stage1", "stage2.0.conv1"]) as features:
        model(inputs)
    stage1 = model.stage1(model.relu(model.bn(model.conv(inputs))))
    torch.testing.assert_close(features["stage1"], stage1)
    torch.testing.assert_close(features["stage2.0.conv1"], model.stage2[0].conv1(stage1))
    features.clear()
    model(inputs)
    assert not features
    with pytest.raises(ZeroDivisionError), capture_features(model, ["stage1"]) as features:
        raise ZeroDivisionError
    model(inputs)
    assert not features


def test_asking_the_teacher_is_without_gradients_and_leaves_batch_norm_alone():
    teacher = resnet8(width=4).train()
    before = copy.deepcopy(teacher.state_dict())
    teacher.fc.eval()
    inputs = randn(4, 3, 32, 32, dtype=torch.float32)
    logits = ask(teacher, inputs)
    assert not logits.requires_grad and teacher.training and not teacher.fc.training
    torch.testing.assert_close(logits, copy.deepcopy(teacher).eval()(inputs))
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())


def test_a_teacher_on_another_device_is_refused_and_not_moved():
    teacher = resnet8(width=4).to("meta").eval()
    with pytest.raises(InputError, match="teacher is on meta.*inputs.*cpu.*teacher.to"):
        ask(teacher, torch.zeros(2, 3, 32, 32))
    assert {weight.device.type for weight in teacher.parameters()} == {"meta"}


def test_a_remembering_teacher_is_asked_once_about_a_batch_and_gives_the_same_answers():
    teacher = resnet8(width=4).eval()
    patient, calls = Remembering(teacher), []
    teacher.register_forward_hook(lambda *_: calls.append(1))
    first = randn(4, 3, 32, 32, dtype=torch.float32)
    swapped = first[[1, 0, 2, 3]]
    for inputs in (first, swapped, first.to(memory_format=torch.channels_last), first):
        answer = ask(patient, inputs)
        with torch.no_grad():
            torch.testing.assert_close(answer, teacher.forward(inputs))
        assert not answer.requires_grad
    assert len(calls) == 2  # forward() as a method calls no hooks
    with pytest.raises(InputError, match="eval"):
        patient.train()(first)


def test_students_of_a_remembering_teacher_are_those_of_the_teacher_itself():
    student, teacher = narrow_student_and_teacher()
    trained = []
    for asked in (teacher, Remembering(teacher)):
        model = copy.deepcopy(student)
        fit(model, random_data(), epochs=1, batch_size=32, loss=kd_loss(asked), show=False)
        trained.append(model.state_dict())
    assert all(torch.equal(trained[0][key], value) for key, value in trained[1].items())


# -- training ------------------------------------------------------------------------------------


def narrow_student_and_teacher():
    torch.manual_seed(0)
    return resnet8(width=4), resnet8(width=8).train()


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("method", ["kd", "attention", "hint"])
def test_every_method_trains_the_student_and_not_the_teacher(method, bf16):
    student, teacher = narrow_student_and_teacher()
    before = copy.deepcopy(teacher.state_dict())
    start = copy.deepcopy(student.state_dict())
    model, regressor = student, nn.Conv2d(8, 16, 1)
    regressor_start = regressor.weight.detach().clone()
    if method == "kd":
        loss = kd_loss(teacher, temperature=4.0, alpha=0.9)
    elif method == "attention":
        loss = attention_transfer_loss(teacher, ["stage1", "stage2", "stage3"])
    else:
        model, loss = Hinted(student, regressor), hint_loss(teacher, "stage2")
    history = fit(model, random_data(), epochs=2, batch_size=32, loss=loss, bf16=bf16, show=False)
    assert all(math.isfinite(epoch["loss"]) and 0 <= epoch["accuracy"] <= 1 for epoch in history)
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not torch.equal(start["conv.weight"], student.conv.weight)
    assert torch.equal(regressor_start, regressor.weight) == (method != "hint")


def test_with_full_alpha_the_labels_do_not_matter_and_with_none_the_teacher_does_not():
    student, teacher = narrow_student_and_teacher()
    student.eval()
    inputs = randn(4, 3, 32, 32, dtype=torch.float32)
    only_teacher, only_labels = kd_loss(teacher, 4.0, 1.0), kd_loss(teacher, 4.0, 0.0)
    others = (LABELS + 1) % 5
    assert only_teacher(student, inputs, LABELS) == only_teacher(student, inputs, others)
    expected = F.cross_entropy(student(inputs), LABELS)
    torch.testing.assert_close(only_labels(student, inputs, LABELS), expected)


def test_losses_of_the_makers_are_cross_entropy_plus_their_term():
    student, teacher = narrow_student_and_teacher()
    student.eval()
    regressor, inputs = nn.Conv2d(8, 16, 1), randn(4, 3, 32, 32, dtype=torch.float32)
    with capture_features(student, ["stage1", "stage2"]) as ours:
        hard = F.cross_entropy(student(inputs), LABELS)
    with capture_features(teacher.eval(), ["stage1", "stage2"]) as theirs:
        teacher(inputs)
    transfer = sum(attention_loss(ours[name], theirs[name]) for name in ours)
    loss = attention_transfer_loss(teacher, ["stage1", "stage2"], beta=7.0)
    torch.testing.assert_close(loss(student, inputs, LABELS), hard + 7 * transfer)
    hint = feature_loss(regressor(ours["stage2"]), theirs["stage2"])
    loss = hint_loss(teacher, "stage2", beta=3.0)
    hinted = Hinted(student, regressor)
    torch.testing.assert_close(loss(hinted, inputs, LABELS), hard + 3 * hint)


def test_torchvision_models_distil_too():
    teacher, student = mobilenet_v2(weights=None, num_classes=10), resnet8(width=4)
    inputs = randn(4, 3, 32, 32, dtype=torch.float32)
    kd_loss(teacher)(student, inputs, LABELS).backward()
    assert student.conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("method", ["kd", "attention", "hint"])
def test_every_method_distils_torchvision_resnet18_into_itself(method):
    torch.manual_seed(0)
    teacher, student = (resnet18(weights=None, num_classes=10) for _ in range(2))
    model = student
    if method == "kd":
        loss = kd_loss(teacher)
    elif method == "attention":
        loss = attention_transfer_loss(teacher, ["layer1", "layer4"])
    else:
        model, loss = Hinted(student, nn.Conv2d(128, 128, 1)), hint_loss(teacher, "layer2")
    loss(model, randn(4, 3, 32, 32, dtype=torch.float32), LABELS).backward()
    assert student.conv1.weight.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in teacher.parameters())


# -- comparing -----------------------------------------------------------------------------------


def test_agreement_counts_equal_answers():
    logits = torch.eye(4)
    assert agreement(logits, logits * 9) == 1.0
    assert agreement(logits, logits[[0, 1, 3, 2]]) == 0.5


@pytest.mark.parametrize("n_bins", [1, 10, 15])
def test_calibration_error_equals_a_loop_over_bins(n_bins):
    logits = randn(500, 10) * 2
    labels = torch.randint(10, (500,), generator=torch.Generator().manual_seed(3))
    labels = torch.where(torch.arange(500) % 2 == 0, logits.argmax(1), labels)
    confidence, answer = logits.softmax(1).numpy().max(1), logits.argmax(1)
    correct = (answer == labels).numpy()
    expected = 0.0
    for m in range(n_bins):
        inside = (confidence > m / n_bins) & (confidence <= (m + 1) / n_bins)
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert calibration_error(logits, labels, n_bins) == pytest.approx(expected)


def test_a_calibrated_model_has_no_calibration_error():
    # Confidence 3/4, and three of four right.
    logits = torch.tensor([[math.log(3), 0.0]]).repeat(4, 1)
    assert calibration_error(logits, torch.tensor([0, 0, 1, 0])) == pytest.approx(0, abs=1e-7)
    assert calibration_error(logits, torch.tensor([1, 1, 1, 1])) == pytest.approx(0.75)


def test_paired_difference_equals_the_paired_t_interval_of_scipy():
    rng = np.random.default_rng(0)
    b = rng.normal(0.8, 0.02, 6)
    a = b + rng.normal(0.01, 0.005, 6)
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    result = paired_difference(a.tolist(), b.tolist())
    assert result.mean == pytest.approx((a - b).mean())
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high))


def test_paired_difference_without_spread_has_an_interval_of_no_width():
    assert paired_difference([2.0, 3.0], [1.0, 2.0]) == (1.0, 1.0, 1.0)


def test_the_verdict_is_that_of_the_interval():
    assert paired_difference([0.5, 0.6, 0.7], [0.4, 0.5, 0.6]).verdict == "better"
    assert paired_difference([0.4, 0.5, 0.6], [0.5, 0.6, 0.7]).verdict == "worse"
    assert paired_difference([0.5, 0.6], [0.4, 0.7]).verdict == "inconclusive"
    assert Difference(0.1, 0.0, 0.2).verdict == "inconclusive"
    assert Difference(-0.1, -0.2, 0.0).verdict == "inconclusive"


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_not_above_zero_is_refused(temperature):
    for call in (
        lambda: soft_target_loss(STUDENT, TEACHER, temperature),
        lambda: distillation_loss(STUDENT, TEACHER, LABELS, temperature, 0.5),
        lambda: kd_loss(nn.Identity(), temperature),
    ):
        with pytest.raises(InputError, match="above 0"):
            call()


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_outside_its_range_is_refused(alpha):
    with pytest.raises(InputError, match="from 0 to 1"):
        kd_loss(nn.Identity(), alpha=alpha)
    with pytest.raises(InputError, match="from 0 to 1"):
        distillation_loss(STUDENT, TEACHER, LABELS, 4.0, alpha)


def test_different_classes_are_refused_before_a_step():
    student, teacher = resnet8(n_classes=10, width=4), resnet8(n_classes=7, width=4)
    before = copy.deepcopy(student.state_dict())
    with pytest.raises(InputError, match=r"\(64, 10\).*\(64, 7\)"):
        fit(student, random_data(), epochs=1, batch_size=64, loss=kd_loss(teacher), show=False)
    weights = dict(student.named_parameters())
    assert all(torch.equal(before[name], weight) for name, weight in weights.items())


def test_features_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="regressor"):
        feature_loss(torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 4, 4))
    for shape in [(3, 3, 4, 4), (2, 3, 5, 4), (2, 3, 4, 5)]:
        with pytest.raises(InputError, match="height and width"):
            attention_loss(torch.zeros(2, 3, 4, 4), torch.zeros(shape))
    with pytest.raises(InputError, match="stage9"), capture_features(resnet8(), ["stage9"]):
        pass


def test_bad_comparisons_are_refused():
    with pytest.raises(InputError, match="as many labels as logits"):
        calibration_error(torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(InputError, match="at least two"):
        paired_difference([0.5], [0.4])
    with pytest.raises(InputError, match="2 and 3 values"):
        paired_difference([0.5, 0.6], [0.4, 0.5, 0.6])
