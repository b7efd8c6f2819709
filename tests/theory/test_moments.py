"""The moment map and its Jacobian, against mpmath, other quadrature, and samples."""

import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfnorm.errors import ArgumentError
from selfnorm.theory import SELUConstants, jacobian, moments, selu_constants
from selfnorm.theory._activations import selu_function
from support.selu_oracle import enough_digits, selu_moments
from support.statistics import assert_moments, kurtosis_of
from support.tolerances import (
    DERIVATIVE_RELATIVE,
    HERMITE_ACROSS_A_KINK,
    MOMENTS_RELATIVE,
    printed,
)

SMALLEST_RESULT = 1e-290
MEANS = [
    0.0,
    *(sign * 10.0**e for e in np.arange(-6, 3.1, 1.5) for sign in (1, -1)),
    -0.03,
    1e3,
    -1e3,
    -20.0,
    5.0,
    37.0,
]
VARIANCES = [*(10.0**e for e in np.arange(-12, 6.1, 1.0)), 0.2499, 0.2501]


@pytest.mark.parametrize("variance", VARIANCES, ids="{:.3g}".format)
def test_twelve_digits_over_the_whole_range(variance: float) -> None:
    ours = moments(MEANS, variance, omega=1.0)
    for i, mean in enumerate(MEANS):
        with mpmath.workdps(enough_digits(mean, variance)):
            exact_mean, exact_variance, size = selu_moments(mean, variance)
            assert abs(ours.mean[i] - exact_mean) <= MOMENTS_RELATIVE * size, mean
            if exact_variance > SMALLEST_RESULT:
                assert (
                    abs(ours.variance[i] - exact_variance) <= MOMENTS_RELATIVE * exact_variance
                ), mean


@pytest.mark.parametrize("y", [0.0, -0.7, 2.0, -12.0, 100.0, 1e-3])
@pytest.mark.parametrize("x", [1e-8, 0.01, 0.3, 1.0, 40.0, 1e5])
def test_the_jacobian_is_the_derivative(y: float, x: float) -> None:
    ours = jacobian(y, x, omega=1.0)
    constants = selu_constants()
    with mpmath.workdps(enough_digits(y, x) + 60):
        step = mpmath.mpf(10) ** -25 * mpmath.sqrt(x)
        for column, (dy, dx) in enumerate([(step, 0), (0, step * mpmath.sqrt(x))]):
            high, low = selu_moments(y + dy, x + dx), selu_moments(y - dy, x - dx)
            for row in (0, 1):
                exact = (high[row] - low[row]) / (2 * (dy + dx))
                terms = terms_of(y, x, constants)[row][column]
                assert abs(ours[row, column] - exact) <= DERIVATIVE_RELATIVE * terms


def terms_of(y: float, x: float, constants: SELUConstants) -> list[list[mpmath.mpf]]:
    """The size of what each entry is a sum of: slopes, the density at 0, and products of them."""
    alpha, scale = constants
    _, variance, size = selu_moments(y, x)
    density = mpmath.npdf(y / mpmath.sqrt(x)) / mpmath.sqrt(x)
    slope = scale * alpha
    return [
        [slope, slope + density],
        [4 * slope * mpmath.sqrt(variance), slope**2 + density * size],
    ]


def test_weights_scale_the_columns() -> None:
    plain = jacobian(0.05, 1.21, omega=1.0)
    scaled = jacobian(0.1, 1.1, omega=0.5, tau=1.1)
    np.testing.assert_allclose(scaled, plain * [0.5, 1.1], rtol=MOMENTS_RELATIVE)


def test_the_standard_jacobian() -> None:
    """Klambauer et al. 2017, after Eq. 14: H at (0, 1), omega 0 and tau 1."""
    got = jacobian()
    np.testing.assert_allclose(got, [[0, 0.0888347551], [0, 0.7826478832]], atol=printed(10))
    assert np.linalg.norm(got, 2) == pytest.approx(0.7876733605, abs=printed(10))


@pytest.mark.parametrize(("y", "x"), [(0.0, 1.0), (-1.0, 0.5), (0.3, 4.0)])
def test_gauss_hermite_agrees(y: float, x: float) -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(150)
    values = selu_function(selu_constants())(y + math.sqrt(x) * nodes)
    mean = float(weights @ values / weights.sum())
    variance = float(weights @ (values - mean) ** 2 / weights.sum())
    got = moments(y, x, omega=1.0)
    assert got.mean == pytest.approx(mean, abs=HERMITE_ACROSS_A_KINK)
    assert got.variance == pytest.approx(variance, abs=HERMITE_ACROSS_A_KINK)


@pytest.mark.parametrize(("y", "x"), [(0.0, 1.0), (-2.0, 3.0), (1.0, 0.1)])
def test_samples_agree(y: float, x: float) -> None:
    count = 1_000_000
    z = np.random.default_rng(17).normal(y, math.sqrt(x), count)
    values = selu_function(selu_constants())(z)
    got = moments(y, x, omega=1.0)
    assert_moments(values, got.mean, got.variance, kurtosis_of(values))


@pytest.mark.parametrize(("name", "constants"), [("elu", (1.0, 1.0)), ("relu", (0.0, 1.0))])
def test_the_family_shares_the_closed_form(name: str, constants: tuple[float, float]) -> None:
    y, x = np.array([0.0, -1.5, 2.0]), np.array([1.0, 0.3, 7.0])
    for got, same in zip(
        moments(y, x, omega=1, activation=name),
        moments(y, x, omega=1, activation=selu_function(SELUConstants(*constants))),
        strict=True,
    ):
        np.testing.assert_allclose(got, same, rtol=MOMENTS_RELATIVE)


def test_no_variance_in_is_none_out() -> None:
    mean, variance = moments([-1.0, 0.0, 2.0], 0.0, omega=1.0)
    np.testing.assert_array_equal(variance, 0.0)
    np.testing.assert_array_equal(mean, selu_function(selu_constants())(np.array([-1.0, 0, 2])))


def test_arguments_broadcast() -> None:
    got = moments(np.zeros((3, 1)), np.ones(4), tau=np.full((2, 1, 1), 1.0))
    assert got.mean.shape == got.variance.shape == (2, 3, 4)
    assert jacobian(np.zeros(3), np.ones((2, 1))).shape == (2, 3, 2, 2)
    assert moments(np.zeros(0)).mean.shape == (0,)
    assert moments(np.zeros(0), activation="tanh").mean.shape == (0,)


@given(
    mean=st.floats(-0.1, 0.1),
    variance=st.floats(0.8, 1.5),
    omega=st.floats(-0.1, 0.1),
    tau=st.floats(0.95, 1.1),
)
def test_theorem_1_maps_its_box_into_itself(
    mean: float, variance: float, omega: float, tau: float
) -> None:
    after = moments(mean, variance, omega=omega, tau=tau)
    assert -0.0311 < after.mean < 0.0678
    assert 0.80005 < after.variance < 1.4863


def test_what_the_variance_of_a_large_mean_is() -> None:
    """At mean 1000 and variance 1e-12, SELU is a line: `E selu^2 - mean^2` would be noise."""
    scale = selu_constants().scale
    got = moments(1000.0, 1e-12, omega=1.0).variance
    assert got == pytest.approx(scale**2 * 1e-12, rel=MOMENTS_RELATIVE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"variance": -1e-9}, "variance must not be negative; got -1e-09"),
        ({"tau": 0}, "tau must be positive; got 0"),
        ({"mean": math.nan}, "mean must be finite; got nan"),
        ({"variance": [1, math.inf]}, "variance must be finite; got inf"),
        ({"mean": "a"}, "mean must be a number or an array"),
        ({"mean": [1, 2], "variance": [1, 2, 3]}, r"mean \(2,\), variance \(3,\).*Add axes"),
        ({"activation": "selo"}, "got 'selo'. Did you mean 'selu'"),
        ({"activation": 3}, "a name or a function on NumPy arrays; got 3"),
    ],
)
def test_refusals(arguments: dict[str, object], words: str) -> None:
    for function in (moments, jacobian):
        with pytest.raises(ArgumentError, match=words):
            function(**arguments)


def test_the_jacobian_needs_a_variance() -> None:
    with pytest.raises(ArgumentError, match="variance must be positive for a derivative"):
        jacobian(0.0, 0.0)


def test_the_corners_of_the_range_are_finite() -> None:
    for mean, variance in itertools.product([-1e3, 0, 1e3], [1e-12, 1e6]):
        assert np.isfinite(moments(mean, variance, omega=1.0)).all()
