"""Calling a function that may do anything, and leaving everything as it was."""

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass

import numpy
import torch
from torch import Tensor


class Refused(Exception):
    """An answer that cannot be measured: what is wrong with it, and a hint."""

    def __init__(self, problem: str, hint: str):
        super().__init__(problem)
        self.problem, self.hint = problem, hint


@contextmanager
def guarded() -> Iterator[None]:
    """Keep the states that a function might leave changed: random numbers, gradients, warnings."""
    python_state, numpy_state = random.getstate(), numpy.random.get_state()
    dtype = torch.get_default_dtype()
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            yield
    finally:
        torch.set_default_dtype(dtype)
        random.setstate(python_state)
        numpy.random.set_state(numpy_state)


def detached(answer: object) -> object:
    """The answer without its graph, so that it can be copied."""
    if isinstance(answer, Tensor):
        return answer.detach()
    if isinstance(answer, tuple | list):
        return type(answer)(detached(part) for part in answer)
    if isinstance(answer, dict):
        return {key: detached(part) for key, part in answer.items()}
    return answer


def unchanged(before: object, after: object) -> bool:
    """Whether an argument is still what it was before the call. Functions have no value."""
    if isinstance(before, Tensor):
        return before.shape == after.shape and torch.equal(before, after)
    if isinstance(before, torch.nn.Module):
        return unchanged(dict(before.state_dict()), dict(after.state_dict()))
    if is_dataclass(before):  # a split: images and labels
        return all(
            unchanged(getattr(before, f.name), getattr(after, f.name)) for f in fields(before)
        )
    if isinstance(before, dict):
        return list(before) == list(after) and all(unchanged(before[k], after[k]) for k in before)
    if isinstance(before, tuple | list):
        return len(before) == len(after) and all(map(unchanged, before, after))
    return callable(before) or before == after
