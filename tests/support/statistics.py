"""Bounds within which the mean and variance of n independent samples lie.

A test that draws states the moments it expects; the bounds follow from the number of samples, the
kurtosis of their distribution and the probability that a correct draw fails. No test picks a
tolerance by hand.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

FAILURE = 1e-9
"""Two-sided probability that a correct draw is rejected; seeds are fixed, so it is paid once."""

NORMAL_KURTOSIS = 3.0
UNIFORM_KURTOSIS = 1.8
TRUNCATED_KURTOSIS = float(stats.truncnorm(-2, 2).stats(moments="k")) + 3.0


def mean_bound(samples: int, variance: float = 1.0, failure: float = FAILURE) -> float:
    """The deviation of the sample mean, by the central limit theorem; exact for normal samples."""
    return float(stats.norm.isf(failure / 2)) * math.sqrt(variance / samples)


def variance_bounds(
    samples: int,
    variance: float = 1.0,
    kurtosis: float = NORMAL_KURTOSIS,
    failure: float = FAILURE,
) -> tuple[float, float]:
    """The interval of the unbiased sample variance; exact for normal samples.

    Var(s^2) = variance^2 (kurtosis / n - (n - 3) / (n (n - 1))), and s^2 is taken for a scaled
    chi-squared variable of the same mean and variance: n - 1 degrees of freedom for normal samples,
    fewer for heavier tails, more for lighter ones.
    """
    relative = kurtosis / samples - (samples - 3) / (samples * (samples - 1))
    freedom = 2 / relative
    distribution = stats.chi2(freedom, scale=variance / freedom)
    return float(distribution.ppf(failure / 2)), float(distribution.isf(failure / 2))


def assert_moments(
    samples: ArrayLike,
    mean: float = 0.0,
    variance: float = 1.0,
    kurtosis: float = NORMAL_KURTOSIS,
    failure: float = FAILURE,
) -> None:
    """Raise unless independent samples have this mean and this variance."""
    values = np.asarray(samples, dtype=np.float64).ravel()
    bound = mean_bound(values.size, variance, failure)
    if not abs(values.mean() - mean) <= bound:
        raise AssertionError(
            f"mean {values.mean():.6g} of {values.size} samples; {mean:.6g} +- {bound:.2g} expected"
        )
    low, high = variance_bounds(values.size, variance, kurtosis, failure)
    if not low <= values.var(ddof=1) <= high:
        raise AssertionError(
            f"variance {values.var(ddof=1):.6g} of {values.size} samples; "
            f"{variance:.6g}, so between {low:.6g} and {high:.6g}, expected"
        )


def kurtosis_of(samples: ArrayLike) -> float:
    """The samples' own kurtosis, where their distribution has no closed form for it."""
    values = np.asarray(samples, dtype=np.float64).ravel()
    return float(stats.kurtosis(values, fisher=False))
