"""Any activation by quadrature: against mpmath, with kinks told and untold, and misuse."""

import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from scipy import stats

from selfnorm.errors import ArgumentError
from selfnorm.theory import ACTIVATIONS, jacobian, moments, normalize_activation
from selfnorm.theory._activations import shape_of, statistics
from support.tolerances import (
    DERIVATIVE_RELATIVE,
    MOMENTS_RELATIVE,
    SLOPES_RELATIVE,
    STEEP,
    UNTOLD_SLOPES,
)

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


@pytest.mark.parametrize("power", [0.52, 0.6, 0.75, 0.9, 1.0, 1.5])
@pytest.mark.parametrize("place", [0.0, 0.3])
def test_a_slope_without_end_whose_square_has_an_integral(power: float, place: float) -> None:
    """`E (b |z|^(b - 1))^2`; off 0, by its own integral in mpmath."""
    got = statistics(lambda z: np.abs(z - place) ** power, np.zeros(1), np.ones(1)).gain[0]
    # With u = t^(2b - 1) the integrand is smooth.
    share = 2 * power - 1

    def near(u: mpmath.mpf) -> mpmath.mpf:
        t = u ** (1 / share)
        return (mpmath.npdf(place + t) + mpmath.npdf(place - t)) / share

    ends = [mpmath.mpf(t) ** share for t in (0, 0.01, 0.3, 1, 2, 4, 8, 16)]
    exact = power**2 * float(mpmath.quad(near, ends))
    assert got == pytest.approx(exact, rel=STEEP if power < 1 else SLOPES_RELATIVE)


@pytest.mark.parametrize(
    "function",
    [
        lambda z: np.sqrt(np.abs(z)),
        lambda z: np.sqrt(np.maximum(z - 0.3, 0)),
        lambda z: np.sign(z) * np.abs(z) ** 0.4,
        lambda z: np.abs(z - 1) ** 0.1 + z,
        lambda z: 3 + np.sqrt(np.abs(z)) * np.log(np.abs(z) + 1e-300),
    ],
)
def test_a_slope_whose_square_has_no_integral_is_an_infinite_gain(
    function: Callable[[np.ndarray], np.ndarray],
) -> None:
    for y, x in ((0.0, 1.0), (0.2, 4.0), (1.0, 0.3)):
        assert statistics(function, np.array([y]), np.array([x])).gain[0] == math.inf


def test_kinks_and_jumps_are_no_slope_without_end() -> None:
    def many(z: np.ndarray) -> np.ndarray:
        return np.abs(z - 0.1) + np.sign(z + 0.7) + np.maximum(z, 1.2345) + np.floor(z)

    got = statistics(many, np.array([0.0, 0.5]), np.array([1.0, 2.0])).gain
    for gain, y, x in zip(got, (0.0, 0.5), (1.0, 2.0), strict=True):
        above = [stats.norm.sf((cut - y) / math.sqrt(x)) for cut in (0.1, 1.2345)]
        # The slopes are -1 below .1, 1 above it and 2 above 1.2345.
        expected = (1 - above[0]) + (above[0] - above[1]) + 4 * above[1]
        assert gain == pytest.approx(expected, rel=UNTOLD_SLOPES)


@pytest.mark.parametrize(
    ("place", "width"),
    [(0.3141, 0.005), (1.23456, 0.002), (-0.7, 0.0011), (2.1, 0.003), (-1.9, 0.02), (0.004, 0.002)],
)
def test_a_spike_between_the_nodes_is_found(place: float, width: float) -> None:
    """A box of height 100 has `E f^2 = 10^4 p`; its ends lie anywhere within a panel."""

    def box(z: np.ndarray) -> np.ndarray:
        return 100.0 * (np.abs(z - place) < width / 2)

    share = stats.norm.cdf(place + width / 2) - stats.norm.cdf(place - width / 2)
    got = statistics(box, np.zeros(1), np.ones(1))
    exact = 1e4 * share * (1 - share)
    assert abs(got.variance[0] - exact) <= got.error[0]
    assert got.error[0] < 1e4 * 1e-12  # two last panels, 1e-13 wide
    smooth = normalize_activation(lambda z: z + np.exp(-(((z - place) / width) ** 2)))
    with mpmath.workdps(30):
        cuts = [-12, *(place + k * width for k in (-12, -4, 0, 4, 12)), 12]

        def mean_of(power: int) -> mpmath.mpf:
            spiked = lambda z: (z + mpmath.exp(-(((z - place) / width) ** 2))) ** power  # noqa: E731
            return mpmath.quad(lambda z: spiked(z) * mpmath.npdf(z), cuts)

        exact = float(mean_of(2) - mean_of(1) ** 2)
    assert abs(smooth.factor**-2 - exact) <= smooth.error + 8 * np.finfo(float).eps


@pytest.mark.parametrize("seed", range(20))
def test_a_step_beside_a_node_is_within_the_error_stated(seed: int) -> None:
    """A step at c has variance `P (1 - P)`; c at random ends of panels, where no node is."""
    rng = np.random.default_rng(seed)
    cuts = rng.integers(-64, 64, 5) / 2.0 ** rng.integers(4, 8, 5)
    cuts += rng.choice([-1, 1], 5) * 2.0 ** -rng.uniform(8, 40, 5)
    for cut in cuts:
        got = statistics(lambda z, cut=cut: np.where(z > cut, 1.0, 0.0), np.zeros(1), np.ones(1))
        exact = stats.norm.sf(cut) * stats.norm.cdf(cut)
        assert abs(got.variance[0] - exact) <= got.error[0] + 4 * np.finfo(float).eps * exact
        assert got.error[0] < 1e-11


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
