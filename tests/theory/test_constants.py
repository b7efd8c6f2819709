"""SELU's constants: the paper's closed form, other fixed points, certified digits."""

from decimal import Decimal
from fractions import Fraction

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfnorm.errors import ArgumentError
from selfnorm.theory import SELUConstants, moments, selu_constants
from support.selu_oracle import selu_moments
from support.tolerances import FIXED_POINT


def paper(digits: int) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Klambauer et al. 2017, Eq. 14."""
    with mpmath.workdps(digits + 20):
        c1 = mpmath.erfc(1 / mpmath.sqrt(2)) * mpmath.sqrt(mpmath.e)
        c2 = mpmath.erfc(mpmath.sqrt(2)) * mpmath.e**2
        pi = mpmath.pi
        root = mpmath.sqrt(2 * c2 + pi * c1**2 - 2 * (2 + pi) * c1 + pi + 2)
        return mpmath.sqrt(2 / pi) / (1 - c1), (1 - c1) * mpmath.sqrt(2 * pi) / root


def test_the_standard_constants_are_rounded_correctly() -> None:
    alpha, scale = paper(60)
    assert selu_constants() == (float(alpha), float(scale))
    assert selu_constants() == (1.6732632423543772848, 1.0507009873554804934)


@pytest.mark.parametrize("digits", [*range(1, 63), 100, 1000])  # on record up to 60, then proved
def test_every_digit_is_right(digits: int) -> None:
    got = selu_constants(digits=digits)
    for ours, exact in zip(got, paper(digits), strict=True):
        assert len(ours.as_tuple().digits) <= digits
        with mpmath.workdps(digits + 20):
            assert ours == Decimal(mpmath.nstr(exact, digits, strip_zeros=False).rstrip("."))


@pytest.mark.parametrize(
    ("mean", "variance", "alpha", "scale"),
    [
        (0, 2, "1.97125575", "1.06070908"),
        (-0.1, 2, "1.9769021954", "1.0738512396"),
        (0, 0.5, "1.46805987", "1.04095734"),
    ],
)
def test_other_fixed_points(mean: float, variance: float, alpha: str, scale: str) -> None:
    got = selu_constants(mean, variance, digits=40)
    for ours, printed in zip(got, (alpha, scale), strict=True):
        assert abs(ours - Decimal(printed)) < Decimal(1).scaleb(2 - len(printed))


@given(
    mean=st.fractions(-1, 1, max_denominator=100),
    variance=st.fractions(Fraction(1, 100), 50, max_denominator=100),
    omega=st.fractions(-1, 1, max_denominator=10),
)
def test_they_keep_the_mean_and_variance(
    mean: Fraction, variance: Fraction, omega: Fraction
) -> None:
    try:
        got = selu_constants(mean, variance, omega=omega, digits=40)
    except ArgumentError as refusal:
        assert "can keep only a mean" in str(refusal)  # noqa: PT017 (most are not refused)
        return
    assert got.alpha > 0
    assert got.scale > 0
    with mpmath.workdps(50):
        y, x = (mpmath.mpf(v.numerator) / v.denominator for v in (mean * omega, variance))
        kept_mean, kept_var, size = selu_moments(y, x, str(got.alpha), str(got.scale))
        wanted_mean = mpmath.mpf(mean.numerator) / mean.denominator
        wanted_var = mpmath.mpf(variance.numerator) / variance.denominator
        assert abs(kept_mean - wanted_mean) < mpmath.mpf(10) ** -36 * (1 + size)
        assert abs(kept_var - wanted_var) < mpmath.mpf(10) ** -34 * (wanted_var + size**2)


def test_floats_are_the_decimals_they_print() -> None:
    as_float = selu_constants(-0.1, 2.0, digits=60)
    assert as_float == selu_constants("-0.1", "2", digits=60)
    assert as_float == selu_constants(Fraction(-1, 10), 2, digits=60)
    assert as_float != selu_constants(Fraction(-0.1), 2, digits=60)


def test_the_result_serves_as_an_activation() -> None:
    constants = selu_constants(0, 2)
    assert isinstance(constants, SELUConstants)
    assert moments(0, 2, activation=constants).variance == pytest.approx(2, rel=FIXED_POINT)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"variance": 0}, "variance must be positive; got 0"),
        ({"variance": -1.0}, "variance must be positive; got -1"),
        ({"tau": 0}, "tau must be positive"),
        ({"mean": float("nan")}, "mean must be a finite number; got nan"),
        ({"mean": "much"}, "mean must be a finite number; got 'much'"),
        ({"mean": 1, "omega": 0}, "a mean / sqrt.* below 0.56419.*; got 0.70710"),
        ({"mean": -1, "omega": 0}, "a mean / sqrt.* above -0.62.*; got -0.70710"),
        ({"digits": 0}, "digits must be a whole number from 1 to 5000; got 0"),
        ({"digits": 10**6}, "digits must be a whole number from 1 to 5000; got 1000000"),
        ({"variance": 1e30}, "32768 bits do not prove these"),
    ],
)
def test_refusals(arguments: dict[str, float], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        selu_constants(**arguments)


def test_the_limit_of_the_mean_is_that_of_relu() -> None:
    """At alpha = 0 SELU is a scaled ReLU, whose mean is `sqrt(variance / (pi - 1))` where y = 0."""
    edge = float((mpmath.pi - 1) ** -0.5)
    assert selu_constants(edge - 1e-9, omega=0).alpha < 1e-8
    with pytest.raises(ArgumentError, match="positive alpha"):
        selu_constants(edge + 1e-9, omega=0)
