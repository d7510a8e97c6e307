"""Whether training in 16-bit floats pays."""

import torch


def has_fast_bf16() -> bool:
    """Whether this processor multiplies 16-bit floats (bfloat16) faster than 32-bit ones.

    On others they are emulated, and slower. Older versions of torch cannot tell; then it is False.
    """
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
