"""The operations on CPU: each takes where to write first, then the arguments of the schema.

At a few hundred elements a call costs more than its numbers. So all that depends on the probability
and the dtype alone is remembered, and a call packs its pointers and goes.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from selfnorm._spec._philox import BLOCK, dropped_levels
from selfnorm.ops import _reference
from selfnorm.ops._cpu._context import head
from selfnorm.ops._cpu._plans import BLOCKS, ELEMENTS, LOWEST_CUT, Plan, plan_of, shaped_plan
from selfnorm.ops._cpu._pool import why_not as why_not
from selfnorm.ops._layout import in_memory_order, on_copies


def selu(out: Tensor, x: Tensor) -> None:
    """SELU."""
    if not (x.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu, out, x)
    run, code, _, constants = plan_of("selu", 0.0, x.dtype)
    if code is None:
        return _fall_back(_reference.selu, out, x)
    context = head(x.data_ptr(), 0, out.data_ptr(), 0, 0, 0, 0) + constants
    run(0, x.numel(), ELEMENTS, code, context)
    return None


def selu_backward(out: Tensor, output: Tensor, grad: Tensor, p: float) -> None:
    """The gradient of SELU, with or without alpha dropout."""
    if not (output.is_contiguous() and grad.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu_backward, out, output, grad, p)
    run, code, _, constants = plan_of("selu_backward", p, output.dtype)
    if code is None:
        return _fall_back(_reference.selu_backward, out, output, grad, p)
    context = head(output.data_ptr(), grad.data_ptr(), out.data_ptr(), 0, 0, 0, 0) + constants
    run(0, output.numel(), ELEMENTS, code, context)
    return None


def selu_backward_from_input(out: Tensor, x: Tensor, grad: Tensor) -> None:
    """The gradient of SELU."""
    if not (x.is_contiguous() and grad.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu_backward_from_input, out, x, grad)
    run, code, _, constants = plan_of("selu_backward_from_input", 0.0, x.dtype)
    if code is None:
        return _fall_back(_reference.selu_backward_from_input, out, x, grad)
    context = head(x.data_ptr(), grad.data_ptr(), out.data_ptr(), 0, 0, 0, 0) + constants
    run(0, x.numel(), ELEMENTS, code, context)
    return None


def selu_alpha_dropout(out: Tensor, x: Tensor, seed: Tensor | None, p: float) -> None:
    """SELU, then alpha dropout; without a seed, SELU alone."""
    if seed is None:
        return selu(out, x)
    if not (x.is_contiguous() and out.is_contiguous()):
        return on_copies(selu_alpha_dropout, out, x, seed, p)
    plan = plan_of("selu_alpha_dropout", p, x.dtype)
    if plan.code is None:
        return _fall_back(_reference.selu_alpha_dropout, out, x, seed, p)
    if plan.cut < LOWEST_CUT:  # no level drops
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
    plan = plan_of(name, p, x.dtype, linear)
    if plan.code is None:
        return _fall_back(_reference.alpha_dropout, out, x, seed, p, shared, linear)
    if plan.cut < LOWEST_CUT:
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
    plan = shaped_plan(name, p, form, x.dtype)
    if plan.code is None:
        return _fall_back(_reference.shaped_selu, out, x, seed, p, *form)
    if seed is not None and drops:
        return _drop(plan, out, x, seed)
    context = head(x.data_ptr(), 0, out.data_ptr(), 0, 0, 0, 0) + plan.constants
    plan.run(0, x.numel(), ELEMENTS, plan.code, context)
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
    plan = shaped_plan(name, p, form, x.dtype)
    if plan.code is None:
        return _fall_back(_reference.shaped_selu_backward, out, x, grad, seed, p, *form)
    if seed is not None and drops:
        return _drop(plan, out, x, seed, grad=grad)
    context = head(x.data_ptr(), grad.data_ptr(), out.data_ptr(), 0, 0, 0, 0) + plan.constants
    plan.run(0, x.numel(), ELEMENTS, plan.code, context)
    return None


def _drop(
    plan: Plan,
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
    units, grain = -(-count // BLOCK), BLOCKS
    if inner > 1:
        units, grain = count, max(1, BLOCKS * BLOCK // inner)
    other = 0 if grad is None else grad.data_ptr()
    context = head(x.data_ptr(), other, out.data_ptr(), seeds.data_ptr(), count, inner, bits)
    run(0, units * samples, grain, code, context + constants)


def _fall_back(reference: Callable[..., Tensor], out: Tensor, *arguments: Any) -> None:
    out.copy_(reference(*arguments))
