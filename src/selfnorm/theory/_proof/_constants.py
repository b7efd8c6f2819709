"""SELU's two constants in balls: for any fixed point, every digit proved."""

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from flint import arb

from selfnorm.errors import ArgumentError
from selfnorm.theory._numbers import Number, exact
from selfnorm.theory._proof._balls import half_moments
from selfnorm.theory._proof._exact import Rounded, ball, settle, to_digits, to_float


class Wanted(NamedTuple):
    """The fixed point to keep, and the pre-activation `z ~ N(y, x)` that it meets."""

    mean: Fraction
    second: Fraction
    y: Fraction
    x: Fraction


def in_floats(wanted: Wanted) -> list[float]:
    """Alpha and scale in float64."""
    found = _settled(wanted, to_float)
    if math.inf in found:
        msg = (
            "Alpha and scale must be numbers that float64 holds; for this mean and variance alpha "
            "is larger. Ask for digits, or for a mean nearer to 0."
        )
        raise ArgumentError(msg)
    return found


def in_digits(wanted: Wanted, digits: int) -> list[Decimal]:
    """Alpha and scale in so many decimal digits."""
    return _settled(wanted, to_digits(digits))


def _settled(wanted: Wanted, rounding: Callable[[Fraction], Rounded]) -> list[Rounded]:
    _refuse_the_impossible(wanted)
    return settle(lambda: constants_in_balls(wanted), rounding)


def read(mean: Number, variance: Number, omega: Number, tau: Number) -> Wanted:
    exact_mean, exact_variance = exact(mean, "mean"), exact(variance, "variance")
    exact_tau = exact(tau, "tau")
    for name, value in (("variance", exact_variance), ("tau", exact_tau)):
        if value <= 0:
            msg = f"{name} must be positive; got {float(value):g}. At 0 nothing is left to scale."
            raise ArgumentError(msg)
    return Wanted(
        mean=exact_mean,
        second=exact_variance + exact_mean**2,
        y=exact_mean * exact(omega, "omega"),
        x=exact_variance * exact_tau,
    )


STANDARD = read(0, 1, 1, 1)


def constants_in_balls(wanted: Wanted = STANDARD) -> tuple[arb, arb]:
    """Balls around alpha and scale, at the precision in force.

    Each branch is the wanted root of the quadratic, in the form that does not cancel.
    """
    half = half_moments(ball(wanted.y), ball(wanted.x))
    share = ball(wanted.mean**2 / wanted.second)
    product = half.up * half.down
    root = (
        share * (half.down**2 * half.up2 + half.up**2 * half.down2 - share * half.up2 * half.down2)
    ).sqrt()
    if wanted.mean > 0:
        alpha = (half.up**2 - share * half.up2) / (product + root)
    else:
        alpha = (product + root) / (half.down**2 - share * half.down2)
    return alpha, (ball(wanted.second) / (half.up2 + alpha**2 * half.down2)).sqrt()


def _refuse_the_impossible(wanted: Wanted) -> None:
    """Raise if `mean / sqrt(variance + mean^2)` is outside what SELUs with alpha > 0 reach."""
    if wanted.mean == 0:
        return
    share = wanted.mean**2 / wanted.second

    def ceiling() -> tuple[arb]:
        half = half_moments(ball(wanted.y), ball(wanted.x))
        up, down = half.up**2 / half.up2, half.down**2 / half.down2
        return (up if wanted.mean > 0 else down,)

    if settle(ceiling, lambda value: value <= share)[0]:
        (limit,) = settle(ceiling, to_float)
        side, sign = ("below", 1) if wanted.mean > 0 else ("above", -1)
        msg = (
            f"With positive alpha, SELU can keep only a mean / sqrt(variance + mean^2) {side} "
            f"{sign * limit**0.5:.6g} here; got {sign * float(share) ** 0.5:.6g}. "
            "Ask for a mean nearer to 0 or for a larger variance."
        )
        raise ArgumentError(msg)
