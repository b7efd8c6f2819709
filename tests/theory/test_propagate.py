"""Layer-by-layer figures against simulated networks and closed forms."""

import math

import numpy as np
import pytest
from scipy import stats

from selfnorm.errors import ArgumentError
from selfnorm.theory import (
    correlation_map,
    fixed_point,
    gradient_gain,
    moments,
    propagate,
    selu_constants,
)
from selfnorm.theory._activations import selu_function
from support.statistics import assert_moments, kurtosis_of
from support.tolerances import COMMON_FACTOR, FINITE_WIDTH, FIXED_POINT, MOMENTS_RELATIVE, printed


def test_given_weights_iterate_the_map() -> None:
    layers = propagate(20, omega=0.05, tau=1.05)
    mean, variance = 0.0, 1.0
    for i in range(1, 21):
        mean, variance = moments(mean, variance, omega=0.05, tau=1.05)
        assert (layers.mean[i], layers.variance[i]) == pytest.approx(
            (mean, variance), rel=MOMENTS_RELATIVE
        )
    deep = propagate(200, tau=0.9)
    assert deep.variance[-1] == pytest.approx(fixed_point(tau=0.9).variance, rel=FIXED_POINT)


def test_every_layer_may_have_its_own_weights() -> None:
    sums, squares = [0.1, -0.1, 0.0], [1.0, 0.9, 1.2]
    layers = propagate(3, omega=sums, tau=squares, mean=0.2)
    mean, variance = 0.2, 1.0
    for omega, tau in zip(sums, squares, strict=True):
        mean, variance = moments(mean, variance, omega=omega, tau=tau)
    assert (layers.mean[-1], layers.variance[-1]) == pytest.approx(
        (mean, variance), rel=MOMENTS_RELATIVE
    )


def test_dropout_keeps_moments_and_changes_gradients() -> None:
    layers = propagate(30, dropout=0.1)
    np.testing.assert_allclose(layers.mean, 0, atol=FIXED_POINT)
    np.testing.assert_allclose(layers.variance, 1, rtol=FIXED_POINT)
    expected = gradient_gain(0.1) ** (np.arange(30, -1, -1) / 2)
    np.testing.assert_allclose(layers.gradient, expected, rtol=FIXED_POINT)


def test_a_simulated_random_network_agrees() -> None:
    width, depth, mean = 1024, 10, 0.5
    rng = np.random.default_rng(11)
    selu = selu_function(selu_constants())
    units = rng.normal(mean, 1.0, (512, width))
    layers = propagate(depth, mean=mean, omega="random", tau=0.8)
    for i in range(1, depth + 1):
        units = selu(units @ rng.normal(0, math.sqrt(0.8 / width), (width, width)))
        assert abs(units.mean() - layers.mean[i]) < FINITE_WIDTH
        assert units.var() == pytest.approx(layers.variance[i], rel=FINITE_WIDTH)


def test_equally_correlated_inputs() -> None:
    """`Var z = nu tau (1 - rho) + nu rho omega^2`, and what SELU makes of it, by samples."""
    width, rho, omega, count = 50, 0.3, 1.5, 100_000
    rng = np.random.default_rng(5)
    first = np.full(width, omega / width)
    first[::2] += 0.1
    first[1::2] -= 0.1
    tau = float(first @ first)
    shared = rng.standard_normal((count, 1))
    x = math.sqrt(rho) * shared + math.sqrt(1 - rho) * rng.standard_normal((count, width))
    got = propagate(1, omega=omega, tau=tau, correlation=rho)
    z = x @ first
    assert z.var() == pytest.approx(tau * (1 - rho) + rho * omega**2, rel=0.02)
    values = selu_function(selu_constants())(z)
    assert_moments(values, got.mean[1], got.variance[1], kurtosis_of(values))


def test_random_weights_average_over_their_sum() -> None:
    """At correlation 1 all inputs are one number x, so z = omega x: a product of two Gaussians."""
    rng = np.random.default_rng(8)
    count = 1_000_000
    values = selu_function(selu_constants())(
        rng.standard_normal(count) * rng.standard_normal(count)
    )
    got = propagate(1, omega="random", correlation=1.0)
    assert_moments(values, got.mean[1], got.variance[1], kurtosis_of(values))


def simulated(
    width: int,
    depth: int,
    seed: int,
    *,
    omega: float | str,
    tau: float,
    correlation: float,
    mean: float,
) -> np.ndarray:
    """Mean, variance, correlation and mean square gradient behind every layer of one network.

    The common factor is drawn in strata, so that its sample has nearly its distribution's moments.
    """
    count = 500
    rng = np.random.default_rng(seed)
    alpha, scale = selu_constants()
    factor = stats.norm.ppf((np.arange(count) + rng.random(count)) / count)[:, None]
    own = rng.standard_normal((count, width))
    units = mean + math.sqrt(correlation) * factor + math.sqrt(1 - correlation) * own
    found, steps = [], []
    for _ in range(depth):
        rows = rng.normal(0, math.sqrt(tau / width), (width, width))
        if omega != "random":
            rows -= rows.mean(axis=1, keepdims=True)
            rows *= math.sqrt(tau - omega**2 / width) / np.linalg.norm(rows, axis=1, keepdims=True)
            rows += omega / width
        z = units @ rows.T
        units = scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))
        steps.append((rows, scale * np.where(z > 0, 1, alpha * np.exp(np.minimum(z, 0)))))
        center, variance = units.mean(), units.var()
        of_sums = width**2 * ((units.mean(axis=1) - center) ** 2).mean()
        pairs = (of_sums - width * variance) / (width * (width - 1))
        found.append([center, variance, pairs / variance, 1.0])
    gradient = rng.standard_normal((count, width))
    for layer in range(depth - 1, 0, -1):
        rows, slope = steps[layer]
        gradient = (gradient * slope) @ rows
        found[layer - 1][3] = (gradient**2).mean()
    return np.array(found)


@pytest.mark.parametrize(
    ("omega", "tau", "correlation", "mean"),
    [
        (1.0, 1.0, 0.4, 0.0),
        (-1.0, 1.0, 0.4, 0.0),
        (0.5, 1.1, 0.8, 0.3),
        (-1.2, 0.8, 0.2, -0.2),
        (1.0, 1.0, 1.0, 0.2),
        ("random", 1.0, 0.5, 0.3),
        ("random", 0.9, 1.0, 0.5),
    ],
)
def test_correlated_inputs_at_every_depth(
    omega: float | str, tau: float, correlation: float, mean: float
) -> None:
    """Against networks of two widths, each with its own weights and inputs.

    The spread of the networks gives a standard error, and as what a finite width adds falls like
    one over it, the wider ones are as far from the limit as from the narrower.
    """
    given = {"omega": omega, "tau": tau, "correlation": correlation, "mean": mean}
    depth, networks = 6, 16 if omega == "random" else 8
    narrow, wide = (
        np.array([simulated(width, depth, seed, **given) for seed in range(networks)])
        for width in (80, 160)
    )
    layers = propagate(depth, **given)
    expected = np.stack(
        [layers.mean, layers.variance, layers.correlation, layers.gradient**2], axis=1
    )[1:]
    error = np.sqrt((narrow.var(axis=0, ddof=1) + wide.var(axis=0, ddof=1)) / networks)
    width_effect = np.abs(wide.mean(axis=0) - narrow.mean(axis=0))
    # One failure in a million for each of the 24 figures, by Student's t.
    spread = stats.t.isf(0.5e-6, 2 * (networks - 1)) * error
    off = np.abs(wide.mean(axis=0) - expected) / (width_effect + spread + FIXED_POINT)
    assert off.max() < 1, f"worst at layer and figure {np.unravel_index(off.argmax(), off.shape)}"
    assert spread[:, 1].max() < 0.4 * expected[:, 1].max()  # so the bound can be missed


@pytest.mark.parametrize("omega", [1.1, -0.9])
@pytest.mark.parametrize("correlation", [1e-9, 0.3, 1.0])
def test_straight_lines_in_closed_form(omega: float, correlation: float) -> None:
    """The identity keeps the factor's share apart: `rho omega^2l` of `(1 - rho) tau^l` more."""
    layers = propagate(4, omega=omega, tau=0.8, correlation=correlation, activation="identity")
    layer = np.arange(5)
    shared = correlation * omega ** (2 * layer)
    variance = shared + (1 - correlation) * 0.8**layer
    np.testing.assert_allclose(layers.variance, variance, rtol=FIXED_POINT)
    np.testing.assert_allclose(layers.correlation, shared / variance, rtol=FIXED_POINT)
    np.testing.assert_allclose(layers.gradient, 0.8 ** ((4 - layer) / 2), rtol=FIXED_POINT)


def test_the_first_layer_has_the_correlation_map() -> None:
    """Behind one layer the factor gives what the bivariate Gaussian of two units gives."""
    for omega, rho, mean in ((1.3, 0.4, 0.2), (-0.7, 0.9, 0.0)):
        layers = propagate(1, omega=omega, tau=0.9, correlation=rho, mean=mean)
        x = 0.9 * (1 - rho) + rho * omega**2
        assert (layers.mean[1], layers.variance[1]) == pytest.approx(
            moments(mean * omega, x, omega=1.0), rel=FIXED_POINT
        )
        assert layers.correlation[1] == pytest.approx(
            correlation_map(rho * omega**2 / x, mean=mean * omega, variance=x), rel=FIXED_POINT
        )


def test_a_factor_that_becomes_a_step_is_followed() -> None:
    """With omega 1.6 the factor's sign decides where a network ends; against a fine grid."""
    layers = propagate(10, omega=1.6, correlation=0.3)
    factor = np.linspace(-10, 10, 40_001)
    weight = stats.norm.pdf(factor) * (factor[1] - factor[0])
    mean, variance = math.sqrt(0.3) * factor, np.full_like(factor, 0.7)
    for _ in range(10):
        mean, variance = moments(mean, variance, omega=1.6)
    assert layers.mean[-1] == pytest.approx(weight @ mean, rel=COMMON_FACTOR)
    total = weight @ (variance + (mean - layers.mean[-1]) ** 2)
    assert layers.variance[-1] == pytest.approx(total, rel=COMMON_FACTOR)


@pytest.mark.parametrize("c", [-1.0, -0.6, 0.1, 0.3, 0.9, 0.9999, 1.0])
def test_the_correlation_map_of_relu_is_the_arc_cosine_kernel(c: float) -> None:
    """Cho and Saul 2009, Eq. 6: `E relu relu = (sin t + (pi - t) cos t) / 2 pi`, `cos t = c`."""
    t = math.acos(c)
    product = (math.sin(t) + (math.pi - t) * c) / (2 * math.pi)
    exact = (product - 1 / (2 * math.pi)) / (0.5 - 1 / (2 * math.pi))
    assert correlation_map(c, activation="relu") == pytest.approx(exact, abs=MOMENTS_RELATIVE)


def test_the_correlation_map_of_erf_is_an_arc_sine() -> None:
    """Williams 1997: `E erf(z1) erf(z2) = 2/pi asin(2 x c / (1 + 2 x))`."""
    exact = math.asin(-1 / 3) / math.asin(2 / 3)
    assert correlation_map(-0.5, activation="erf") == pytest.approx(exact, abs=MOMENTS_RELATIVE)


def test_selu_forgets_how_alike_two_inputs_were() -> None:
    step = 1e-6
    assert correlation_map(step) / step == pytest.approx(0.98523112**2, rel=1e-5)
    assert (1 - correlation_map(1 - step)) / step == pytest.approx(gradient_gain(), rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": -1}, "depth must be a whole number from 0; got depth=-1"),
        ({"mean": math.nan}, "mean must be finite"),
        ({"variance": 0.0}, "variance must be positive; got variance=0"),
        ({"dropout": 1.0}, "dropout must be below 1"),
        ({"dropout": 1.5}, r"in \[0, 1\]; got p=1.5"),
        ({"correlation": -0.1}, r"is in \[0, 1\]; got correlation=-0.1"),
        ({"omega": "fixed"}, "numbers or 'random'; got 'fixed'"),
        ({"tau": 0.0}, "tau must be positive; got 0"),
        ({"tau": [1.0, 1.0]}, r"each of the 3 layers; got shape \(2,\)"),
    ],
)
def test_refusals(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        propagate(**{"depth": 3, **arguments})


def test_random_weights_rarely_meet_the_conditions_of_theorem_1() -> None:
    """LeCun's weights have a sum `N(0, 1)` and, at fan-in 256, squares `chi2_256 / 256`."""
    assert math.erf(0.1 / math.sqrt(2)) == pytest.approx(0.08, abs=printed(2))
    squares = np.array([0.95, 1.1]) * 256
    assert np.diff(stats.chi2.cdf(squares, 256))[0] == pytest.approx(0.58, abs=printed(2))
    rows = np.random.default_rng(2).normal(0, 1 / 16, (100_000, 256))
    centered = rows - rows.mean(axis=1, keepdims=True)
    centered /= np.linalg.norm(centered, axis=1, keepdims=True)
    np.testing.assert_allclose(centered.sum(axis=1), 0, atol=FIXED_POINT)


def test_no_layers_change_nothing() -> None:
    layers = propagate(0, mean=0.3)
    assert (layers.mean.tolist(), layers.gradient.tolist()) == ([0.3], [1.0])


def test_the_correlation_map_refuses() -> None:
    with pytest.raises(ArgumentError, match=r"within \[-1, 1\]; got 1.1"):
        correlation_map(1.1)
    with pytest.raises(ArgumentError, match="variance positive"):
        correlation_map(0.5, variance=-1)
    with pytest.raises(ArgumentError, match="constant"):
        correlation_map(0.5, activation=np.zeros_like)
