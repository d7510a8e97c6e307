"""A teacher's stored answers: the same training as with a teacher that is asked."""

import copy

import pytest
import torch

from tutorial_utils.data import load
from tutorial_utils.distillation import find_labels, kd_loss, numbered_views, stored_kd_loss
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import predict
from tutorial_utils.models import resnet8
from tutorial_utils.training import cross_entropy, fit


@pytest.fixture(scope="module")
def data():
    return load("digits", n_train=20)


def test_views_are_varied_copies_with_numbers(data):
    views, labels = numbered_views(data, n_views=3, seed=1)
    assert views.labels.tolist() == list(range(60))
    assert labels.tolist() == data.train.labels.tolist() * 3
    assert views.source.tolist() == data.train.source.tolist() * 3
    first, second = views.images[:20], views.images[20:40]
    assert not torch.equal(first, second) and not torch.equal(first, data.train.images)
    again, _ = numbered_views(data, n_views=3, seed=1)
    other, _ = numbered_views(data, n_views=3, seed=2)
    assert torch.equal(views.images, again.images) and not torch.equal(views.images, other.images)


def test_training_with_stored_answers_is_training_with_the_teacher(data):
    torch.manual_seed(0)
    teacher, student = resnet8(width=4).eval(), resnet8(width=4)
    views, labels = numbered_views(data, n_views=2, seed=0)
    losses = {
        "stored": stored_kd_loss(predict(teacher, views), labels, 4.0, 0.7),
        "asked": find_labels(labels, kd_loss(teacher, 4.0, 0.7)),
        "alone": find_labels(labels, cross_entropy),
    }
    ends = {}
    for name, loss in losses.items():
        model = copy.deepcopy(student)
        fit(model, views, epochs=1, batch_size=10, lr=0.05, loss=loss, show=False)
        ends[name] = predict(model, data.val[:50])
    torch.testing.assert_close(ends["stored"], ends["asked"], rtol=1e-3, atol=1e-3)
    assert (ends["stored"] - ends["alone"]).abs().max() > 0.01


def test_answers_to_other_images_are_refused(data):
    _, labels = numbered_views(data, n_views=2, seed=0)
    with pytest.raises(InputError, match=r"answers \(3, 10\) for 40 labels"):
        stored_kd_loss(torch.zeros(3, 10), labels, 4.0, 0.9)
    with pytest.raises(InputError, match="temperature=0"):
        stored_kd_loss(torch.zeros(40, 10), labels, 0.0, 0.9)
    with pytest.raises(InputError, match="n_views=0"):
        numbered_views(data, n_views=0, seed=0)
