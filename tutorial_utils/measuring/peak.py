"""How much memory the activations of one call take at most."""

import weakref

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tutorial_utils.modes import device_of, in_eval_mode


def peak_bytes(model: nn.Module, inputs: Tensor) -> int:
    """Most bytes that the inputs and all intermediate results of one call hold at the same time.

    Weights come on top (`size_bytes`), and so does what kernels borrow while they run. The call is
    in eval mode and without gradients; training keeps many activations and takes far more.

    Args:
        model: stays as it is. A compiled model plans its memory itself and cannot be followed.
        inputs: one batch (N, C, H, W).

    >>> model = nn.Sequential(nn.Linear(10, 20), nn.ReLU())  # 10, 20 and 20 floats live at the end
    >>> peak_bytes(model, torch.zeros(1, 10))
    200
    """
    with in_eval_mode(model) as run, torch.inference_mode():
        follow = _LiveBytes([*model.parameters(), *model.buffers()])
        given = inputs.to(device=device_of(model)).clone()  # a slice shares memory with the rest
        follow.count(given)
        with follow:
            run(given)
    return follow.peak


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of the results of all operators for as long as they live.

    Some operators return what they were given, or a view of it. So weights are not counted.
    """

    def __init__(self, weights: list[Tensor]):
        super().__init__()
        self.weights = {weight.untyped_storage()._cdata for weight in weights}
        self.sizes: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        results = operator(*args, **(kwargs or {}))
        for result in tree_leaves(results):
            if isinstance(result, Tensor):
                self.count(result)
        return results

    def count(self, tensor: Tensor) -> None:
        """Add a tensor, unless it shares its memory with one that is counted."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.sizes and key not in self.weights:
            self.sizes[key] = storage.nbytes()
            weakref.finalize(storage, self.sizes.pop, key, None)
        self.peak = max(self.peak, sum(self.sizes.values()))
