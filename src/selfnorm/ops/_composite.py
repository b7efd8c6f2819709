"""The operations as compositions of torch's own, for whoever differentiates in other ways.

`torch.func`, forward mode and derivatives of derivatives ask for rules of every order; torch's own
operations have them. Each composition begins with a copy where the result may be written over its
input, since what it keeps for the backward pass would change too.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from selfnorm._spec._constants import ALPHA, LAMBDA
from selfnorm.ops import _reference
from selfnorm.ops._constants import affine, shaped
from selfnorm.ops._library import OPS
from selfnorm.ops._random import draw_limits

selu_backward: Callable[[Tensor, Tensor, float], Tensor] = _reference.selu_backward


def selu(x: Tensor) -> Tensor:
    """SELU."""
    return functional.selu(x.clone())


def selu_backward_from_input(x: Tensor, grad: Tensor) -> Tensor:
    """The gradient of SELU."""
    return torch.ops.aten.elu_backward(grad, float(ALPHA), float(LAMBDA), 1.0, False, x)


def selu_alpha_dropout(x: Tensor, seed: Tensor | None, p: float) -> Tensor:
    """SELU, then alpha dropout."""
    if seed is None:
        return selu(x)
    wide = x.to(torch.promote_types(x.dtype, torch.float32), copy=True)
    return _drop(functional.selu(wide), x, seed, p).to(x.dtype)


def alpha_dropout(x: Tensor, seed: Tensor, p: float, shared: int, linear: bool) -> Tensor:
    """Alpha dropout, or its linear part."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32), copy=True)
    return _drop(wide, x, seed, p, shared, linear=linear).to(x.dtype)


def shaped_selu(
    x: Tensor, seed: Tensor | None, p: float, linear: float, factor: float, shift: float
) -> Tensor:
    """SELU in another form, then its alpha dropout."""
    c = shaped(p, linear, factor, shift, x.dtype)
    wide = x.to(torch.promote_types(x.dtype, torch.float32), copy=True)
    z = functional.selu(wide) * c.scale + c.shift
    if c.linear:
        z = wide * c.linear + z
    return (z if seed is None else torch.where(_kept(x, seed, p), z, c.dropped)).to(x.dtype)


def shaped_selu_backward(
    x: Tensor,
    grad: Tensor,
    seed: Tensor | None,
    p: float,
    linear: float,
    factor: float,
    shift: float,
) -> Tensor:
    """The gradient of the same, which takes its mask by an operation that has derivatives."""
    c = shaped(p, linear, factor, shift, x.dtype)
    wide, wide_grad = (t.to(torch.promote_types(x.dtype, torch.float32)) for t in (x, grad))
    result = selu_backward_from_input(wide, wide_grad) * c.scale + wide_grad * c.linear
    if seed is not None:
        scale = affine(p, x.dtype).scale or 1.0  # which it multiplies by; 0 if all are dropped
        result = OPS.alpha_dropout.default(result / scale, seed, p, 0, True)
    return result.to(x.dtype)


def _drop(
    u: Tensor, x: Tensor, seed: Tensor, p: float, shared: int = 0, *, linear: bool = False
) -> Tensor:
    scale, shift, dropped = affine(p, x.dtype)
    kept = _kept(x, seed, p, shared)
    if linear:
        return torch.where(kept, u, 0.0) * scale
    return torch.where(kept, u, dropped) * scale + shift


def _kept(x: Tensor, seed: Tensor, p: float, shared: int = 0) -> Tensor:
    shape = x.shape[: x.ndim - shared]
    limits = draw_limits(seed, math.prod(shape[seed.ndim :]), p).view(shape + (1,) * shared)
    return x.isnan() | (limits > 0)  # in this order it is laid out as x, and so is the result
