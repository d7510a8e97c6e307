"""Sixteen bits instead of thirty-two, still floats: what has to be beaten first."""

import copy

import torch
from torch import Tensor, nn


class Bfloat16(nn.Module):
    """A copy of a model that stores and computes in bfloat16; inputs and outputs stay float32.

    bfloat16 has the exponent of float32 and eight bits of its fraction: no value is too large for
    it, so nothing is calibrated.

    >>> Bfloat16(nn.Linear(3, 2)).eval()(torch.rand(4, 3)).dtype
    torch.float32
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = copy.deepcopy(model).to(torch.bfloat16)
        self.train(model.training)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs for inputs of any float type."""
        return self.model(x.to(torch.bfloat16)).float()


def why_no_bf16() -> str | None:
    """Why this machine would compute in bfloat16 slowly, or None: it has instructions for it."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)()
    return None if supported else "this processor, or this build of torch, has no bfloat16"
