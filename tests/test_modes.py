"""A model is lent in eval mode and comes back as it was."""

import copy

import pytest
import torch
from torch import nn

from tutorial_utils.models import make_model
from tutorial_utils.modes import device_of, in_eval_mode, module_of, set_training
from tutorial_utils.quantization import prepare_qat


def state(model):
    modes = [module.training for module in model.modules()]
    return modes, copy.deepcopy(model.state_dict())


def same(before, model):
    modes, tensors = state(model)
    return modes == before[0] and all(
        torch.equal(value, before[1][name]) for name, value in tensors.items()
    )


def test_frozen_parts_stay_frozen_and_errors_change_nothing():
    model = make_model("resnet8").train()
    model.stage2.eval()
    before = state(model)
    with pytest.raises(KeyError), in_eval_mode(model) as run:
        assert run is model and not any(module.training for module in model.modules())
        raise KeyError
    assert same(before, model)


def test_ranges_of_a_model_in_quantization_aware_training_go_on_moving_afterwards():
    inputs = torch.randn(4, 3, 16, 16)
    model = prepare_qat(make_model("resnet8"), inputs).train()
    before = state(model)
    with in_eval_mode(model) as run:
        run(10 * inputs)
    assert same(before, model)
    model(10 * inputs)
    assert not same(before, model)


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("exported_in_training", [False, True])
@pytest.mark.slow
def test_an_exported_graph_is_lent_in_eval_mode(exported_in_training, copied):
    model = make_model("resnet8").train(exported_in_training)
    inputs = torch.randn(4, 3, 32, 32)
    exported = torch.export.export(model, (inputs,), strict=True).module()
    if copied:  # its train() and eval() do nothing then, and do not say so
        exported = copy.deepcopy(exported)
    before, expected = state(exported), copy.deepcopy(model).eval()(inputs)
    with in_eval_mode(exported) as run:
        torch.testing.assert_close(run(inputs), expected)
    assert same(before, exported)
    set_training(exported, False)
    torch.testing.assert_close(exported(inputs), expected)


def test_other_callables_are_lent_as_they_are():
    with in_eval_mode(torch.relu) as run:
        assert run is torch.relu


def test_the_module_and_its_device_are_found():
    class Compiled:
        model = nn.Linear(3, 2, device="meta")

    assert module_of(Compiled()) is Compiled.model and module_of(torch.relu) is None
    assert device_of(Compiled()) == torch.device("meta")
    assert device_of(nn.ReLU()) is None
    assert device_of(nn.BatchNorm2d(3, affine=False, device="meta")) == torch.device("meta")
