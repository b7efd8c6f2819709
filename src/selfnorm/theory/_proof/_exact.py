"""From exact rationals to balls, and from balls back to digits that are proved.

A ball (Arb's `[middle +/- radius]`) holds the true value for certain. A digit is proved when both
ends of the ball round to it.
"""

import math
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TypeVar

from flint import arb, ctx, fmpq

from selfnorm.errors import ArgumentError

Rounded = TypeVar("Rounded")

_FIRST_BITS = 128
_DOUBLINGS = 8
_lock = threading.RLock()  # a callback inside may ask for another proof


@contextmanager
def precision(bits: int) -> Generator[None]:
    """So many bits inside, in one thread at a time, and as many as before afterwards.

    `flint.ctx` is one for the process and not one for each thread
    (https://github.com/flintlib/python-flint/pull/164 says why), so two proofs at once would
    compute with each other's bits, and restore them in the wrong order. What a user computes with
    flint in another thread meanwhile cannot be kept from them.
    """
    with _lock, ctx.workprec(bits):
        yield


def ball(value: Fraction) -> arb:
    """The smallest ball, at the precision in force, that holds a rational."""
    return arb(fmpq(value.numerator, value.denominator))


def hull(low: Fraction, high: Fraction) -> arb:
    """A ball that holds every number between two rationals."""
    return ball(low).union(ball(high))


def lower(value: arb) -> Fraction:
    """The ball's lower end: a rational that no number in it falls below."""
    return _rational(value.lower())


def upper(value: arb) -> Fraction:
    """The ball's upper end: a rational that no number in it exceeds."""
    return _rational(value.upper())


def settle(
    compute: Callable[[], tuple[arb, ...]], rounding: Callable[[Fraction], Rounded]
) -> list[Rounded]:
    """Compute with more and more bits until both ends of every ball round to the same.

    Args:
        compute: Gives the balls at the precision in force.
        rounding: From a rational to what is wanted: `float`, or a decimal of so many digits.

    Returns:
        The rounded values, each the correct rounding of the true value.

    Raises:
        ArgumentError: If 2**15 bits do not decide the rounding.
    """
    bits = _FIRST_BITS
    for _ in range(_DOUBLINGS + 1):
        with precision(bits):
            balls = compute()
            if all(value.is_finite() for value in balls):
                lows = [rounding(lower(value)) for value in balls]
                if lows == [rounding(upper(value)) for value in balls]:
                    return lows
        bits *= 2
    msg = (
        f"Every digit must be proved, and {bits // 2} bits do not prove these. "
        "Ask for fewer digits, or for a mean and variance of moderate size."
    )
    raise ArgumentError(msg)


def to_digits(digits: int) -> Callable[[Fraction], Decimal]:
    """Rounding of a rational to so many significant decimal digits, half to even."""

    def rounding(value: Fraction) -> Decimal:
        with localcontext() as context:
            context.prec = digits
            return Decimal(value.numerator) / Decimal(value.denominator)

    return rounding


def to_float(value: Fraction) -> float:
    """Rounding of a rational to float64; infinite where it is larger than all of them."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _rational(value: arb) -> Fraction:
    number = value.fmpq()
    return Fraction(int(number.p), int(number.q))
