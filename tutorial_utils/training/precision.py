"""Whether training in 16-bit floats pays."""

import torch


def has_fast_bf16() -> bool:
    """Whether this processor trains faster in 16-bit floats (bfloat16) than in 32-bit ones.

    That takes a unit for products of matrices (AMX on x86). The vector instructions alone
    (AVX512-BF16) do not make up for converting the values to and fro. Where torch cannot tell, the
    answer is no.
    """
    return getattr(torch.cpu, "get_capabilities", dict)().get("amx_bf16", False)
