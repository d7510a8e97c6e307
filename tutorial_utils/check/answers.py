"""Comparing what a reader's function returned with what was expected, and showing both."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_utils.data import Split


def plain(answer: object) -> object:
    """The answer in Python's and torch's types: NumPy's become those, and an iterator a list.

    >>> plain((np.float32(0.5), np.arange(2)))
    (0.5, tensor([0, 1]))
    """
    if isinstance(answer, np.generic):
        return answer.item()
    if isinstance(answer, np.ndarray) and answer.dtype.kind in "biuf":
        return (
            torch.tensor(answer.tolist()) if answer.ndim == 0 else torch.from_numpy(answer.copy())
        )
    if isinstance(answer, Iterator | range):
        return [plain(part) for part in answer]
    if isinstance(answer, tuple | list):
        return (
            type(answer)(plain(part) for part in answer)
            if type(answer) in (tuple, list)
            else answer
        )
    if isinstance(answer, dict):
        return {key: plain(part) for key, part in answer.items()}
    return answer


def as_expected(answer: object, expected: object) -> object:
    """An answer whose types `differs` accepts, in just those that are expected, for a judge."""
    if isinstance(expected, tuple | list):
        parts = expected if isinstance(expected, tuple) else list(expected[:1]) * len(answer)
        return type(expected)(map(as_expected, answer, parts))
    is_number = isinstance(expected, int | float) and not isinstance(expected, bool)
    return type(expected)(answer) if is_number else answer


def differs(answer: object, expected: object, *, values: bool = True) -> str | None:
    """Say in words how an answer differs from what was expected, or None when it does not.

    Args:
        answer: anything at all.
        expected: a tensor, number, text, or a tuple, list or dict of them.
        values: False compares types and shapes only, and refuses NaN and infinity.

    >>> differs(torch.zeros(2, 1), torch.zeros(2))
    'the shape is (2, 1), expected (2,)'
    >>> differs(float("nan"), 1.0)
    'it is nan: not a finite number'
    """
    if isinstance(expected, tuple | list) and isinstance(answer, Tensor) and answer.dim() == 1:
        answer = answer.tolist()  # a pair of numbers may come as a tensor
    if isinstance(expected, tuple | list) and not isinstance(answer, tuple | list):
        return f"it is {_kind(answer)}, expected {_kind(expected)}"
    if isinstance(expected, tuple) or (isinstance(expected, list) and values):
        return _differs_in_parts(list(answer), list(expected), values)
    if isinstance(expected, list):
        return _differs_in_parts(list(answer), expected[:1] * len(answer), values)
    if isinstance(expected, Mapping):
        if not isinstance(answer, Mapping) or set(answer) != set(expected):
            return f"expected a dict with the keys {list(expected)}"
        for key, value in expected.items():
            if (found := differs(answer[key], value, values=values)) is not None:
                return f"{key}: {found}"
        return None
    if isinstance(expected, Tensor) and expected.dim():
        return _differs_as_tensor(answer, expected, values)
    if isinstance(expected, str):
        return None if answer == expected or not values else f"it is {answer!r}"
    return _differs_as_number(answer, expected, values)


def _differs_in_parts(answer: Sequence, expected: Sequence, values: bool) -> str | None:
    if len(answer) != len(expected):
        return f"it has {len(answer)} parts, expected {len(expected)}"
    for number, (a, e) in enumerate(zip(answer, expected, strict=True), 1):
        if (found := differs(a, e, values=values)) is not None:
            return f"part {number}: {found}"
    return None


def _differs_as_tensor(answer: object, expected: Tensor, values: bool) -> str | None:
    if not isinstance(answer, Tensor):
        return f"it is {_kind(answer)}, expected a tensor"
    if answer.shape != expected.shape:
        return f"the shape is {tuple(answer.shape)}, expected {tuple(expected.shape)}"
    if _dtype_kind(answer) != _dtype_kind(expected):
        return f"it holds {_dtype_kind(answer)}, expected {_dtype_kind(expected)}"
    answer = answer.detach().cpu()
    if not torch.isfinite(answer).all():
        return f"{int((~torch.isfinite(answer)).sum())} of its values are NaN or infinite"
    if not values:
        return None
    near = torch.isclose(answer.double(), expected.double(), rtol=1e-4, atol=1e-6)
    if near.all():
        return None
    index = tuple((~near).nonzero()[0].tolist())
    first = f"at {list(index)} it is {show(answer[index])}, expected {show(expected[index])}"
    return f"{int((~near).sum())} of {near.numel()} values are wrong; {first}"


def _differs_as_number(answer: object, expected: object, values: bool) -> str | None:
    if isinstance(answer, Tensor) and answer.numel() == 1:
        answer = answer.item()
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return f"it is {_kind(answer)}, expected a number"
    if not math.isfinite(answer):
        return f"it is {answer}: not a finite number"
    if isinstance(expected, int) and answer != int(answer):
        return f"it is {answer:.6g}, expected a whole number"
    if values and not math.isclose(answer, float(expected), rel_tol=1e-4, abs_tol=1e-6):
        return f"it is {show(answer)}, expected {show(expected)}"
    return None


def _dtype_kind(values: Tensor) -> str:
    if values.dtype == torch.bool:
        return "True and False (bool)"
    return "floating-point numbers" if values.is_floating_point() else "integers"


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return "None (is there a return?)" if value is None else f"of type {type(value).__name__}"


def show(value: object) -> str:
    """Show a value in one short line.

    >>> show(torch.tensor([0.5, 1.0])), show(torch.zeros(9, 9)), show(0.12345678)
    ('[0.5, 1]', 'tensor (9, 9), from 0 to 0', '0.123457')
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        if value.numel() > 12 and value.dtype == torch.bool:
            return f"mask {tuple(value.shape)}, {int(value.sum())} of {value.numel()} True"
        if value.numel() > 12 and not value.is_complex():
            low, high = value.double().min().item(), value.double().max().item()
            return f"tensor {tuple(value.shape)}, from {low:.4g} to {high:.4g}"
        return show(value.tolist())
    if isinstance(value, bool | str | None):
        return repr(value)
    if isinstance(value, int | float):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    if isinstance(value, Mapping):
        text = ", ".join(f"{key}: {show(part)}" for key, part in value.items())
        return "{" + text + "}"
    if isinstance(value, tuple | list):
        text = ", ".join(show(part) for part in value)
        return f"({text})" if isinstance(value, tuple) else f"[{text}]"
    if isinstance(value, Split):
        return f"{len(value):,} images with labels"
    if isinstance(value, nn.Module) and len(list(value.modules())) > 1:
        n_weights = sum(weight.numel() for weight in value.parameters())
        return f"{type(value).__name__} with {n_weights:,} weights"
    text = getattr(value, "__name__", None) or repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
