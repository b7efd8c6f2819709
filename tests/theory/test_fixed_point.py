"""Fixed points: where they are, whether they attract, and what happens where there is none."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfnorm.errors import ArgumentError
from selfnorm.theory import fixed_point, fixed_points, moments, selu_constants
from support.tolerances import FIXED_POINT, printed


def test_the_standard_point() -> None:
    point = fixed_point()
    assert point.converged
    assert point.attracting
    assert (point.mean, point.variance) == pytest.approx((0, 1), abs=FIXED_POINT)
    assert point.spectral_radius == pytest.approx(0.7826478832, abs=printed(10))
    assert point.largest_singular_value == pytest.approx(0.7876733605, abs=printed(10))
    assert point.gradient_gain == pytest.approx(1.0715749925, abs=printed(10))


@pytest.mark.parametrize(
    ("tau", "variance"),
    [(0.5625, 0.0268), (0.8, 0.411), (0.9, 0.674), (1.1, 1.399), (1.25, 2.179), (2.0, 18.5)],
)
def test_wrong_weight_scales(tau: float, variance: float) -> None:
    point = fixed_point(tau=tau)
    digits = len(str(variance).replace(".", "").lstrip("0"))
    assert f"{point.variance:.{digits}g}" == f"{variance:.{digits}g}"
    assert point.converged
    assert point.stable
    assert point.residual < FIXED_POINT


def test_the_variance_collapses_below_a_weight_scale() -> None:
    """Beside variance 0 the map multiplies it by a constant times tau, which is 1 at .49559."""
    edge = 1 / fixed_points()[0].spectral_radius
    assert edge == pytest.approx(0.49559, abs=printed(5))
    below, above = fixed_point(tau=edge - 0.01), fixed_point(tau=edge + 0.03)
    assert (below.variance, below.converged, below.stable) == (0.0, False, True)
    assert below.reason == "the variance collapses to 0"
    assert above.converged
    assert above.variance > 0


def test_a_large_weight_scale_diverges() -> None:
    """For large variances SELU is a ReLU: it diverges if `scale^2 tau (1 - 1/pi) / 2 > 1`."""
    edge = 2 / (selu_constants().scale ** 2 * (1 - 1 / math.pi))
    assert edge == pytest.approx(2.658, abs=printed(3))
    assert fixed_point(tau=edge * 1.02).reason == "mean and variance diverge"
    assert fixed_point(tau=edge * 0.95).converged


def test_all_fixed_points_are_found() -> None:
    zero, top = fixed_points(tau=2.0)
    assert (zero.variance, zero.stable) == (0.0, False)
    assert (round(top.variance, 2), top.stable) == (18.46, True)
    (only,) = fixed_points(tau=2.0, activation="relu")
    assert (only.mean, only.variance, only.stable) == (0.0, 0.0, True)
    assert only.spectral_radius == pytest.approx(1 - 1 / math.pi, abs=1e-6)


def test_two_stable_points_with_an_unstable_one_between() -> None:
    """`0.7 z + z^3 / 10` returns small variances to 0, and pushes large ones away."""

    def cubic(z: np.ndarray) -> np.ndarray:
        return np.clip(0.7 * z + z**3 / 10, -10, 10)

    points = fixed_points(activation=cubic)
    assert [point.stable for point in points] == [True, False, True]
    assert all(low.variance < high.variance for low, high in itertools.pairwise(points))
    assert fixed_point(activation=cubic, start=(0.0, points[1].variance * 0.9)).variance == 0
    top = fixed_point(activation=cubic, start=(0.0, points[1].variance * 1.1))
    assert top.variance == pytest.approx(points[2].variance, rel=FIXED_POINT)


def test_a_sum_of_weights_of_one_makes_the_standard_point_unstable() -> None:
    point = fixed_point(omega=1.0)
    assert (point.mean, point.variance) == pytest.approx((0, 1), abs=FIXED_POINT)
    assert not point.stable
    assert point.spectral_radius == pytest.approx(1.07675, abs=printed(5))
    assert len(fixed_points(omega=1.0)) == 3


def test_stable_is_less_than_attracting() -> None:
    point = fixed_point(tau=0.5625)
    assert point.stable
    assert not point.attracting


@settings(max_examples=40, deadline=None)
@given(
    mean=st.floats(-0.1, 0.1),
    variance=st.floats(0.8, 1.5),
    omega=st.floats(-0.1, 0.1),
    tau=st.floats(0.95, 1.1),
)
def test_iterating_converges_to_the_fixed_point_of_theorem_1(
    mean: float, variance: float, omega: float, tau: float
) -> None:
    point = fixed_point(omega=omega, tau=tau)
    assert point.attracting
    assert -0.03106 <= point.mean <= 0.06773
    assert 0.80009 <= point.variance <= 1.48617
    start = math.hypot(mean - point.mean, variance - point.variance)
    for _ in range(40):
        mean, variance = map(float, moments(mean, variance, omega=omega, tau=tau))
    # The contraction of theorem 1's box is below .94.
    assert (
        math.hypot(mean - point.mean, variance - point.variance) <= 0.94**40 * start + FIXED_POINT
    )


def test_tanh_at_its_edge_is_said_to_be_undecided() -> None:
    point = fixed_point(activation="tanh", max_iterations=200)
    assert not point.converged
    assert "still change after 200 layers" in point.reason


def test_a_continuum_is_refused() -> None:
    with pytest.raises(ArgumentError, match="every variance is one"):
        fixed_points(activation="identity")
    assert fixed_point(activation="identity", start=(0.0, 3.0)).variance == pytest.approx(3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"start": (0.0, 0.0)}, "start must have a positive variance"),
        ({"start": (math.nan, 1.0)}, "start must be finite; got nan"),
        ({"max_iterations": 0}, "max_iterations be at least 1"),
        ({"tau": -1.0}, "tau be positive; got omega=0 and tau=-1"),
        ({"omega": math.nan}, "omega must be finite and tau be positive; got omega=nan"),
        ({"activation": "nope"}, "must be known; got 'nope'"),
        ({"activation": "geluu"}, "Did you mean 'gelu'?"),
        ({"activation": np.exp, "tau": 50.0}, "grow"),
    ],
)
def test_refusals(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        fixed_point(**arguments)
