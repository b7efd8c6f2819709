"""SELU of one number, and its derivative: the formula of `_spec._polynomials`, for Numba."""

# Numba fills in the first argument of an intrinsic.
# pyright: reportCallIssue=false, reportArgumentType=false

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from selfnorm._spec._polynomials import DOUBLE, SINGLE, Formula
from selfnorm.ops._cpu._intrinsics import fma, power_of_two


def selu(x: Any) -> Any:
    """SELU of a float32 or float64: the name that Numba fills, never called by Python."""
    raise NotImplementedError(x)


def bend(x: Any) -> Any:
    """Its derivative where x is not above 0; filled in by Numba, too."""
    raise NotImplementedError(x)


@overload(selu)
def _overload_selu(x: Any) -> Any:
    return _selu_single if x == types.float32 else _selu_double


@overload(bend)
def _overload_bend(x: Any) -> Any:
    return _bend_single if x == types.float32 else _bend_double


_F, _D = (
    Formula(*(tuple(map(number, v)) if isinstance(v, tuple) else number(v) for v in formula))
    for number, formula in ((np.float32, SINGLE), (np.float64, DOUBLE))
)
_ZERO, _ONE = np.float32(0), np.float32(1)
_LIFT_F, _LIFT_D = (
    number(formula.lift) for number, formula in ((np.float32, SINGLE), (np.float64, DOUBLE))
)
_DROP_F, _DROP_D = np.float32(2.0**-SINGLE.lift), np.float64(2.0**-DOUBLE.lift)


def _selu_single(x: Any) -> Any:
    v = _F.lowest if x < _F.lowest else x
    t = fma(v, _F.log2e, _F.offset) + _F.to_integer
    power = power_of_two(t)
    r = fma(t - _F.to_integer, -_F.log2, v)  # the tail of log 2 is lost in what k < 0 adds
    q = fma(fma(fma(fma(_F.q[4], r, _F.q[3]), r, _F.q[2]), r, _F.q[1]), r, _F.q[0])
    w = fma(_F.bottom, r, r * fma(q, r, _F.bottom_tail))
    below = fma(-_F.bottom, _ONE - power, power * w)  # so ordered that -0 stays -0
    return fma(x, _F.slope, x * _F.slope_tail) if x > _ZERO else below


def _selu_double(x: Any) -> Any:
    v = _D.lowest if x < _D.lowest else x
    t = fma(v, _D.log2e, _D.offset) + _D.to_integer
    power, k = power_of_two(t), t - _D.to_integer
    r = fma(k, -_D.log2_tail, fma(k, -_D.log2, v))
    q = fma(fma(fma(_D.q[10], r, _D.q[9]), r, _D.q[8]), r, _D.q[7])
    q = fma(fma(fma(fma(q, r, _D.q[6]), r, _D.q[5]), r, _D.q[4]), r, _D.q[3])
    q = fma(fma(fma(q, r, _D.q[2]), r, _D.q[1]), r, _D.q[0])
    w = fma(_D.bottom, r, r * fma(q, r, _D.bottom_tail))
    below = fma(-_D.bottom, 1.0 - power, power * w)
    return fma(x, _D.slope, x * _D.slope_tail) if x > 0.0 else below


def _bend_single(x: Any) -> Any:
    v = _F.flat if x < _F.flat else x
    t = fma(v, _F.log2e, _F.offset) + _F.to_integer
    power, k = power_of_two(t + _LIFT_F), t - _F.to_integer
    exact = fma(k, -_F.log2_short, v)
    r = fma(k, -_F.log2_rest, exact)
    r_tail = fma(k, -_F.log2_rest, exact - r)
    q = fma(fma(fma(fma(_F.q[4], r, _F.q[3]), r, _F.q[2]), r, _F.q[1]), r, _F.q[0])
    line, above = _F.bottom * r, fma(r, fma(q, r, _F.bottom_tail), _F.bottom_tail)
    high = _F.bottom + line
    tail = fma(_F.bottom, r, -line) + ((_F.bottom - high) + line)
    return (high + (fma(high, r_tail, tail) + above)) * power * _DROP_F


def _bend_double(x: Any) -> Any:
    v = _D.flat if x < _D.flat else x
    t = fma(v, _D.log2e, _D.offset) + _D.to_integer
    power, k = power_of_two(t + _LIFT_D), t - _D.to_integer
    exact = fma(k, -_D.log2_short, v)
    r = fma(k, -_D.log2_rest, exact)
    r_tail = fma(k, -_D.log2_rest, exact - r)
    q = fma(fma(fma(_D.q[10], r, _D.q[9]), r, _D.q[8]), r, _D.q[7])
    q = fma(fma(fma(fma(q, r, _D.q[6]), r, _D.q[5]), r, _D.q[4]), r, _D.q[3])
    q = fma(fma(fma(q, r, _D.q[2]), r, _D.q[1]), r, _D.q[0])
    line, above = _D.bottom * r, fma(r, fma(q, r, _D.bottom_tail), _D.bottom_tail)
    high = _D.bottom + line
    tail = fma(_D.bottom, r, -line) + ((_D.bottom - high) + line)
    return (high + (fma(high, r_tail, tail) + above)) * power * _DROP_D
