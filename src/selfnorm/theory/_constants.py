"""SELU's two constants, from the fixed-point equations (Klambauer et al. 2017, Eq. 4, 5 and 14)."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from types import ModuleType
from typing import NamedTuple, overload

from selfnorm import _extras
from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError
from selfnorm.theory._numbers import Number, exact

_MOST_DIGITS = 5000
# Alpha and lambda of the fixed point (0, 1), the paper's Eq. 14, which everything starts from; so
# they are here, as `_proof` proves them digit by digit (`tests/theory/test_constants.py`).
_STANDARD = (
    Decimal("1.673263242354377284817042991671652038461155348281216270915244834"),
    Decimal("1.050700987355480493419334985294606351958981204376404546977878388"),
)
_DIGITS = 60


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
    """The arguments, exactly."""

    mean: Fraction
    variance: Fraction
    omega: Fraction
    tau: Fraction


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
        ball arithmetic, and no digit is returned that the ball does not prove; those of (0, 1) are
        on record up to 60 digits, and need no python-flint.

    Raises:
        ArgumentError: If no SELU with positive alpha has this fixed point, or an argument is out
            of its range.
        MissingPackageError: If python-flint is needed and not installed.

    Source: Klambauer et al. 2017, Eq. 4 and 5, and Eq. 14 for (0, 1); `scale` is their lambda.

    Example:
        >>> selu_constants()
        SELUConstants(alpha=1.6732632423543772, scale=1.0507009873554805)
        >>> selu_constants(digits=30).alpha
        Decimal('1.67326324235437728481704299167')
    """
    named = {"mean": mean, "variance": variance, "omega": omega, "tau": tau}
    wanted = _Wanted(**{name: exact(value, name) for name, value in named.items()})
    standard = (wanted.mean, wanted.variance, wanted.tau) == (0, 1, 1)
    if digits is None:
        return SELUConstants(*map(float, _STANDARD)) if standard else _rounded(wanted)
    if not Whole(1, below=_MOST_DIGITS + 1).holds(digits):
        msg = f"digits must be a whole number from 1 to {_MOST_DIGITS}; got {digits!r}."
        raise ArgumentError(msg)
    if standard and digits <= _DIGITS:
        context = Context(prec=digits, rounding=ROUND_HALF_EVEN)
        return CertifiedConstants(*(context.plus(constant) for constant in _STANDARD))
    proof = _proof()
    return CertifiedConstants(*proof.in_digits(proof.read(*wanted), digits))


@lru_cache
def _rounded(wanted: _Wanted) -> SELUConstants:
    """The constants in float64; remembered, as every layer asks for them."""
    proof = _proof()
    return SELUConstants(*proof.in_floats(proof.read(*wanted)))


def _proof() -> ModuleType:
    with _extras.told():
        from selfnorm.theory._proof import _constants  # noqa: PLC0415 - needs python-flint
    return _constants
