"""The operations on CPU: each takes where to write first, then the arguments of the schema.

At a few hundred elements a call costs more than its numbers. So all that depends on the probability
and the dtype alone is remembered, and a call packs its pointers and goes.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from selfnorm.ops import _reference
from selfnorm.ops._constants import PROBABILITIES, affine, derivative, shaped
from selfnorm.ops._cpu._context import NUMBERS, head, numbers
from selfnorm.ops._cpu._pool import address, parallel_for
from selfnorm.ops._cpu._pool import why_not as why_not
from selfnorm.ops._layout import in_memory_order, on_copies
from selfnorm.ops._spec._philox import BLOCK, cut, dropped_levels

# Units of work below which one thread is quicker than two: about five microseconds of it. What
# both sides of the border cost stands in benchmarks/ops.py, from 256 elements to 16 Mi.
_ELEMENTS, _BLOCKS = 1 << 14, 1 << 4
_LOWEST_CUT = cut(1)
_NOT_READ = (math.nan,) * len(NUMBERS)
"""Nan, so that a kernel which did read them would show it."""


class _Plan(NamedTuple):
    """What a call needs besides tensors."""

    run: Any
    """`torch_parallel_for`."""
    code: int | None
    """The kernel; None if the reference must serve."""
    cut: int
    constants: bytes


def selu(out: Tensor, x: Tensor) -> None:
    """SELU."""
    if not (x.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu, out, x)
    run, code, _, constants = _plan("selu", 0.0, x.dtype)
    if code is None:
        return _fall_back(_reference.selu, out, x)
    context = head(x.data_ptr(), 0, out.data_ptr(), 0, 0, 0, 0) + constants
    run(0, x.numel(), _ELEMENTS, code, context)
    return None


def selu_backward(out: Tensor, output: Tensor, grad: Tensor, p: float) -> None:
    """The gradient of SELU, with or without alpha dropout."""
    if not (output.is_contiguous() and grad.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu_backward, out, output, grad, p)
    run, code, _, constants = _plan("selu_backward", p, output.dtype)
    if code is None:
        return _fall_back(_reference.selu_backward, out, output, grad, p)
    context = head(output.data_ptr(), grad.data_ptr(), out.data_ptr(), 0, 0, 0, 0) + constants
    run(0, output.numel(), _ELEMENTS, code, context)
    return None


def selu_backward_from_input(out: Tensor, x: Tensor, grad: Tensor) -> None:
    """The gradient of SELU."""
    if not (x.is_contiguous() and grad.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu_backward_from_input, out, x, grad)
    run, code, _, constants = _plan("selu_backward_from_input", 0.0, x.dtype)
    if code is None:
        return _fall_back(_reference.selu_backward_from_input, out, x, grad)
    context = head(x.data_ptr(), grad.data_ptr(), out.data_ptr(), 0, 0, 0, 0) + constants
    run(0, x.numel(), _ELEMENTS, code, context)
    return None


def selu_alpha_dropout(out: Tensor, x: Tensor, seed: Tensor | None, p: float) -> None:
    """SELU, then alpha dropout; without a seed, SELU alone."""
    if seed is None:
        return selu(out, x)
    if not (x.is_contiguous() and out.is_contiguous()):
        return on_copies(selu_alpha_dropout, out, x, seed, p)
    plan = _plan("selu_alpha_dropout", p, x.dtype)
    if plan.code is None:
        return _fall_back(_reference.selu_alpha_dropout, out, x, seed, p)
    if plan.cut < _LOWEST_CUT:  # no level drops
        return selu(out, x)
    return _drop(plan, out, x, seed)


def alpha_dropout(
    out: Tensor, x: Tensor, seed: Tensor, p: float, shared: int, linear: bool
) -> None:
    """Alpha dropout, of single elements or of the last `shared` dimensions as one."""
    if not (x.is_contiguous() and out.is_contiguous()):
        return on_copies(alpha_dropout, out, x, seed, p, shared, linear)
    inner = x.shape[x.ndim - shared :].numel() if shared else 1
    name = "alpha_dropout" if inner == 1 else "feature_alpha_dropout"
    plan = _plan(name, p, x.dtype, linear)
    if plan.code is None:
        return _fall_back(_reference.alpha_dropout, out, x, seed, p, shared, linear)
    if plan.cut < _LOWEST_CUT:
        out.copy_(x)
        return None
    return _drop(plan, out, x, seed, inner)


def shaped_selu(
    out: Tensor,
    x: Tensor,
    seed: Tensor | None,
    p: float,
    linear: float,
    factor: float,
    shift: float,
) -> None:
    """SELU in another form, then its alpha dropout if there is a seed."""
    form = linear, factor, shift
    if not (x.is_contiguous() and out.is_contiguous()):
        run = in_memory_order if seed is None else on_copies
        return run(shaped_selu, out, x, seed, p, *form)
    drops = seed is not None and dropped_levels(p) > 0
    name = "shaped_selu_alpha_dropout" if drops else "shaped_selu"
    plan = _shaped_plan(name, p, form, x.dtype)
    if plan.code is None:
        return _fall_back(_reference.shaped_selu, out, x, seed, p, *form)
    if seed is not None and drops:
        return _drop(plan, out, x, seed)
    context = head(x.data_ptr(), 0, out.data_ptr(), 0, 0, 0, 0) + plan.constants
    plan.run(0, x.numel(), _ELEMENTS, plan.code, context)
    return None


def shaped_selu_backward(
    out: Tensor,
    x: Tensor,
    grad: Tensor,
    seed: Tensor | None,
    p: float,
    linear: float,
    factor: float,
    shift: float,
) -> None:
    """The gradient of the same."""
    form = linear, factor, shift
    if not (x.is_contiguous() and grad.is_contiguous() and out.is_contiguous()):
        run = in_memory_order if seed is None else on_copies
        return run(shaped_selu_backward, out, x, grad, seed, p, *form)
    drops = seed is not None and dropped_levels(p) > 0
    name = "shaped_selu_alpha_dropout_backward" if drops else "shaped_selu_backward"
    plan = _shaped_plan(name, p, form, x.dtype)
    if plan.code is None:
        return _fall_back(_reference.shaped_selu_backward, out, x, grad, seed, p, *form)
    if seed is not None and drops:
        return _drop(plan, out, x, seed, grad=grad)
    context = head(x.data_ptr(), grad.data_ptr(), out.data_ptr(), 0, 0, 0, 0) + plan.constants
    plan.run(0, x.numel(), _ELEMENTS, plan.code, context)
    return None


def _drop(
    plan: _Plan,
    out: Tensor,
    x: Tensor,
    seed: Tensor,
    inner: int = 1,
    *,
    grad: Tensor | None = None,
) -> None:
    """Run a kernel that draws: a unit of its work is a block of elements, or a channel."""
    elements = x.numel()
    if not elements:
        return
    run, code, bits, constants = plan
    seeds = seed if seed.is_contiguous() else seed.contiguous()
    samples = seeds.numel()
    count = elements // (inner * samples)
    units, grain = -(-count // BLOCK), _BLOCKS
    if inner > 1:
        units, grain = count, max(1, _BLOCKS * BLOCK // inner)
    other = 0 if grad is None else grad.data_ptr()
    context = head(x.data_ptr(), other, out.data_ptr(), seeds.data_ptr(), count, inner, bits)
    run(0, units * samples, grain, code, context + constants)


@lru_cache(PROBABILITIES)
def _plan(name: str, p: float, dtype: torch.dtype, linear: bool = False) -> _Plan:
    code = address(name, dtype)
    if name.startswith("selu_backward"):  # the others have no use for what takes longest
        constants = numbers(*_NOT_READ[:3], *derivative(p, dtype), math.nan)
    else:
        scale, shift, dropped = affine(p, dtype)
        if linear:  # adding -0 leaves the sign of a zero alone
            shift, dropped = -0.0, 0.0
        constants = numbers(scale, shift, dropped, *_NOT_READ[3:])
    run = None if code is None else parallel_for()
    return _Plan(run, code, cut(dropped_levels(p)), constants)


@lru_cache(PROBABILITIES)
def _shaped_plan(
    name: str, p: float, form: tuple[float, float, float], dtype: torch.dtype
) -> _Plan:
    code = address(name, dtype)
    linear, scale, shift, dropped, slope = shaped(p, *form, dtype)
    constants = numbers(scale, shift, dropped, slope, *_NOT_READ[4:-1], linear)
    run = None if code is None else parallel_for()
    return _Plan(run, code, cut(dropped_levels(p)), constants)


def _fall_back(reference: Callable[..., Tensor], out: Tensor, *arguments: Any) -> None:
    out.copy_(reference(*arguments))
