"""Products of matrices by the BLAS that torch itself calls, so that kernels may call it too.

`sgemm_` and `dgemm_` are the names that every BLAS has had since 1990 (Dongarra et al., "A set of
level 3 basic linear algebra subprograms"); torch's library has them in itself or is linked to who
has. They are taken only if they give the bits of torch's own linear layer.
"""

import ctypes
from functools import cache
from typing import Any

import torch
from torch.nn import functional

from selfnorm.ops._cpu._pool import library
from selfnorm.ops._cpu._steps import StepError

NAMES = {torch.float32: "sgemm_", torch.float64: "dgemm_"}
ARGUMENTS = 13
_SIZES = ((1, 1, 1), (1, 40, 24), (7, 1, 9), (33, 24, 1), (64, 48, 56), (5, 130, 3))


@cache
def gemm(dtype: torch.dtype) -> int | None:
    """The address of the product for a dtype, or None if torch's own is another."""
    try:
        function: Any = getattr(library(), NAMES[dtype])
    except (AttributeError, KeyError, StepError):
        return None
    function.argtypes, function.restype = [ctypes.c_void_p] * ARGUMENTS, None
    generator = torch.Generator().manual_seed(0)
    same = all(_is_torchs(function, dtype, sizes, generator) for sizes in _SIZES)
    return ctypes.cast(function, ctypes.c_void_p).value if same else None


def _is_torchs(
    function: Any, dtype: torch.dtype, sizes: tuple[int, int, int], generator: torch.Generator
) -> bool:
    rows, inputs, outputs = sizes
    with torch.inference_mode():
        how: Any = {"dtype": dtype, "device": "cpu", "generator": generator}
        x, weight = torch.randn(rows, inputs, **how), torch.randn(outputs, inputs, **how)
        bias = torch.randn(outputs, **how)
        out = bias.repeat(rows, 1)
        one = torch.ones((), dtype=dtype, device="cpu")
        counts = (ctypes.c_int64 * 3)(outputs, rows, inputs)
        at = ctypes.addressof(counts)
        letters = ctypes.create_string_buffer(b"tn")
        letter, number = ctypes.addressof(letters), one.data_ptr()
        function(
            *(letter, letter + 1, at, at + 8, at + 16, number, weight.data_ptr(), at + 16),
            *(x.data_ptr(), at + 16, number, out.data_ptr(), at),
        )
        return torch.equal(out, functional.linear(x, weight, bias))
