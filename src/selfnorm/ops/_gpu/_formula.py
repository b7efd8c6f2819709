"""SELU of one number and its slope, step by step as on CPU, so that both give the same bits."""

# The parameters of these functions have no types that a checker would know.
# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportCallIssue=false, reportOperatorIssue=false, reportIndexIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false
# pyright: reportInvalidTypeForm=false

import triton
import triton.language as tl

from selfnorm._spec._polynomials import DOUBLE, SINGLE

_F, _D = (tuple(tl.constexpr(value) for value in formula[1:]) for formula in (SINGLE, DOUBLE))
_BOTTOM_F, _BOTTOM_TAIL_F, _SLOPE_F, _SLOPE_TAIL_F, _LOG2E_F, _OFFSET_F = _F[:6]
_TO_INTEGER_F, _LOG2_F, _, _LOWEST_F, _FLAT_F, _LIFT_F, _SHORT_F, _REST_F = _F[6:]
_BOTTOM_D, _BOTTOM_TAIL_D, _SLOPE_D, _SLOPE_TAIL_D, _LOG2E_D, _OFFSET_D = _D[:6]
_TO_INTEGER_D, _LOG2_D, _LOG2_TAIL_D, _LOWEST_D, _FLAT_D, _LIFT_D, _SHORT_D, _REST_D = _D[6:]
_DROP_F, _DROP_D = (tl.constexpr(2.0**-formula.lift) for formula in (SINGLE, DOUBLE))
_Q_F, _Q_D = tl.constexpr(SINGLE.q), tl.constexpr(DOUBLE.q)
_Q_F_LAST, _Q_D_LAST = tl.constexpr(len(SINGLE.q) - 1), tl.constexpr(len(DOUBLE.q) - 1)


@triton.jit
def selu_of(x):
    """SELU."""
    return _selu_double(x) if x.dtype == tl.float64 else _selu_single(x)


@triton.jit
def _selu_single(x):
    v = tl.where(x < _LOWEST_F, _LOWEST_F, x)
    t = _fma(v, _LOG2E_F, _OFFSET_F) + _TO_INTEGER_F
    power = ((t.to(tl.int32, bitcast=True) + 127) << 23).to(tl.float32, bitcast=True)
    r = _fma(t - _TO_INTEGER_F, -_LOG2_F, v)
    q = tl.full(x.shape, _Q_F[_Q_F_LAST], tl.float32)
    for i in tl.static_range(1, _Q_F_LAST + 1):
        q = _fma(q, r, _Q_F[_Q_F_LAST - i])
    w = _fma(r, _BOTTOM_F, r * _fma(q, r, _BOTTOM_TAIL_F))
    below = _fma(1.0 - power, -_BOTTOM_F, power * w)
    return tl.where(x > 0, _fma(x, _SLOPE_F, x * _SLOPE_TAIL_F), below)


@triton.jit
def _selu_double(x):
    v = tl.where(x < _LOWEST_D, _full(x, _LOWEST_D), x)
    t = _fma(v, _LOG2E_D, _OFFSET_D) + _full(x, _TO_INTEGER_D)
    power = ((t.to(tl.int64, bitcast=True) + 1023) << 52).to(tl.float64, bitcast=True)
    k = t - _full(x, _TO_INTEGER_D)
    r = _fma(k, -_LOG2_TAIL_D, _fma(k, -_LOG2_D, v))
    q = _full(x, _Q_D[_Q_D_LAST])
    for i in tl.static_range(1, _Q_D_LAST + 1):
        q = _fma(q, r, _Q_D[_Q_D_LAST - i])
    w = _fma(r, _BOTTOM_D, r * _fma(q, r, _BOTTOM_TAIL_D))
    below = _fma(1.0 - power, -_BOTTOM_D, power * w)
    return tl.where(x > 0, _fma(x, _SLOPE_D, x * _full(x, _SLOPE_TAIL_D)), below)


@triton.jit
def bend(x):
    """Its derivative where x is not above 0."""
    return _bend_double(x) if x.dtype == tl.float64 else _bend_single(x)


@triton.jit
def _bend_single(x):
    v = tl.where(x < _FLAT_F, _FLAT_F, x)
    t = _fma(v, _LOG2E_F, _OFFSET_F) + _TO_INTEGER_F
    power = ((t.to(tl.int32, bitcast=True) + (127 + _LIFT_F)) << 23).to(tl.float32, bitcast=True)
    k = t - _TO_INTEGER_F
    exact = _fma(k, -_SHORT_F, v)
    r = _fma(k, -_REST_F, exact)
    r_tail = _fma(k, -_REST_F, exact - r)
    q = tl.full(x.shape, _Q_F[_Q_F_LAST], tl.float32)
    for i in tl.static_range(1, _Q_F_LAST + 1):
        q = _fma(q, r, _Q_F[_Q_F_LAST - i])
    line = r * _BOTTOM_F
    high = line + _BOTTOM_F
    tail = _fma(r, _BOTTOM_F, -line) + ((_BOTTOM_F - high) + line)
    above = _fma(_fma(q, r, _BOTTOM_TAIL_F), r, _BOTTOM_TAIL_F)
    return (high + (_fma(high, r_tail, tail) + above)) * power * _DROP_F


@triton.jit
def _bend_double(x):
    bottom, tail_of_bottom = _full(x, _BOTTOM_D), _full(x, _BOTTOM_TAIL_D)
    v = tl.where(x < _FLAT_D, _full(x, _FLAT_D), x)
    t = _fma(v, _LOG2E_D, _OFFSET_D) + _full(x, _TO_INTEGER_D)
    power = ((t.to(tl.int64, bitcast=True) + (1023 + _LIFT_D)) << 52).to(tl.float64, bitcast=True)
    k = t - _full(x, _TO_INTEGER_D)
    exact = _fma(k, -_SHORT_D, v)
    r = _fma(k, -_REST_D, exact)
    r_tail = _fma(k, -_REST_D, exact - r)
    q = _full(x, _Q_D[_Q_D_LAST])
    for i in tl.static_range(1, _Q_D_LAST + 1):
        q = _fma(q, r, _Q_D[_Q_D_LAST - i])
    line = bottom * r
    high = bottom + line
    tail = _fma(bottom, r, -line) + ((bottom - high) + line)
    above = _fma(_fma(q, r, tail_of_bottom), r, tail_of_bottom)
    return (high + (_fma(high, r_tail, tail) + above)) * power * _full(x, _DROP_D)


@triton.jit
def _full(x, value):
    """A constant of the type of `x`: as it is, Triton would take it for float32."""
    return tl.full(x.shape, value, x.dtype)


@triton.jit
def _fma(a, b, c):
    """`a * b + c`, rounded once; `b` or `c` may be a constant, and has the type of `a` then."""
    b = b if isinstance(b, tl.tensor) else tl.full(a.shape, b, a.dtype)
    c = c if isinstance(c, tl.tensor) else tl.full(a.shape, c, a.dtype)
    return tl.fma(a, b, c)
