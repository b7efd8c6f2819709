r"""The operations in plain torch: the specification that every kernel is tested against.

SELU, with or without alpha dropout, is one function of `x` with two constants of `p`:

    u = lambda * x if x > 0 else lambda * alpha * expm1(x),      x = -inf where dropped
    z = scale * u + shift

SELU alone has `scale = 1` and `shift = 0`. A dropped unit sits where SELU saturates, at
`floor = shift - scale * lambda * alpha`, so the derivative follows from the output alone:

    dz/dx = scale * lambda if z > shift else z - floor

In another form there is a line beside it, `linear * x + scale * u + shift`, which has no flat end:
a dropped unit is set apart, and the derivative asks for the input and the mask.

Half precision is computed in float32 and rounded once. `shift` and `floor` are compared as the
output's dtype holds them, so saturated and dropped units have a derivative of exactly 0; to the
others what the floor lost in rounding is given back.

A seed of shape `(B, ...)` gives each `x[b]` its own stream: what `torch.vmap` needs.

Random bits are Philox4x32-7 in int64 arithmetic: some sixty small tensor operations, which cost
about what torch's own Bernoulli draw costs at 16 Ki elements and less beyond, and which make the
mask a function of (seed, position) that any kernel can repeat bit for bit. `minimum` and `clamp`
apply it: they carry nan on and, unlike a choice by a bool tensor, are vectorized by torch.
"""

import math

import torch
from torch import Tensor

from selfnorm._spec._constants import BOTTOM, LAMBDA
from selfnorm.ops._constants import affine, derivative, shaped
from selfnorm.ops._random import draw_limits


def selu(x: Tensor) -> Tensor:
    """SELU."""
    return _selu(_widen(x)).to(x.dtype)


def selu_backward_from_input(x: Tensor, grad: Tensor) -> Tensor:
    """The gradient of SELU, exact to rounding."""
    wide = _widen(x)
    slope = torch.where(wide > 0, float(LAMBDA), wide.exp() * float(BOTTOM))
    return (slope * grad).to(x.dtype)


def selu_alpha_dropout(x: Tensor, seed: Tensor | None, p: float) -> Tensor:
    """SELU, then alpha dropout; nan stays nan where it is dropped. Without a seed, SELU alone."""
    if seed is None:
        return selu(x)
    scale, shift, dropped = affine(p, x.dtype)
    u = _selu(_widen(x).minimum(_limits(x, seed, p)))
    floor = derivative(p, u.dtype).floor
    return torch.where(u <= dropped, floor, u * scale + shift).clamp_(min=floor).to(x.dtype)


def selu_backward(output: Tensor, grad: Tensor, p: float) -> Tensor:
    """The gradient of SELU, with or without alpha dropout, from the output alone."""
    z = _widen(output)
    slope, threshold, floor, tail = derivative(p, output.dtype)
    below = z - floor
    below = torch.where(below == 0, 0.0, below + tail)
    return (torch.where(z > threshold, slope, below) * grad).to(output.dtype)


def alpha_dropout(x: Tensor, seed: Tensor, p: float, shared: int, linear: bool) -> Tensor:
    """Alpha dropout of `x` as it is; the last `shared` dimensions are kept or dropped as one.

    It is affine in `x`. With `linear` it is the linear part: 0 where dropped, and no shift.
    """
    scale, shift, dropped = affine(p, x.dtype)
    dropped = 0.0 if linear else dropped
    wide = _widen(x)
    limits = _limits(x, seed, p, shared).to(wide.dtype)
    kept = wide.clamp(limits.neg().clamp(max=dropped), limits.clamp(min=dropped)).mul_(scale)
    return (kept if linear else kept.add_(shift)).to(x.dtype)


def shaped_selu(
    x: Tensor, seed: Tensor | None, p: float, linear: float, factor: float, shift: float
) -> Tensor:
    """SELU in another form, then its alpha dropout if there is a seed; nan stays nan."""
    c = shaped(p, linear, factor, shift, x.dtype)
    wide = _widen(x)
    below = torch.expm1(wide) * float(BOTTOM) * c.scale
    if c.linear:
        below += wide * c.linear
    z = torch.where(wide > 0, wide * c.slope, below) + c.shift
    return _kept(z, x, seed, p, c.dropped).to(x.dtype)


def shaped_selu_backward(
    x: Tensor,
    grad: Tensor,
    seed: Tensor | None,
    p: float,
    linear: float,
    factor: float,
    shift: float,
) -> Tensor:
    """The gradient of the same: 0 where a unit is dropped."""
    c = shaped(p, linear, factor, shift, x.dtype)
    wide = _widen(x)
    slope = torch.where(wide > 0, c.slope, wide.exp() * float(BOTTOM) * c.scale + c.linear)
    return (_kept(slope, x, seed, p, 0.0) * grad).to(x.dtype)


def _kept(values: Tensor, x: Tensor, seed: Tensor | None, p: float, dropped: float) -> Tensor:
    if seed is None:
        return values
    return torch.where(x.isnan() | (_limits(x, seed, p) > 0), values, dropped)


def _selu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x * float(LAMBDA), torch.expm1(x) * float(BOTTOM))


def _limits(x: Tensor, seed: Tensor, p: float, shared: int = 0) -> Tensor:
    """-inf where `x` is dropped and inf where it is kept, to be broadcast with it."""
    shape = x.shape[: x.ndim - shared]
    limits = draw_limits(seed, math.prod(shape[seed.ndim :]), p)
    return limits.view(shape + (1,) * shared)


def _widen(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
