r"""SELU of one number: the formula that every kernel computes, and its constants.

With A = lambda * alpha and, for x <= 0, the integer k that puts r = x - k log 2 in [-.54, .153],

    selu(x) = A (2^k - 1) + 2^k w,     w = A (exp(r) - 1) = A r + r (tail of A + r Q(r)).

The interval lies off the middle so that k = 0 for all x above -.54, where the sum would cancel.
Q is the minimax polynomial of (A (exp(r) - 1) - A r) / r^2, weighted by its part in the result;
`benchmarks/polynomials.py` finds it. A constant that does not fit its dtype has a tail, and
`fma(x, lambda, x * tail)` is lambda * x, rounded nearly once.

The derivative for x <= 0 is `A exp(x) = 2^k (A + w)`. No sum hides there what is off, so what the
roundings of r and of A + A r lost is found by fused products and added last: `log 2` is taken in
two parts, of which k times the first is exact. As k may leave the exponents of normal numbers,
`2^(k + lift)` is made, and what comes of it is divided by `2^lift`.
"""

import math
from fractions import Fraction
from typing import NamedTuple

from selfnorm._spec._constants import BOTTOM, LAMBDA, rounded
from selfnorm._spec._formats import FLOAT32, FLOAT64, Format

LOWEST_R = -0.54


class Formula(NamedTuple):
    """The constants in numbers of one format."""

    q: tuple[float, ...]
    """Coefficients of Q, the constant term first."""
    bottom: float
    bottom_tail: float
    slope: float
    slope_tail: float
    log2e: float
    offset: float
    """`k = round(x * log2e + offset)`."""
    to_integer: float
    """Added and taken away again, it rounds to an integer, which is then in the low bits."""
    log2: float
    log2_tail: float
    lowest: float
    """From here down SELU is `-bottom`."""
    flat: float
    """From here down the derivative is 0, rounded to the smallest number of all."""
    lift: int
    log2_short: float
    """With so few digits that k times it is exact."""
    log2_rest: float


def _formula(kind: Format, lowest: float, flat: float, lift: int, q: tuple[float, ...]) -> Formula:
    bottom, slope = rounded(BOTTOM, kind), _below(LAMBDA, kind)
    log2 = rounded(math.log(2), kind)
    short = rounded(_LOG2, kind._replace(digits=kind.digits - round(-flat).bit_length() - 1))
    return Formula(
        q=tuple(rounded(coefficient, kind) for coefficient in q),
        bottom=bottom,
        bottom_tail=rounded(BOTTOM - Fraction(bottom), kind),
        slope=slope,
        slope_tail=rounded(LAMBDA - Fraction(slope), kind),
        log2e=rounded(1 / math.log(2), kind),
        offset=rounded(-LOWEST_R / math.log(2) - 0.5, kind),
        to_integer=1.5 / kind.eps,
        log2=log2,
        log2_tail=rounded(_LOG2 - Fraction(log2), kind),
        lowest=lowest,
        flat=flat,
        lift=lift,
        log2_short=short,
        log2_rest=rounded(_LOG2 - Fraction(short), kind),
    )


def _below(value: Fraction, kind: Format) -> float:
    """The next number below, so that infinity times the tail is not minus infinity."""
    nearest = rounded(value, kind)
    return nearest if Fraction(nearest) <= value else nearest - kind.eps


_LOG2 = Fraction("0.693147180559945309417232121458176568")

# fmt: off
SINGLE = _formula(FLOAT32, -18.0, -105.0, 100, (
    0.879050076007843, 0.29301971197128296, 0.07324104011058807, 0.014497455209493637,
    0.0020417936611920595,
))
DOUBLE = _formula(FLOAT64, -39.0, -746.0, 1000, (
    0.8790496704236884, 0.2930165568078961, 0.07325413920196924, 0.014650827840368398,
    0.002441804640350975, 0.00034882923700518755, 4.360365640017642e-05, 4.8447959092635366e-06,
    4.842141821631743e-07, 4.3462204189944294e-08, 3.0496905410759767e-09,
))
# fmt: on
