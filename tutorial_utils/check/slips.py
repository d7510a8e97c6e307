"""Hints that fit any exercise: what wrong values have in common with the right ones."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor


def slip(answer: object, expected: object) -> str | None:
    """Name the slip that turns what was expected into this answer, or None.

    Args:
        answer, expected: tensors, numbers, or tuples, lists or dicts of them.

    >>> slip(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 2.0]))
    'every value is 2 times what it should be: a sum for a mean, or a factor too many?'
    >>> slip(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1, 3], [2, 4]]))
    'rows and columns are exchanged'
    """
    for ours, right in _pairs(answer, expected):
        if ours.is_complex() or torch.equal(ours, right):
            continue
        if torch.isnan(ours.double()).any():
            return "NaN comes from 0/0, 0·log 0, inf - inf or the root of a negative number"
        if ours.shape != right.shape:
            return _wrong_shape(ours, right)
        if ours.dtype == right.dtype == torch.bool:
            return _wrong_mask(ours, right)
        return _wrong_values(ours.double(), right.double())
    return None


def _pairs(answer: object, expected: object) -> Iterator[tuple[Tensor, Tensor]]:
    """All tensors and numbers of an answer, each with what it should be."""
    if isinstance(expected, Mapping) and isinstance(answer, Mapping):
        for key in expected:
            if key in answer:
                yield from _pairs(answer[key], expected[key])
    elif isinstance(expected, tuple | list) and isinstance(answer, tuple | list):
        for pair in zip(answer, expected, strict=False):
            yield from _pairs(*pair)
    elif isinstance(expected, Tensor | int | float) and isinstance(answer, Tensor | int | float):
        yield torch.as_tensor(answer), torch.as_tensor(expected)


def _wrong_shape(ours: Tensor, right: Tensor) -> str | None:
    if right.dim() > 1 and ours.shape == right.shape[::-1]:
        return "rows and columns are exchanged"
    return None


def _wrong_mask(ours: Tensor, right: Tensor) -> str:
    """Two masks that differ."""
    if torch.equal(ours, ~right):
        return "True and False are exchanged"
    yours, expected = int((~ours).sum()), int((~right).sum())
    if yours != expected:
        return f"{yours} are False, {expected} expected: is the number rounded, and how?"
    return "as many as there should be, but others: by what are they ranked?"


def _wrong_values(ours: Tensor, right: Tensor) -> str | None:
    """Two tensors of one shape that differ."""
    difference = ours - right
    if not torch.isfinite(ours).all():
        return None
    if (difference % 256 == 0).all():
        return "values beyond 255 wrap around in 8 bits: compute in a wider type, convert last"
    if ours.dim() > 1 and ours.shape[0] == ours.shape[1] and _near(ours, right.transpose(0, 1)):
        return "rows and columns are exchanged"
    known = right.abs() > 1e-6
    if known.any():
        factor = float((ours[known] / right[known]).median())
        if _near(ours, factor * right) and abs(factor) > 1e-6:
            if _near(ours, -right):
                return "every value has the wrong sign"
            return (
                f"every value is {factor:.4g} times what it should be: a sum for a mean, or a "
                "factor too many?"
            )
    if ours.numel() > 1 and _near(difference, difference.flatten()[0].expand_as(difference)):
        return f"every value is off by the same {float(difference.flatten()[0]):.4g}"
    if ours.numel() > 2 and _near(ours.flatten().sort().values, right.flatten().sort().values):
        return "the right values, in the wrong order"
    return None


def _near(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-6)
