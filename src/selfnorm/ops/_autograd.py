"""Derivatives: they belong to the registered operations, and everyday calls have a shorter way.

Whatever sees an operation of `torch.ops.selfnorm` (a compiler, a program, a tracer) finds its
derivatives with it: reverse mode by a kernel, all else by `_composite`, and `vmap` by a seed of its
own for each sample. Plain SELU keeps its input, from which its derivative is exact; in place and
with alpha dropout the output is kept and nothing else; alpha dropout keeps its seed. Other forms of
SELU keep input and seed, as no output tells whether it was dropped.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.nn import functional

from selfnorm import _torch_private
from selfnorm.errors import UnsupportedError
from selfnorm.ops import _composite, _direct, _reference
from selfnorm.ops._library import LIBRARY, OPS
from selfnorm.ops._random import draw_seed
from selfnorm.theory._form import SELUForm

Run = Callable[..., Tensor]
_ROUNDING = 1e-9


def selu(x: Tensor, inplace: bool) -> Tensor:
    """SELU with derivatives."""
    if inplace:
        return selu_alpha_dropout(x, 0.0, inplace)
    if not _direct.possible(x):
        by_torch = _direct.torch_serves(x, masks=False)
        return functional.selu(x) if by_torch else OPS.selu.default(x)
    if x.requires_grad and torch.is_grad_enabled():
        return _apply_keeps_input(x, _direct.selu)
    return _direct.selu(x)


def selu_alpha_dropout(
    x: Tensor, p: float, inplace: bool, *, generator: torch.Generator | None = None
) -> Tensor:
    """SELU and, if p is not 0, alpha dropout, with derivatives."""
    if not _direct.possible(x):
        if _direct.torch_serves(x, masks=p > 0):
            if not p:
                return _torch_selu(x, inplace)
            u = functional.selu(x.clone() if inplace else x)  # keeps what would be written over
            z = _torch_dropout(u, p, False, generator=generator)
            # Not `copy_`, of which an exported program has no derivative once it is decomposed.
            return x.zero_().add_(z) if inplace else z
        seed = draw_seed(x.device, generator) if p else None
        return _written(OPS.selu_alpha_dropout.default(x, seed, p), x, inplace)
    _let_torch_refuse(x, inplace)
    seed = _direct.draw_seed(x, generator) if p else None
    how = (seed, p, inplace)
    if x.requires_grad and torch.is_grad_enabled():
        return _apply_keeps_output(x, how, _direct.selu_alpha_dropout)
    _direct.note_change(x, inplace)
    return _direct.selu_alpha_dropout(x, *how)


def shaped_selu(
    x: Tensor,
    p: float,
    form: SELUForm,
    inplace: bool,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """SELU in another form and, if p is not 0, alpha dropout, with derivatives."""
    if not _direct.possible(x):
        kept = x.clone() if inplace else x  # what would be written over
        if _direct.torch_serves(x, masks=p > 0):
            z = _torch_shaped(kept, p, form, generator=generator)
            return x.zero_().add_(z) if inplace else z
        seed = draw_seed(x.device, generator) if p else None
        return _written(OPS.shaped_selu.default(kept, seed, p, *form), x, inplace)
    graph = x.requires_grad and torch.is_grad_enabled()
    if graph and inplace:
        return x.copy_(shaped_selu(x.clone(), p, form, inplace=False, generator=generator))
    _let_torch_refuse(x, inplace)
    if graph:  # the seed is kept, so it is not drawn into memory that is used again
        seed = draw_seed(x.device, generator) if p else None
        return _apply_keeps_both(x, (seed, p, form), _direct.shaped_selu)
    seed = _direct.draw_seed(x, generator) if p else None
    _direct.note_change(x, inplace)
    return _direct.shaped_selu(x, seed, p, form, inplace)


def alpha_dropout(
    x: Tensor, p: float, *, shared: int, inplace: bool, generator: torch.Generator | None = None
) -> Tensor:
    """Alpha dropout with derivatives."""
    if not _direct.possible(x):
        if _direct.torch_serves(x, masks=True):
            return _torch_dropout(x, p, inplace, generator=generator, shared=shared)
        seed = draw_seed(x.device, generator)
        return _written(OPS.alpha_dropout.default(x, seed, p, shared, False), x, inplace)
    _let_torch_refuse(x, inplace)
    how = (draw_seed(x.device, generator), p, shared, False, inplace)
    if x.requires_grad and torch.is_grad_enabled():
        return _apply_keeps_seed(x, how, _direct.alpha_dropout)
    _direct.note_change(x, inplace)
    return _direct.alpha_dropout(x, *how)


def _let_torch_refuse(x: Tensor, inplace: bool) -> None:
    """What torch writes over in no way must not be overwritten by a kernel, which asks nobody.

    A leaf is an error, as are some views, which a `Function` finds only once they are overwritten,
    and so is a tensor of inference mode outside of it. So an operation of torch's meets them first,
    which leaves the numbers as they are.
    """
    if not inplace:
        return
    graph = x.requires_grad and torch.is_grad_enabled() and _torch_private.ways.may_be_refused(x)
    if graph or (x.is_inference() and not torch.is_inference_mode_enabled()):
        x.mul_(1)


def _torch_selu(x: Tensor, inplace: bool) -> Tensor:
    """Torch's own, and not `selu_` where that costs more than memory.

    To ONNX it is Elu and Mul, and its derivative is that of the output. A compiler decides by
    itself what is written over.
    """
    compiled = torch.compiler.is_compiling()
    if compiled and torch.compiler.is_exporting():
        compiled = torch.onnx.is_in_onnx_export()
    if inplace and compiled:
        return x.copy_(functional.selu(x.clone()))
    return functional.selu(x, inplace)


def _torch_shaped(
    x: Tensor, p: float, form: SELUForm, *, generator: torch.Generator | None
) -> Tensor:
    """A form of SELU in torch's operations; its alpha dropout keeps mean 0 and variance 1 alone."""
    u = functional.selu(x)
    if not form.linear:  # 0 times infinity would be nan
        u = _torch_dropout(u, p, False, generator=generator) if p else u
        return u * form.factor + form.shift
    z, deviation = u * form.factor + x * form.linear, form.variance**0.5
    if p and abs(deviation - 1) < _ROUNDING:
        z = _torch_dropout(z, p, False, generator=generator)
    elif p:
        z = _torch_dropout(z / deviation, p, False, generator=generator) * deviation
    return z + form.shift if form.shift else z


def _written(result: Tensor, x: Tensor, inplace: bool) -> Tensor:
    return x.copy_(result) if inplace else result


def _torch_dropout(
    x: Tensor, p: float, inplace: bool, *, generator: torch.Generator | None, shared: int = 0
) -> Tensor:
    """Torch's own, which has a batch and no generator."""
    if generator is not None:
        raise UnsupportedError(
            "Where torch's own alpha dropout serves, as in an export, a trace and for classes of "
            "tensors, masks come from torch's generator; got generator=. Pass None there."
        )
    if x.is_nested:
        raise UnsupportedError(
            "Masks are drawn for tensors of one shape; got a nested tensor. Drop in its values: "
            "torch.nested.nested_tensor_from_jagged(dropped(x.values()), x.offsets())."
        )
    if not shared:
        return functional.alpha_dropout(x, p, True, inplace)
    if x.ndim - shared > 1:
        return functional.feature_alpha_dropout(x, p, True, inplace)
    dropped = functional.feature_alpha_dropout(x.unsqueeze(0), p, True, inplace)
    return x if inplace else dropped.squeeze(0)


# --- reverse mode ----------------------------------------------------------------------------


class _KeepsInput(Function):
    """SELU; `run` computes it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, run: Run) -> Tensor:
        ctx.save_for_backward(x)
        return run(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,), (grad,) = ctx.saved_tensors, grads
        if torch.is_grad_enabled() or not _direct.possible_for(x, grad):
            return OPS.selu_backward_from_input.default(x, grad), None
        return _direct.selu_backward_from_input(x, grad), None


class _KeepsOutput(Function):
    """SELU, with alpha dropout if there is a seed; `how` is `(seed, p, inplace)`.

    As one argument, since each costs.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, how: tuple[Tensor | None, float, bool], run: Run) -> Tensor:
        _, ctx.p, inplace = how
        if inplace:
            ctx.mark_dirty(x)
        output = run(x, *how)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (output,), (grad,) = ctx.saved_tensors, grads
        if torch.is_grad_enabled() or not _direct.possible_for(output, grad):
            return OPS.selu_backward.default(output, grad, ctx.p), None, None
        return _direct.selu_backward(output, grad, ctx.p), None, None


class _KeepsSeed(Function):
    """Alpha dropout, affine in `x`; `how` is `(seed, p, shared, linear, inplace)`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, how: tuple[Tensor, float, int, bool, bool], run: Run
    ) -> Tensor:
        seed, ctx.p, ctx.shared, _, inplace = how
        if inplace:
            ctx.mark_dirty(x)
        ctx.save_for_backward(seed)
        return run(x, *how)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (seed,), (grad,) = ctx.saved_tensors, grads
        if torch.is_grad_enabled() or not _direct.possible(grad):
            return OPS.alpha_dropout.default(grad, seed, ctx.p, ctx.shared, True), None, None
        return _direct.alpha_dropout(grad, seed, ctx.p, ctx.shared, True, False), None, None


class _KeepsBoth(Function):
    """SELU in another form, with alpha dropout if there is a seed; `how` is `(seed, p, form)`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, how: tuple[Tensor | None, float, SELUForm], run: Run
    ) -> Tensor:
        seed, ctx.p, ctx.form = how
        ctx.save_for_backward(x, seed)
        return run(x, *how)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x, seed), (grad,) = ctx.saved_tensors, grads
        if torch.is_grad_enabled() or not _direct.possible_for(x, grad):
            back = OPS.shaped_selu_backward.default(x, grad, seed, ctx.p, *ctx.form)
            return back, None, None
        return _direct.shaped_selu_backward(x, grad, seed, ctx.p, ctx.form), None, None


# Their `apply`, looked up once.
_apply_keeps_input, _apply_keeps_output, _apply_keeps_seed, _apply_keeps_both = map(
    _torch_private.quick, (_KeepsInput, _KeepsOutput, _KeepsSeed, _KeepsBoth)
)

# --- the registered operations ---------------------------------------------------------------


def _below(name: str, *arguments: Any) -> Tensor:
    """The operation itself, without its derivative."""
    guard = _torch_private.ways.below_autograd
    if guard is None:
        return getattr(_reference, name)(*arguments)
    with guard():
        return getattr(OPS, name).default(*arguments)


def _selu(x: Tensor) -> Tensor:
    return _KeepsInput.apply(x, lambda x: _below("selu", x))


def _selu_alpha_dropout(x: Tensor, seed: Tensor | None, p: float) -> Tensor:
    def run(x: Tensor, seed: Tensor | None, p: float, _: bool) -> Tensor:
        return _below("selu_alpha_dropout", x, seed, p)

    return _KeepsOutput.apply(x, (seed, p, False), run)


def _alpha_dropout(x: Tensor, seed: Tensor, p: float, shared: int, linear: bool) -> Tensor:
    def run(x: Tensor, seed: Tensor, p: float, shared: int, linear: bool, _: bool) -> Tensor:
        return _below("alpha_dropout", x, seed, p, shared, linear)

    return _KeepsSeed.apply(x, (seed, p, shared, linear, False), run)


def _shaped_selu(x: Tensor, seed: Tensor | None, p: float, *form: float) -> Tensor:
    def run(x: Tensor, seed: Tensor | None, p: float, form: SELUForm) -> Tensor:
        return _below("shaped_selu", x, seed, p, *form)

    return _KeepsBoth.apply(x, (seed, p, SELUForm(*form)), run)


_REVERSE: dict[str, Run] = {
    "selu": _selu,
    "selu_alpha_dropout": _selu_alpha_dropout,
    "alpha_dropout": _alpha_dropout,
    "selu_backward": _composite.selu_backward,
    "selu_backward_from_input": _composite.selu_backward_from_input,
    "shaped_selu": _shaped_selu,
    "shaped_selu_backward": _composite.shaped_selu_backward,
}


def _register(name: str, reverse: Run) -> None:
    composite: Run = getattr(_composite, name)

    def differentiable(*arguments: Any) -> Tensor:
        tensors = [t for t in arguments if isinstance(t, Tensor)]
        if _torch_private.ways.transforms_active() or any(map(_has_tangent, tensors)):
            return composite(*arguments)
        if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
            return reverse(*arguments)
        return _below(name, *arguments)

    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Tensor, int]:
        """With the batch in front, where the operations look for a seed of each sample."""
        moved = [
            _batch_first(argument, dim, info.batch_size)
            if isinstance(argument, Tensor)
            else argument
            for argument, dim in zip(arguments, in_dims, strict=True)
        ]
        return getattr(OPS, name).default(*moved), 0

    LIBRARY.impl(name, differentiable, "Autograd")
    torch.library.register_vmap(f"selfnorm::{name}", vmap, lib=LIBRARY)


def _has_tangent(x: Tensor) -> bool:
    return forward_ad.unpack_dual(x).tangent is not None


def _batch_first(x: Tensor, dim: int | None, size: int) -> Tensor:
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)


for _name, _run in _REVERSE.items():
    _register(_name, _run)
