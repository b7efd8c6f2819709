"""The operations on CPU: each takes where to write first, then the arguments of the schema."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from selfnorm.ops import _reference
from selfnorm.ops._constants import affine, derivative, dropped_levels
from selfnorm.ops._cpu._pool import address, head, numbers, parallel_for
from selfnorm.ops._cpu._pool import why_not as why_not
from selfnorm.ops._layout import in_memory_order, on_copies
from selfnorm.ops._random import BLOCK, cut

# Units of work below which one thread is quicker than two: about five microseconds of it.
_ELEMENTS, _BLOCKS = 1 << 14, 1 << 4
_NONE = numbers(0, 0, 0, 0, 0, 0, 0)


def selu(out: Tensor, x: Tensor) -> None:
    """SELU."""
    if not (x.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu, out, x)
    code = address("selu", x.dtype)
    if code is None:
        return _fall_back(_reference.selu, out, x)
    context = head(x.data_ptr(), 0, out.data_ptr(), 0, 0, 0, 0) + _NONE
    parallel_for()(0, x.numel(), _ELEMENTS, code, context)
    return None


def selu_backward(out: Tensor, output: Tensor, grad: Tensor, p: float) -> None:
    """The gradient of SELU, with or without alpha dropout."""
    if not (output.is_contiguous() and grad.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu_backward, out, output, grad, p)
    code = address("selu_backward", output.dtype)
    if code is None:
        return _fall_back(_reference.selu_backward, out, output, grad, p)
    context = head(output.data_ptr(), grad.data_ptr(), out.data_ptr(), 0, 0, 0, 0)
    context += _slopes(p, output.dtype)
    parallel_for()(0, output.numel(), _ELEMENTS, code, context)
    return None


def selu_alpha_dropout(out: Tensor, x: Tensor, seed: Tensor, p: float) -> None:
    """SELU, then alpha dropout."""
    levels = dropped_levels(p)
    if levels == 0:
        return selu(out, x)
    if not (x.is_contiguous() and out.is_contiguous()):
        return on_copies(selu_alpha_dropout, out, x, seed, p)
    code = address("selu_alpha_dropout", x.dtype)
    if code is None:
        return _fall_back(_reference.selu_alpha_dropout, out, x, seed, p)
    _drop(code, out, x, seed, levels, _affine(p, x.dtype))
    return None


def alpha_dropout(
    out: Tensor, x: Tensor, seed: Tensor, p: float, shared: int, linear: bool
) -> None:
    """Alpha dropout, of single elements or of the last `shared` dimensions as one."""
    levels = dropped_levels(p)
    if levels == 0:
        out.copy_(x)
        return None
    if not (x.is_contiguous() and out.is_contiguous()):
        return on_copies(alpha_dropout, out, x, seed, p, shared, linear)
    inner = x.shape[x.ndim - shared :].numel() if shared else 1
    code = address("alpha_dropout" if inner == 1 else "feature_alpha_dropout", x.dtype)
    if code is None:
        return _fall_back(_reference.alpha_dropout, out, x, seed, p, shared, linear)
    _drop(code, out, x, seed, levels, _affine(p, x.dtype, linear), inner)
    return None


def _drop(
    code: int, out: Tensor, x: Tensor, seed: Tensor, levels: int, constants: bytes, inner: int = 1
) -> None:
    """Run a kernel that draws: a unit of its work is a block of elements, or a channel."""
    elements = x.numel()
    if not elements:
        return
    seeds = seed if seed.is_contiguous() else seed.contiguous()
    samples = seeds.numel()
    count = elements // (inner * samples)
    units, grain = -(-count // BLOCK), _BLOCKS
    if inner > 1:
        units, grain = count, max(1, _BLOCKS * BLOCK // inner)
    pointers = x.data_ptr(), 0, out.data_ptr(), seeds.data_ptr()
    context = head(*pointers, count, inner, cut(levels))
    parallel_for()(0, units * samples, grain, code, context + constants)


@cache
def _slopes(p: float, dtype: torch.dtype) -> bytes:
    return numbers(0, 0, 0, *derivative(p, dtype))


@cache
def _affine(p: float, dtype: torch.dtype, linear: bool = False) -> bytes:
    scale, shift, dropped = affine(p, dtype)
    if linear:  # adding -0 leaves the sign of a zero alone
        shift, dropped = -0.0, 0.0
    return numbers(scale, shift, dropped, 0, 0, 0, 0)


def _fall_back(reference: Callable[..., Tensor], out: Tensor, *arguments: Any) -> None:
    out.copy_(reference(*arguments))
