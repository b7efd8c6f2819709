"""Alpha dropout's affine map keeps mean and variance, by the moments of the mixture."""

import math

import pytest

from selfnorm.errors import ArgumentError
from selfnorm.theory import alpha_dropout_affine, selu_constants

DROPPED = -math.prod(selu_constants())
# A handful of roundings of numbers of size 1.
ROUNDINGS = 1e-14


@pytest.mark.parametrize("p", [0.0, 1e-6, 0.05, 0.5, 0.95])
@pytest.mark.parametrize(("mean", "var"), [(0.0, 1.0), (0.3, 0.7), (-1.0, 2.0)])
def test_mean_and_variance_are_restored(p: float, mean: float, var: float) -> None:
    scale, shift = alpha_dropout_affine(p, mean, var)
    mixed_mean = (1 - p) * mean + p * DROPPED
    mixed_second = (1 - p) * (mean**2 + var) + p * DROPPED**2
    assert math.isclose(scale * mixed_mean + shift, mean, abs_tol=ROUNDINGS)
    restored = scale**2 * (mixed_second - mixed_mean**2)
    assert math.isclose(restored, var, rel_tol=ROUNDINGS)


def test_all_dropped_keeps_the_mean() -> None:
    assert alpha_dropout_affine(1.0, mean=0.25) == (0.0, 0.25)


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match=r"in \[0, 1\]; got p=nan"):
        alpha_dropout_affine(math.nan)
    with pytest.raises(ArgumentError, match="positive and finite; got var=0"):
        alpha_dropout_affine(0.5, var=0.0)
