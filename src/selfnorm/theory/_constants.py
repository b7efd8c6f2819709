"""SELU's two constants, from the fixed-point equations (Klambauer et al. 2017, Eq. 4, 5 and 14)."""

from decimal import ROUND_HALF_EVEN, Context
from fractions import Fraction
from functools import lru_cache
from types import ModuleType
from typing import NamedTuple, overload

from selfnorm import _extras
from selfnorm.errors import ArgumentError
from selfnorm.theory._form import CertifiedForm, SELUForm
from selfnorm.theory._numbers import Number, exact, shown
from selfnorm.theory._shaped import check_digits, offset_selu
from selfnorm.theory._standard import (
    DIGITS,
    ON_RECORD,
    STANDARD,
    CertifiedConstants,
    SELUConstants,
)


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
    gradient_gain: None = None,
) -> SELUConstants: ...
@overload
def selu_constants(
    mean: Number = 0.0,
    variance: Number = 1.0,
    *,
    omega: Number = 1.0,
    tau: Number = 1.0,
    digits: int,
    gradient_gain: None = None,
) -> CertifiedConstants: ...
@overload
def selu_constants(
    mean: Number = 0.0,
    variance: Number = 1.0,
    *,
    omega: Number = 1.0,
    tau: Number = 1.0,
    digits: None = None,
    gradient_gain: Number,
) -> SELUForm: ...
@overload
def selu_constants(
    mean: Number = 0.0,
    variance: Number = 1.0,
    *,
    omega: Number = 1.0,
    tau: Number = 1.0,
    digits: int,
    gradient_gain: Number,
) -> CertifiedForm: ...
def selu_constants(
    mean: Number = 0.0,
    variance: Number = 1.0,
    *,
    omega: Number = 1.0,
    tau: Number = 1.0,
    digits: int | None = None,
    gradient_gain: Number | None = None,
) -> SELUConstants | CertifiedConstants | SELUForm | CertifiedForm:
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

    With `gradient_gain` it is the form `f = a selu + b` that is asked for, with a mean square of 1
    and that gradient gain at `z ~ N(0, 1)`:

        E f^2 = 1,  E f'^2 = gradient_gain:    a = sqrt(gradient_gain / chi),  b = -sqrt(1 - a^2)

    where `chi = E selu'^2 = 1.0716`. The price is a mean of b, which is not 0, so this form keeps
    the mean square of what orthogonal or random weights hand on; a unit whose weights have sum 0
    hands on `a^2`, the variance, alone. The sign of b is free; the negative one is given.

    Args:
        mean: The mean that a layer shall keep. Floats are read as the decimals that they print.
        variance: The variance that a layer shall keep; positive.
        omega: Sum of a unit's weights. It matters only where `mean` is
            not 0: 1 passes the mean on to the pre-activation, centered weights have 0.
        tau: Sum of squares of a unit's weights; positive.
        digits: If given, the constants come as decimals of so many certified digits (1 to 5000).
        gradient_gain: If given, a `SELUForm` comes with this factor on the second moment of
            gradients; above 0 and at most SELU's own. For mean 0, variance 1 and tau 1 alone.

    Returns:
        `SELUConstants(alpha, scale)`, correctly rounded to float64; with `digits`,
        `CertifiedConstants`, correctly rounded to that many decimal digits. Both are computed in
        ball arithmetic, and no digit is returned that the ball does not prove; those of (0, 1) are
        on record up to 60 digits, and need no python-flint. With `gradient_gain`,
        `SELUForm(0, a, b)`, and a `CertifiedForm` with `digits`.

    Raises:
        ArgumentError: If no SELU with positive alpha has this fixed point, an argument is out of
            its range, or a gradient gain is asked for at another fixed point than (0, 1).
        MissingPackageError: If python-flint is needed and not installed.

    Source: Klambauer et al. 2017, Eq. 4 and 5, and Eq. 14 for (0, 1); `scale` is their lambda.
    Lu, Gould and Ajanthan 2020 (arXiv 2006.12169) ask for a mean square and a gradient gain of 1.

    Example:
        >>> selu_constants()
        SELUConstants(alpha=1.6732632423543772, scale=1.0507009873554805)
        >>> selu_constants(digits=30).alpha
        Decimal('1.67326324235437728481704299167')
        >>> form = selu_constants(gradient_gain=1)
        >>> round(form.factor, 6), round(form.shift, 6), round(form.gradient_gain, 12)
        (0.966026, -0.258446, 1.0)
    """
    named = {"mean": mean, "variance": variance, "omega": omega, "tau": tau}
    wanted = _Wanted(**{name: exact(value, name) for name, value in named.items()})
    standard = (wanted.mean, wanted.variance, wanted.tau) == (0, 1, 1)
    if digits is not None:
        check_digits(digits)
    if gradient_gain is not None:
        if not standard:
            given = ", ".join(
                f"{name}={shown(named[name])}" for name in ("mean", "variance", "tau")
            )
            msg = (
                "A gradient gain is for mean 0, variance 1 and tau 1; got "
                f"{given}. Leave these out, or `gradient_gain`."
            )
            raise ArgumentError(msg)
        return offset_selu(gradient_gain, digits)
    if digits is None:
        return STANDARD if standard else _rounded(wanted)
    if standard and digits <= DIGITS:
        context = Context(prec=digits, rounding=ROUND_HALF_EVEN)
        return CertifiedConstants(*(context.plus(constant) for constant in ON_RECORD))
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
