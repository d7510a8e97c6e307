"""Whether an answer is a model that could be stored and used in the place of another."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn.utils import parametrize, prune

from tutorial_utils.check.sandbox import Refused, unchanged

_REGISTERED = ("_parameters", "_buffers", "_modules")


def check_model(answer: object, original: object) -> None:
    """Refuse what is no model, the model as it came, masks, and tensors that no file would hold.

    Raises:
        Refused: with what it is, and a hint.
    """
    if isinstance(answer, dict) and answer and all(isinstance(v, Tensor) for v in answer.values()):
        raise Refused("it is a state dict", "return the model: weights alone cannot answer")
    if answer is None:
        raise Refused("it is None (is there a return?)", "return the compressed model")
    if isinstance(answer, type) or not isinstance(answer, nn.Module):
        kind = answer.__name__ if isinstance(answer, type) else type(answer).__name__
        raise Refused(f"it is {kind}, expected a model (nn.Module)", "return the compressed model")
    if isinstance(original, nn.Module) and _as_it_came(answer, original):
        raise Refused("it is the model as it came", "compress a copy, and return that copy")
    for name, module in answer.named_modules():
        where = name or "the model"
        if prune.is_pruned(module) and not isinstance(module, nn.Sequential) and _masked(module):
            raise Refused(
                f"{where} still holds its mask beside all weights",
                "make the zeros permanent: prune.remove(layer, 'weight')",
            )
        if parametrize.is_parametrized(module):
            raise Refused(
                f"{where} still computes its weight from another one",
                "make it permanent: parametrize.remove_parametrizations(layer, 'weight')",
            )
        if not isinstance(module, GraphModule) and (hidden := next(_hidden(module), None)):
            raise Refused(
                f"{where}.{hidden} holds tensors that are in no state dict",
                "what the model needs must be in its file: register parameters and buffers",
            )


def _masked(module: nn.Module) -> bool:
    return any(name.endswith("_mask") for name, _ in module.named_buffers(recurse=False))


def _as_it_came(answer: nn.Module, original: nn.Module) -> bool:
    """Whether a model is another one, weight by weight."""
    return type(answer) is type(original) and unchanged(original, answer)


def _hidden(module: nn.Module) -> Iterator[str]:
    """Names of attributes that hold tensors or modules without being registered."""
    for name, value in vars(module).items():
        if name not in _REGISTERED and _holds_tensor(value):
            yield name
    yield from (
        name for name in module._non_persistent_buffers_set if module._buffers[name] is not None
    )


def _holds_tensor(value: object) -> bool:
    if isinstance(value, tuple | list | set):
        return any(map(_holds_tensor, value))
    if isinstance(value, dict):
        return any(map(_holds_tensor, value.values()))
    return isinstance(value, Tensor | nn.Module) and not isinstance(value, torch.fx.Graph)
