import numpy as np
import pytest
from scipy import stats

from support.statistics import (
    NORMAL_KURTOSIS,
    TRUNCATED_KURTOSIS,
    UNIFORM_KURTOSIS,
    assert_moments,
    mean_bound,
    variance_bounds,
)

UNIT_VARIANCE = {
    "normal": (stats.norm(), NORMAL_KURTOSIS),
    "uniform": (stats.uniform(-(3**0.5), 2 * 3**0.5), UNIFORM_KURTOSIS),
    "truncated": (
        stats.truncnorm(-2, 2, scale=1 / stats.truncnorm(-2, 2).std()),
        TRUNCATED_KURTOSIS,
    ),
}


def test_bounds_for_normal_samples_are_the_textbook_ones() -> None:
    assert mean_bound(100, variance=4.0, failure=0.05) == pytest.approx(0.2 * 1.959964)
    low, high = variance_bounds(11, failure=0.05)
    assert (low, high) == pytest.approx((3.246973 / 10, 20.483177 / 10))


@pytest.mark.parametrize("name", UNIT_VARIANCE)
def test_bounds_reject_correct_draws_as_often_as_stated(name: str) -> None:
    distribution, kurtosis = UNIT_VARIANCE[name]
    repeats, samples, failure = 4000, 500, 0.05
    draws = distribution.rvs((repeats, samples), random_state=np.random.default_rng(0))
    low, high = variance_bounds(samples, kurtosis=kurtosis, failure=failure)
    variances = draws.var(axis=1, ddof=1)
    outside = {
        "mean": abs(draws.mean(axis=1)) > mean_bound(samples, failure=failure),
        "variance": (variances < low) | (variances > high),
    }
    binomial = stats.binom(repeats, failure)
    for moment, rejected in outside.items():
        assert binomial.ppf(1e-6) <= rejected.sum() <= binomial.isf(1e-6), moment


def test_wrong_moments_are_rejected_with_both_figures() -> None:
    draws = np.random.default_rng(0).standard_normal(10_000)
    assert_moments(draws)
    with pytest.raises(AssertionError, match=r"mean 0\.\d+ of 10000 samples; 0 \+- 0.061 expected"):
        assert_moments(draws + 0.1)
    with pytest.raises(AssertionError, match=r"variance 1\.2\d+ of 10000 samples; 1, so between"):
        assert_moments(draws * 1.1)
    with pytest.raises(AssertionError, match="mean nan"):
        assert_moments([float("nan")] * 10)
