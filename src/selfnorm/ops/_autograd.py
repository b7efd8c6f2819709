"""Derivatives of every order, in both modes, of the registered operations.

SELU, with or without dropout, keeps its output and nothing else; alpha dropout keeps its seed.
`torch.compile` refuses an `autograd.Function` that defines `jvp`, used or not
(https://github.com/pytorch/pytorch/issues/180284); so each operation has a class without it, for
the compiler, and a child with it. Everyday calls take neither, but the short way through `_direct`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from selfnorm import _torch_private
from selfnorm.ops import _direct, _reference
from selfnorm.ops._constants import derivative
from selfnorm.ops._library import OPS
from selfnorm.ops._random import draw_seed


def selu(x: Tensor, inplace: bool) -> Tensor:
    """SELU with derivatives."""
    _let_torch_refuse(x, inplace)
    if not _direct.possible(x):
        return _apply(_PlainSELU, _SELU, x, None, 0.0, inplace=inplace)
    if x.requires_grad and torch.is_grad_enabled():
        return _apply_everyday_selu(x, (None, 0.0, inplace))
    _direct.note_change(x, inplace)
    return _direct.selu(x, None, 0.0, inplace)


def selu_alpha_dropout(
    x: Tensor,
    p: float,
    inplace: bool,
    *,
    seed: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """SELU and alpha dropout with derivatives; the seed is given or drawn."""
    _let_torch_refuse(x, inplace)
    if not _direct.possible(x):
        seed = draw_seed(x.device, generator) if seed is None else seed
        return _apply(_PlainSELU, _SELU, x, seed, p, inplace=inplace)
    seed = _direct.draw_seed(x, generator) if seed is None else seed
    if x.requires_grad and torch.is_grad_enabled():
        return _apply_everyday_selu(x, (seed, p, inplace))
    _direct.note_change(x, inplace)
    return _direct.selu(x, seed, p, inplace)


def alpha_dropout(
    x: Tensor, seed: Tensor, p: float, *, shared: int, inplace: bool, linear: bool = False
) -> Tensor:
    """Alpha dropout with derivatives."""
    _let_torch_refuse(x, inplace)
    if not _direct.possible(x):
        arguments = (x, seed, p, shared, linear)
        return _apply(_PlainAlphaDropout, _AlphaDropout, *arguments, inplace=inplace)
    if x.requires_grad and torch.is_grad_enabled():
        return _apply_everyday_dropout(x, (seed, p, shared, linear, inplace))
    _direct.note_change(x, inplace)
    return _direct.alpha_dropout(x, seed, p, shared, linear, inplace)


def selu_backward(output: Tensor, grad: Tensor, p: float) -> Tensor:
    """The gradient of SELU, with or without alpha dropout, with derivatives of its own."""
    if torch.compiler.is_compiling():
        return OPS.selu_backward.default(output, grad, p)
    # Of a Function that saves its inputs, nested transforms lose the tangents of these, without a
    # word: https://github.com/pytorch/pytorch/issues/197867
    if _torch_private.ways.transforms_active():
        return _reference.selu_backward(output, grad, p)
    return _torch_private.ways.apply(_SELUBackward, output, grad, p)


def _let_torch_refuse(x: Tensor, inplace: bool) -> None:
    """A leaf in place is an error, and a `Function` finds it only once the leaf is overwritten.

    So an operation of torch's, which would leave the numbers as they are, meets it first.
    """
    if not inplace or torch.compiler.is_compiling() or _torch_private.ways.transforms_active():
        return
    if x.requires_grad and torch.is_grad_enabled() and _torch_private.ways.is_leafs_view(x):
        x.mul_(1)


def _apply(
    plain: type[Function], full: type[Function], x: Tensor, *arguments: Any, inplace: bool
) -> Tensor:
    if torch.compiler.is_compiling():
        return plain.apply(x, *arguments, inplace)
    # Under nested jvp torch silently loses tangents of a Function that changes its input
    # (https://github.com/pytorch/pytorch/issues/91280); copying into x changes its tangent too, of
    # which backward through the jvp needs the old one.
    if inplace and _torch_private.ways.transforms_active():
        return x.copy_(full.apply(x.clone(), *arguments, False))
    return _torch_private.ways.apply(full, x, *arguments, inplace)


class _EverydaySELU(Function):
    """SELU, with alpha dropout if there is a seed, by kernels and for reverse mode alone.

    `how` is `(seed, p, inplace)`: as one argument, since each costs.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, how: tuple[Tensor | None, float, bool]) -> Tensor:
        seed, ctx.p, inplace = how
        if inplace:
            ctx.mark_dirty(x)
        output = _direct.selu(x, seed, ctx.p, inplace)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (output,), (grad,) = ctx.saved_tensors, grads
        if torch.is_grad_enabled() or not _direct.possible(grad):
            return selu_backward(output, grad, ctx.p), None
        return _direct.selu_backward(output, grad, ctx.p), None


class _EverydayAlphaDropout(Function):
    """Alpha dropout by kernels and for reverse mode alone; `how` is all arguments but `x`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, how: tuple[Tensor, float, int, bool, bool]) -> Tensor:
        seed, ctx.p, ctx.shared, _, inplace = how
        if inplace:
            ctx.mark_dirty(x)
        ctx.save_for_backward(seed)
        return _direct.alpha_dropout(x, *how)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (seed,), (grad,) = ctx.saved_tensors, grads
        how = {"shared": ctx.shared, "inplace": False, "linear": True}
        return alpha_dropout(grad, seed, ctx.p, **how), None


# Their `apply`, looked up once.
_apply_everyday_selu = _torch_private.quick(_EverydaySELU)
_apply_everyday_dropout = _torch_private.quick(_EverydayAlphaDropout)


class _PlainSELU(Function):
    """SELU if `seed` is None, else SELU and alpha dropout."""

    @staticmethod
    def forward(x: Tensor, seed: Tensor | None, p: float, inplace: bool) -> Tensor:
        if seed is None:
            return _run(OPS.selu, OPS.selu_, inplace, x)
        return _run(OPS.selu_alpha_dropout, OPS.selu_alpha_dropout_, inplace, x, seed, p)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, _, ctx.p, ctx.inplace = inputs
        if ctx.inplace:
            ctx.mark_dirty(x)
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (output,) = ctx.saved_tensors
        return selu_backward(output, grads[0], ctx.p), None, None, None


class _SELU(_PlainSELU):
    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _PlainSELU.setup_context(ctx, inputs, output)
        ctx.save_for_forward(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:
        return _vmap(_SELU, info.batch_size, in_dims, args)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        if _torch_private.ways.transforms_active():
            # torch calls a jvp with forward mode off, also for the transforms around this one.
            with _torch_private.ways.forward_mode_on():
                return _reference.selu_backward(output, tangents[0], ctx.p)
        if not ctx.inplace:
            return _torch_private.ways.apply(_SELUBackward, output, tangents[0], ctx.p)
        # The tangent must change in place too, and backward through this needs the old one.
        return tangents[0].copy_(
            _torch_private.ways.apply(_SELUBackward, output, tangents[0].clone(), ctx.p)
        )


class _SELUBackward(Function):
    """`grad * f'`, where `f'` grows with the output at rate 1 up to the threshold and 0 above."""

    @staticmethod
    def forward(output: Tensor, grad: Tensor, p: float) -> Tensor:
        return OPS.selu_backward.default(output, grad, p)

    @staticmethod
    def setup_context(
        ctx: Any,
        inputs: tuple[Any, ...],
        output: Tensor,  # noqa: ARG004 - the signature is torch's
    ) -> None:
        *tensors, ctx.p = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        output, grad = ctx.saved_tensors
        to_output = _curvature(output, grad * grads[0], ctx.p)
        return to_output, _torch_private.ways.apply(_SELUBackward, output, grads[0], ctx.p), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        output, grad = ctx.saved_tensors
        of_output, of_grad = tangents[:2]
        result = torch.zeros_like(output)
        if of_output is not None:
            result = result + _curvature(output, grad * of_output, ctx.p)
        if of_grad is not None:
            result = result + _torch_private.ways.apply(_SELUBackward, output, of_grad, ctx.p)
        return result


def _curvature(output: Tensor, factor: Tensor, p: float) -> Tensor:
    threshold = derivative(p, output.dtype).threshold
    return factor.masked_fill(output > threshold, 0)


class _PlainAlphaDropout(Function):
    """Alpha dropout, affine in `x`, so that its derivative does not need `x`."""

    @staticmethod
    def forward(
        x: Tensor, seed: Tensor, p: float, shared: int, linear: bool, inplace: bool
    ) -> Tensor:
        arguments = (seed, p, shared, linear)
        return _run(OPS.alpha_dropout, OPS.alpha_dropout_, inplace, x, *arguments)

    @staticmethod
    def setup_context(
        ctx: Any,
        inputs: tuple[Any, ...],
        output: Tensor,  # noqa: ARG004 - the signature is torch's
    ) -> None:
        x, seed, ctx.p, ctx.shared, *_, ctx.inplace = inputs
        if ctx.inplace:
            ctx.mark_dirty(x)
        ctx.save_for_backward(seed)
        ctx.save_for_forward(seed)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (seed,) = ctx.saved_tensors
        grad = alpha_dropout(grads[0], seed, ctx.p, shared=ctx.shared, inplace=False, linear=True)
        return grad, None, None, None, None, None


class _AlphaDropout(_PlainAlphaDropout):
    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:
        return _vmap(_AlphaDropout, info.batch_size, in_dims, args)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        (seed,) = ctx.saved_tensors
        return alpha_dropout(
            tangents[0], seed, ctx.p, shared=ctx.shared, inplace=ctx.inplace, linear=True
        )


def _run(operation: Any, in_place: Any, inplace: bool, x: Tensor, *arguments: Any) -> Tensor:
    if not inplace:
        return operation.default(x, *arguments)
    in_place.default(x, *arguments)
    return x


def _vmap(
    function: type[Function], size: int, in_dims: tuple[int | None, ...], args: tuple[Any, ...]
) -> tuple[Tensor, int]:
    """Apply with the batch in front, where the operations look for a seed of each sample."""
    moved = [
        _batch_first(argument, dim, size) if isinstance(argument, Tensor) else argument
        for argument, dim in zip(args, in_dims, strict=True)
    ]
    return function.apply(*moved), 0


def _batch_first(x: Tensor, dim: int | None, size: int) -> Tensor:
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
