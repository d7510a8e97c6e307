"""The mode that a model is in and the device that it lives on: asked for, and never lost."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain

import torch
from torch import nn
from torch.fx import GraphModule

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

    Every module gets back the mode that it had, so a batch norm that was frozen stays frozen. The
    operators of an exported graph were traced in one mode; if that was train mode, the block gets
    a copy with those of eval mode. A callable that is no module is yielded as it is.

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
    if traced_in_train_mode(model):
        graph = copy.deepcopy(model)
        set_training(graph, False)
        yield graph
        return
    before = {module: module.training for module in model.modules()}
    if any(before.values()):
        with suppress(NotImplementedError):  # an exported graph, traced in eval mode
            model.eval()
    try:
        yield model
    finally:
        for module, training in before.items():  # a parent comes before what is in it
            if module.training != training:
                module.train(training)


def set_training(model: nn.Module, training: bool) -> None:
    """Put a model in train or eval mode for good; the graph of an exported one is rewritten."""
    try:
        model.train(training)
        exported = not training and traced_in_train_mode(model)
    except NotImplementedError:
        exported = True
    if exported:
        with errors_only("torch.utils._pytree"):
            from torchao.quantization.pt2e import (
                move_exported_model_to_eval,
                move_exported_model_to_train,
            )

        (move_exported_model_to_train if training else move_exported_model_to_eval)(model)


def traced_in_train_mode(model: nn.Module) -> bool:
    """Whether this is an exported graph with operators of train mode.

    A copy of an exported graph must be asked like this: it has an `eval()` that does nothing.
    """
    ops = torch.ops.aten
    place = {ops.batch_norm.default: 5, ops.dropout.default: 2, ops.dropout_.default: 2}
    return isinstance(model, GraphModule) and any(
        node.args[place[node.target]] for node in model.graph.nodes if node.target in place
    )
