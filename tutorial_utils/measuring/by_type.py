"""Where the time of a call goes, by the kind of layer."""

from collections import Counter
from statistics import median

import torch
from torch import Tensor, nn

from tutorial_utils.measuring.timing import timer
from tutorial_utils.modes import in_eval_mode


def time_by_type(model: nn.Module, inputs: Tensor, *, n_calls: int = 15) -> dict[str, float]:
    """Milliseconds that one call spends in each type of layer, the median of some calls.

    Hooks read the clock before and after each layer that has no layers inside. "the rest" is what
    no layer does: additions, calls, and the hooks.

    Args:
        model: stays as it is.
        inputs: one batch (N, C, H, W).
        n_calls: how often to call it, after one that does not count.

    >>> sorted(time_by_type(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.zeros(1, 3)))
    ['Linear', 'ReLU', 'the rest']
    """
    spent: Counter[str] = Counter()
    started: dict[nn.Module, float] = {}
    hooks, calls = [], []

    def enter(layer: nn.Module, _inputs: object) -> None:
        started[layer] = timer()

    def leave(layer: nn.Module, _inputs: object, _outputs: object) -> None:
        spent[type(layer).__name__] += timer() - started[layer]

    for layer in model.modules():
        if not list(layer.children()):
            hooks += [layer.register_forward_pre_hook(enter), layer.register_forward_hook(leave)]
    try:
        with in_eval_mode(model) as run, torch.inference_mode():
            for _ in range(n_calls + 1):
                spent.clear()
                start = timer()
                run(inputs)
                calls.append({**spent, "the rest": timer() - start - spent.total()})
    finally:
        for hook in hooks:
            hook.remove()
    return {kind: 1e3 * median(call[kind] for call in calls[1:]) for kind in calls[0]}
