r"""SELU of an array and its derivative, in products and sums alone.

XLA has no fused product and says neither where it makes one of a product and a sum, nor where it
does not. So what must be exact is exact either way: lambda alpha is 1.75, of three bits, and a
rest, and 1.75 is multiplied with numbers that have three bits to spare. With k and r as in
`_spec._polynomials`, which has the reasons and the coefficients,

    selu(x) = 1.75 (2^k - 1) + (rest (2^k - 1) + 2^k w),      w = 1.75 r + r (rest + r Q(r))

where each of the sums' first terms is exact and the second ones are small, so that one rounding
counts. For k = 0 w is all there is, so r is taken apart into s, of so few bits that 1.75 s and
.875 s^2 are exact, and t:

    w = 1.75 s + (.875 s^2 + (t (1.75 + 1.75 s + .875 t) + r (rest + r (Q(r) - .875))))

And lambda x is `x + (lambda - 1) x`.
"""

from fractions import Fraction

import jax.numpy as jnp
from jax import Array, lax

from selfnorm._spec._constants import BOTTOM, LAMBDA, Derivative
from selfnorm._spec._polynomials import DOUBLE, SINGLE, Formula

_HEAD = 1.75
_REST = float(BOTTOM - Fraction(_HEAD))
_STEEPER = float(LAMBDA - 1)
_LARGE = 2.0**64


def selu(x: Array) -> Array:
    """SELU of float32 or float64; nan stays nan, and -0 stays -0."""
    f, bits, exponent, mantissa, spare = _format(x)
    v = lax.clamp(_number(x, f.lowest), x, _number(x, 0.0))
    k = jnp.round(v * f.log2e + f.offset)
    power = lax.bitcast_convert_type((k.astype(bits) + exponent) << mantissa, x.dtype)
    r = (v - k * f.log2_short) - k * f.log2_rest
    q = jnp.full_like(r, f.q[-1])
    for coefficient in (*f.q[-2:0:-1], f.q[0] - _HEAD / 2):
        q = q * r + coefficient
    s = lax.bitcast_convert_type(lax.bitcast_convert_type(r, bits) & -(1 << spare), x.dtype)
    t, first = r - s, _HEAD * s
    third = t * ((_HEAD + first) + (_HEAD / 2) * t) + r * (_REST + r * q)
    w = first + ((_HEAD / 2) * (s * s) + third)
    less = power - 1
    below = _HEAD * less + (_REST * less + power * w)
    below = jnp.where(x > -jnp.finfo(x.dtype).eps / 4, x * f.bottom, below)
    return jnp.where(x > 0, _line(x), below)


def _line(x: Array) -> Array:
    """`lambda x` for x > 0; of small x the second term would be one that processors take for 0."""
    large = x * _LARGE
    return jnp.where(x < 1, (large + _STEEPER * large) / _LARGE, x + _STEEPER * x)


def slope(z: Array, constants: Derivative) -> Array:
    """The derivative of SELU, with alpha dropout or without, by its output."""
    at, threshold, floor, tail = constants
    below = jnp.where(z == floor, 0.0, (z - floor) + tail)
    return jnp.where(z > threshold, jnp.asarray(at, z.dtype), below)


def _format(x: Array) -> tuple[Formula, type, int, int, int]:
    """The constants, the integers of the same size, the exponent of 1, digits after the point.

    And how many of r's digits s is without: 7 s^2 / 8 has three digits more than twice those of s.
    """
    if x.dtype == jnp.float64:
        return DOUBLE, jnp.int64, 1023, 52, 53 - 25
    return SINGLE, jnp.int32, 127, 23, 24 - 10


def _number(x: Array, value: float) -> Array:
    return jnp.asarray(value, x.dtype)
