"""Any activation by quadrature: against mpmath, with kinks told and untold, and misuse."""

from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from selfnorm.errors import ArgumentError
from selfnorm.theory import ACTIVATIONS, jacobian, moments
from selfnorm.theory._activations import shape_of, statistics
from support.tolerances import DERIVATIVE_RELATIVE, MOMENTS_RELATIVE, SLOPES_RELATIVE

ORACLES: dict[str, tuple[Callable[..., mpmath.mpf], list[float]]] = {
    "arctan": (mpmath.atan, []),
    "erf": (mpmath.erf, []),
    "gelu": (lambda z: z * mpmath.ncdf(z), []),
    "hardswish": (lambda z: z * min(max(z / 6 + 0.5, 0), 1), [-3, 3]),
    "hardtanh": (lambda z: min(max(z, -1), 1), [-1, 1]),
    "identity": (lambda z: z, []),
    "leaky_relu": (lambda z: z if z > 0 else z * mpmath.mpf(0.01), [0]),
    "mish": (lambda z: z * mpmath.tanh(mpmath.log1p(mpmath.exp(z))), []),
    "sigmoid": (lambda z: 1 / (1 + mpmath.exp(-z)), []),
    "silu": (lambda z: z / (1 + mpmath.exp(-z)), []),
    "sin": (mpmath.sin, []),
    "softplus": (lambda z: mpmath.log1p(mpmath.exp(z)), []),
    "softsign": (lambda z: z / (1 + abs(z)), [0]),
    "tanh": (mpmath.tanh, []),
}


def test_every_name_has_an_oracle() -> None:
    assert set(ACTIVATIONS) == {*ORACLES, "selu", "elu", "relu"}


@pytest.mark.parametrize("name", ORACLES)
def test_values_moments_and_slopes(name: str) -> None:
    function, kinks = ORACLES[name]
    y, x = mpmath.mpf("0.25"), mpmath.mpf("1.5")
    cuts = [y - 16, *kinks, y, y + 16]

    def mean_of(g: Callable[[mpmath.mpf], mpmath.mpf]) -> mpmath.mpf:
        return mpmath.quad(lambda z: g(z) * mpmath.npdf(z, y, mpmath.sqrt(x)), sorted(cuts))

    with mpmath.workdps(40):
        m1 = mean_of(function)
        variance = mean_of(lambda z: (function(z) - m1) ** 2)
        gain = mean_of(lambda z: mpmath.diff(function, z, h=mpmath.mpf(10) ** -15) ** 2)
    got = statistics(name, np.array([0.25]), np.array([1.5]))
    assert got.mean[0] == pytest.approx(float(m1), rel=MOMENTS_RELATIVE)
    assert got.variance[0] == pytest.approx(float(variance), rel=MOMENTS_RELATIVE)
    assert abs(got.variance[0] - float(variance)) <= got.error[0] + 4e-16
    assert got.gain[0] == pytest.approx(float(gain), rel=SLOPES_RELATIVE)


@pytest.mark.parametrize("name", ["tanh", "gelu", "hardtanh"])
def test_the_jacobian_by_parts_is_the_derivative(name: str) -> None:
    step = 1e-4
    got = jacobian(0.2, 1.3, omega=0.7, tau=0.9, activation=name)
    for column, (dm, dv) in enumerate([(step, 0.0), (0.0, step)]):
        at = [
            np.array(moments(0.2 + k * dm, 1.3 + k * dv, omega=0.7, tau=0.9, activation=name))
            for k in (-2, -1, 1, 2)
        ]
        five_point = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * step)
        # The formula's own error is step**4, and rounding of the values over the step 1e-12.
        np.testing.assert_allclose(got[:, column], five_point, atol=10 * DERIVATIVE_RELATIVE)


def test_a_kink_that_nobody_tells_of_is_found() -> None:
    def clipped(z: np.ndarray) -> np.ndarray:
        return np.maximum(z, 0.123456789)

    told = statistics(clipped, np.zeros(1), np.ones(1), kinks=(0.123456789,))
    untold = statistics(clipped, np.zeros(1), np.ones(1))
    for one, other in zip(told[:7], untold[:7], strict=True):
        assert other[0] == pytest.approx(one[0], rel=SLOPES_RELATIVE)
    assert untold.error[0] < 1e-14


def test_the_slope_of_a_jump_that_nobody_tells_of_is_left_out() -> None:
    got = statistics(lambda z: z + np.sign(z - 0.3), np.zeros(1), np.ones(1))
    assert got.gain[0] == pytest.approx(1, rel=SLOPES_RELATIVE)


def test_a_jump_has_the_moments_of_its_steps() -> None:
    got = statistics(np.sign, np.zeros(1), np.ones(1))
    assert got.variance[0] == pytest.approx(1, rel=MOMENTS_RELATIVE)
    assert got.mean_by_y[0] == pytest.approx(np.sqrt(2 / np.pi), rel=MOMENTS_RELATIVE)


def test_exponential_growth_is_followed_into_the_tail() -> None:
    """`E e^(az) = e^(a^2/2)`: at a = 8 the integrand of the square peaks at g = 16."""
    got = statistics(lambda z: np.exp(8 * z), np.zeros(1), np.ones(1))
    assert got.mean[0] == pytest.approx(np.exp(32), rel=MOMENTS_RELATIVE)
    assert got.variance[0] == pytest.approx(np.exp(128) - np.exp(64), rel=MOMENTS_RELATIVE)


def test_narrow_and_wide_gaussians() -> None:
    x = np.array([1e-12, 1e-6, 1e4, 1e6])
    sines = moments(0.0, x, activation="sin").variance
    np.testing.assert_allclose(sines, -np.expm1(-2 * x) / 2, rtol=MOMENTS_RELATIVE)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda z: np.exp(z * z / 3), "grows too fast at mean 0 and variance 1"),
        (lambda z: np.exp(z**4), "must not grow too fast"),
        (lambda z: np.sin(1e7 * z), "must not vary too fast"),
        (np.log, "must be finite"),
        (lambda z: max(z, 0), "must take a NumPy array and return one; this one raised ValueError"),
        (np.sum, "argument's shape"),
        (lambda z: z + 1j, "real numbers"),
        (lambda _: "text", "real numbers"),
    ],
)
def test_misuse(function: Callable[..., object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        moments(0.0, 1.0, activation=function)


def test_a_family_member_is_a_function_too() -> None:
    z = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_array_equal(shape_of("relu").function(z), [0, 0, 2])
