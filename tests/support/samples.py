"""Inputs that elementwise operations must take: shapes, strides, dtypes, special values."""

from collections.abc import Callable

import torch
from torch import Tensor

FULL = (torch.float64, torch.float32)
HALF = (torch.bfloat16, torch.float16)
DTYPES = FULL + HALF


def normal(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype)


LAYOUTS: dict[str, Callable[[torch.dtype], Tensor]] = {
    "0-d": lambda dtype: normal(dtype=dtype),
    "empty": lambda dtype: normal(0, dtype=dtype),
    "empty inside": lambda dtype: normal(3, 0, 2, dtype=dtype),
    "one": lambda dtype: normal(1, dtype=dtype),
    "odd": lambda dtype: normal(13, dtype=dtype),
    "contiguous": lambda dtype: normal(5, 7, dtype=dtype),
    "several blocks": lambda dtype: normal(9, 131, dtype=dtype),
    "transposed": lambda dtype: normal(7, 5, dtype=dtype).T,
    "permuted": lambda dtype: normal(2, 3, 4, dtype=dtype).permute(2, 0, 1),
    "sliced": lambda dtype: normal(8, 9, dtype=dtype)[1::2, ::3],
    "offset": lambda dtype: normal(70, dtype=dtype)[3:],
    "expanded": lambda dtype: normal(3, 1, dtype=dtype).expand(3, 4),
    "ones in shape": lambda dtype: normal(4, 1, 6, 1, dtype=dtype).transpose(0, 2),
    "channels last": lambda dtype: normal(2, 3, 4, 5, dtype=dtype).to(
        memory_format=torch.channels_last
    ),
}


def special(dtype: torch.dtype) -> Tensor:
    """Zeros, infinities, nan, the extremes of the dtype, and where SELU saturates."""
    info = torch.finfo(dtype)
    values = [
        0.0,
        -0.0,
        torch.inf,
        -torch.inf,
        torch.nan,
        info.max,
        info.min,
        info.tiny,
        -info.tiny,
    ]
    return torch.tensor([*values, -1.7580993408473766, -100.0, 1.0, -1.0, 1e-3, -1e-3], dtype=dtype)


def sweep(dtype: torch.dtype) -> Tensor:
    """Both signs over all sizes from denormal-near to saturation and beyond."""
    sizes = torch.logspace(-30, 4, 20_000, base=10, dtype=torch.float64).clamp(
        max=torch.finfo(dtype).max / 2
    )
    return torch.cat((sizes, -sizes)).to(dtype)
