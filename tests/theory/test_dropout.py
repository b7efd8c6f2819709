"""Alpha dropout's affine map keeps mean and variance, by the moments of the mixture."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfnorm.errors import ArgumentError
from selfnorm.theory import alpha_dropout_affine, selu_constants
from selfnorm.theory._dropout import alpha_dropout_moments

DROPPED = -math.prod(selu_constants())
# A handful of roundings of numbers of size 1.
ROUNDINGS = 1e-14


@pytest.mark.parametrize("p", [0.0, 1e-6, 0.05, 0.5, 0.95])
@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (0.3, 0.7), (-1.0, 2.0)])
def test_mean_and_variance_are_restored(p: float, mean: float, variance: float) -> None:
    assert_restored(p, mean, variance, DROPPED)


@pytest.mark.parametrize("p", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (0.3, 0.7), (-1.0, 20.0)])
def test_moments_behind_it_are_those_of_the_mixture(p: float, mean: float, variance: float) -> None:
    scale, shift = alpha_dropout_affine(p)
    kept, dropped = scale * mean + shift, scale * DROPPED + shift
    expected = (1 - p) * kept + p * dropped
    second = (1 - p) * (scale**2 * variance + kept**2) + p * dropped**2
    found = alpha_dropout_moments(mean, variance, p)
    assert found == pytest.approx((expected, second - expected**2), abs=100 * ROUNDINGS)
    means, variances = alpha_dropout_moments(np.full(2, mean), np.full(2, variance), p)
    assert (means[1], variances[1]) == found


def test_dropped_units_are_where_selu_saturates() -> None:
    assert selu_constants().saturation == DROPPED
    assert selu_constants(0.1, 1.2).saturation == -math.prod(selu_constants(0.1, 1.2))


@given(
    p=st.floats(1e-6, 1 - 1e-6),
    mean=st.floats(-0.2, 0.2).filter(lambda mean: mean == 0 or abs(mean) >= 1e-300),  # the rule
    variance=st.floats(0.5, 3),
)
def test_every_fixed_point_is_kept_with_its_own_constants(
    p: float, mean: float, variance: float
) -> None:
    alpha, scale = selu_constants(mean, variance)
    assert_restored(p, mean, variance, -scale * alpha)


def assert_restored(p: float, mean: float, variance: float, dropped: float) -> None:
    """Raise unless the mixture of kept and dropped units, mapped, has the moments again."""
    scale, shift = alpha_dropout_affine(p, mean, variance, dropped=dropped)
    mixed_mean = (1 - p) * mean + p * dropped
    # The variance of a mixture: within its parts, and between their means.
    mixed_var = (1 - p) * variance + p * (1 - p) * (dropped - mean) ** 2
    size = scale * abs(mixed_mean) + abs(shift)
    assert math.isclose(scale * mixed_mean + shift, mean, abs_tol=ROUNDINGS * max(1.0, size))
    assert math.isclose(scale**2 * mixed_var, variance, rel_tol=ROUNDINGS)


def test_all_dropped_keeps_the_mean() -> None:
    assert alpha_dropout_affine(1.0, mean=0.25) == (0.0, 0.25)


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match=r"in \[0, 1\]; got p=nan"):
        alpha_dropout_affine(math.nan)
    with pytest.raises(ArgumentError, match="positive and finite; got variance=0"):
        alpha_dropout_affine(0.5, variance=0.0)
    with pytest.raises(ArgumentError, match="must be finite; got mean=nan"):
        alpha_dropout_affine(0.5, mean=math.nan)
