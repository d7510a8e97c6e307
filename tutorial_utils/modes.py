"""The mode that a model is in and the device that it lives on: asked for, and never lost."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn

from tutorial_utils.logs import errors_only


def module_of(model: Callable) -> nn.Module | None:
    """The module itself, or the one that a `deploying.CompiledModel` was made from.

    None for any other callable.
    """
    module = model if isinstance(model, nn.Module) else getattr(model, "model", None)
    return module if isinstance(module, nn.Module) else None


def device_of(model: Callable) -> torch.device | None:
    """The device of a model's first parameter or buffer, to which inputs have to go.

    None for a module that has neither and for a callable around no module: inputs then stay where
    they are.

    >>> device_of(nn.Linear(3, 2)), device_of(torch.relu)
    (device(type='cpu'), None)
    """
    if (module := module_of(model)) is None:
        return None
    return next((tensor.device for tensor in chain(module.parameters(), module.buffers())), None)


@contextmanager
def in_eval_mode(model: Callable) -> Iterator[Callable]:
    """Within the block, what is yielded is the model in eval mode; afterwards it is as it was.

    Every module gets back the mode that it had, so a batch norm that was frozen stays frozen. An
    exported graph has no modes, only operators that were traced in one: for it, the block gets a
    copy with those of eval mode. A callable that is no module is yielded as it is.

    >>> model = nn.Sequential(nn.Dropout(), nn.Flatten().eval())
    >>> with in_eval_mode(model) as run:
    ...     run.training
    False
    >>> [module.training for module in model.modules()]
    [True, True, False]
    """
    if not isinstance(model, nn.Module):
        yield model
        return
    before = {module: module.training for module in model.modules()}
    try:
        if any(before.values()):
            model.eval()
    except NotImplementedError:
        graph = copy.deepcopy(model)
        set_training(graph, False)
        yield graph
        return
    try:
        yield model
    finally:
        for module, training in before.items():  # a parent comes before what is in it
            if module.training != training:
                module.train(training)


def set_training(model: nn.Module, training: bool) -> None:
    """Put a model in train or eval mode for good, exported graphs included."""
    try:
        model.train(training)
    except NotImplementedError:  # the graph of an exported model is rewritten instead
        with errors_only("torch.utils._pytree"):
            from torchao.quantization.pt2e import (
                move_exported_model_to_eval,
                move_exported_model_to_train,
            )

        (move_exported_model_to_train if training else move_exported_model_to_eval)(model)
