"""Bits for each layer, under a budget of bytes: few where the network does not mind.

Source: Dong et al. 2019, "HAWQ: Hessian AWare Quantization of Neural Networks with Mixed-Precision"
(the idea: bits by sensitivity); here the sensitivities are measured, not estimated.
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from tutorial_utils.errors import InputError, check_positive
from tutorial_utils.quantization.weights import quantize_weights


@torch.no_grad()
def output_errors(
    model: nn.Module, images: Tensor, bit_widths: Collection[int] = (8, 4, 3, 2)
) -> dict[str, dict[int, float]]:
    """How much the outputs move when one layer alone has few bits: layer -> bits -> error.

    The error is the mean squared difference of the outputs, so no labels are needed. Weight ranges
    are those of least squares, as in `best_ptq`.

    Args:
        model: in eval mode.
        images: some dozen inputs (N, C, H, W).
        bit_widths: 2 to 8 each.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()).eval()
    >>> errors = output_errors(model, torch.rand(2, 3, 8, 8), (8, 2))
    >>> errors["0"][8] < errors["0"][2]
    True
    """
    exact = model(images)
    names = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return {
        name: {
            n_bits: (quantize_weights(model, n_bits, only=name, weight_range="mse")(images) - exact)
            .square()
            .mean()
            .item()
            for n_bits in bit_widths
        }
        for name in names
    }


def choose_bits(
    errors: Mapping[str, Mapping[int, float]], n_weights: Mapping[str, int], budget_bytes: float
) -> dict[str, int]:
    """Bits of each layer whose packed weights fit the budget, chosen greedily.

    All layers begin with the most bits. Then, again and again, the step down is taken that adds
    least error for each byte that it saves. Errors of layers are taken to add up.

    Args:
        errors: from `output_errors`: layer -> bits -> error.
        n_weights: of each layer.
        budget_bytes: for the weights of all layers.

    Raises:
        InputError: the fewest bits everywhere are still too many bytes.

    >>> choose_bits({"a": {8: 0, 4: 1}, "b": {8: 0, 4: 9}}, {"a": 100, "b": 100}, 150)
    {'a': 4, 'b': 8}
    """
    check_positive(budget_bytes=budget_bytes)
    bits = {name: max(by_bits) for name, by_bits in errors.items()}

    def n_bytes() -> float:
        return sum(n_weights[name] * n_bits / 8 for name, n_bits in bits.items())

    def price(step: tuple[str, int]) -> float:
        name, n_bits = step
        added = errors[name][n_bits] - errors[name][bits[name]]
        return added / (n_weights[name] * (bits[name] - n_bits))

    while n_bytes() > budget_bytes:
        steps = [(name, b) for name, widths in errors.items() for b in widths if b < bits[name]]
        if not steps:
            raise InputError(
                f"budget_bytes={budget_bytes}: the fewest bits need {n_bytes():.0f} bytes"
            )
        name, n_bits = min(steps, key=price)
        bits[name] = n_bits
    return bits
