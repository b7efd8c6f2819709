"""SELU's two constants, from the fixed-point equations (Klambauer et al. 2017, Eq. 4, 5 and 14)."""

from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple, overload

from flint import arb

from selfnorm.errors import ArgumentError
from selfnorm.theory._balls import half_moments
from selfnorm.theory._exact import Number, ball, exact, settle, to_digits

_MOST_DIGITS = 5000


class SELUConstants(NamedTuple):
    """The two parameters of SELU: `selu(x) = scale * (x if x > 0 else alpha * (exp(x) - 1))`."""

    alpha: float
    scale: float

    @property
    def saturation(self) -> float:
        """`-scale * alpha`: what SELU tends to on the left, and alpha dropout sets units to."""
        return -self.scale * self.alpha


class CertifiedConstants(NamedTuple):
    """`SELUConstants` as decimals whose every digit is proved."""

    alpha: Decimal
    scale: Decimal


class _Wanted(NamedTuple):
    """The fixed point to keep, and the pre-activation `z ~ N(y, x)` that it meets."""

    mean: Fraction
    second: Fraction
    y: Fraction
    x: Fraction


@overload
def selu_constants(
    mean: Number = 0.0,
    variance: Number = 1.0,
    *,
    omega: Number = 1.0,
    tau: Number = 1.0,
    digits: None = None,
) -> SELUConstants: ...
@overload
def selu_constants(
    mean: Number = 0.0,
    variance: Number = 1.0,
    *,
    omega: Number = 1.0,
    tau: Number = 1.0,
    digits: int,
) -> CertifiedConstants: ...
def selu_constants(
    mean: Number = 0.0,
    variance: Number = 1.0,
    *,
    omega: Number = 1.0,
    tau: Number = 1.0,
    digits: int | None = None,
) -> SELUConstants | CertifiedConstants:
    r"""Alpha and scale for which a wanted mean and variance are a fixed point of the moment map.

    The pre-activation is `z ~ N(mean * omega, variance * tau)`. Let `u = max(z, 0)` and
    `d = 1 - exp(min(z, 0))`, so that `selu(z) = scale * (u - alpha * d)` and `u * d = 0`. The
    fixed point asks for

        scale * (E u - alpha E d) = mean
        scale^2 * (E u^2 + alpha^2 E d^2) = variance + mean^2

    Without `scale` this is one quadratic equation in alpha. On `alpha > 0` the ratio
    `(E u - alpha E d) / sqrt(E u^2 + alpha^2 E d^2)` falls strictly from `E u / sqrt(E u^2)` to
    `-E d / sqrt(E d^2)`, so there is exactly one solution if `mean / sqrt(variance + mean^2)` lies
    between the two, and none otherwise. For mean 0 and variance 1, with
    `c1 = erfc(1/sqrt(2)) * sqrt(e)` and `c2 = erfc(sqrt(2)) * e^2`, it is the paper's

        alpha = sqrt(2/pi) / (1 - c1)
        scale = (1 - c1) * sqrt(2*pi) / sqrt(2*c2 + pi*c1^2 - 2*(2 + pi)*c1 + pi + 2)

    Args:
        mean: The mean that a layer shall keep. Floats are read as the decimals that they print.
        variance: The variance that a layer shall keep; positive.
        omega: Sum of a unit's weights. It matters only where `mean` is
            not 0: 1 passes the mean on to the pre-activation, centered weights have 0.
        tau: Sum of squares of a unit's weights; positive.
        digits: If given, the constants come as decimals of so many certified digits (1 to 5000).

    Returns:
        `SELUConstants(alpha, scale)`, correctly rounded to float64; with `digits`,
        `CertifiedConstants`, correctly rounded to that many decimal digits. Both are computed in
        ball arithmetic, and no digit is returned that the ball does not prove.

    Raises:
        ArgumentError: If no SELU with positive alpha has this fixed point, or an argument is out
            of its range.

    Source: Klambauer et al. 2017, Eq. 4 and 5, and Eq. 14 for (0, 1); `scale` is their lambda.

    Example:
        >>> selu_constants()
        SELUConstants(alpha=1.6732632423543772, scale=1.0507009873554805)
        >>> selu_constants(digits=30).alpha
        Decimal('1.67326324235437728481704299167')
    """
    wanted = _read(mean, variance, omega, tau)
    if digits is None:
        return _rounded(wanted)
    if not 1 <= digits <= _MOST_DIGITS:
        msg = f"digits must be a whole number from 1 to {_MOST_DIGITS}; got {digits!r}."
        raise ArgumentError(msg)
    _refuse_the_impossible(wanted)
    return CertifiedConstants(*settle(lambda: constants_in_balls(wanted), to_digits(digits)))


@lru_cache
def _rounded(wanted: _Wanted) -> SELUConstants:
    """The constants in float64; remembered, as every layer asks for them."""
    _refuse_the_impossible(wanted)
    return SELUConstants(*settle(lambda: constants_in_balls(wanted), float))


def _read(mean: Number, variance: Number, omega: Number, tau: Number) -> _Wanted:
    exact_mean, exact_variance = exact(mean, "mean"), exact(variance, "variance")
    exact_tau = exact(tau, "tau")
    for name, value in (("variance", exact_variance), ("tau", exact_tau)):
        if value <= 0:
            msg = f"{name} must be positive; got {float(value):g}. At 0 nothing is left to scale."
            raise ArgumentError(msg)
    return _Wanted(
        mean=exact_mean,
        second=exact_variance + exact_mean**2,
        y=exact_mean * exact(omega, "omega"),
        x=exact_variance * exact_tau,
    )


STANDARD = _read(0, 1, 1, 1)


def constants_in_balls(wanted: _Wanted = STANDARD) -> tuple[arb, arb]:
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


def _refuse_the_impossible(wanted: _Wanted) -> None:
    """Raise if `mean / sqrt(variance + mean^2)` is outside what SELUs with alpha > 0 reach."""
    if wanted.mean == 0:
        return
    share = wanted.mean**2 / wanted.second

    def ceiling() -> tuple[arb]:
        half = half_moments(ball(wanted.y), ball(wanted.x))
        up, down = half.up**2 / half.up2, half.down**2 / half.down2
        return (up if wanted.mean > 0 else down,)

    if settle(ceiling, lambda value: value <= share)[0]:
        (limit,) = settle(ceiling, float)
        side, sign = ("below", 1) if wanted.mean > 0 else ("above", -1)
        msg = (
            f"With positive alpha, SELU can keep only a mean / sqrt(variance + mean^2) {side} "
            f"{sign * limit**0.5:.6g} here; got {sign * float(share) ** 0.5:.6g}. "
            "Ask for a mean nearer to 0 or for a larger variance."
        )
        raise ArgumentError(msg)
