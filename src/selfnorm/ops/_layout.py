"""Tensors of any layout for kernels that work on contiguous memory."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Kernel = Callable[..., None]
"""A kernel takes where to write first, then its arguments."""


def in_memory_order(kernel: Kernel, out: Tensor, *arguments: Any) -> None:
    """Run an elementwise kernel in the order of memory, if all tensors share a dense layout."""
    order = sorted(range(out.ndim), key=out.stride, reverse=True)
    tensors = [t for t in arguments if isinstance(t, Tensor)]
    alike = all(t.stride() == out.stride() for t in tensors)
    if not (alike and out.permute(order).is_contiguous()):
        return on_copies(kernel, out, *arguments)
    flat = (t.permute(order) if isinstance(t, Tensor) else t for t in arguments)
    return kernel(out.permute(order), *flat)


def on_copies(kernel: Kernel, out: Tensor, *arguments: Any) -> None:
    """Run a kernel on contiguous copies: for masks too, which go by the row-major position."""
    dense = [t.contiguous() if isinstance(t, Tensor) else t for t in arguments]
    if out.is_contiguous():
        return kernel(out, *dense)
    result = torch.empty(out.shape, dtype=out.dtype, device=out.device)
    kernel(result, *dense)
    out.copy_(result)
    return None
