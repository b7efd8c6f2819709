"""What chance explains of a layer: one judge for audits and for what watches a training.

The factors are calibrated together: wide enough that benchmarks/false_alarms.py, 3,900 audits of
right networks of 5 kinds, 2 to 64 layers and 16 to 2,048 units, finds no fault, and narrow enough
for every network of tests/auditing/test_mistakes.py. Whoever changes one runs both.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from selfnorm.recording._layer import Features, Weights
from selfnorm.theory import THEOREM_1

LEVEL = 1e-6
"""How often chance alone puts a LeCun-normal layer outside the interval.

An audit of a thousand layers asks a thousand times; so it is wrong once in a thousand such audits.
"""
_NONE, _ALIKE = 1e-3, 1e-6
KEPT = 0.25
"""The largest tolerance that `selfnorm.optim.keep_orthogonal` chooses; tau is as near to 1."""
VARIANCE_NOISE = 4.0
"""Deviations of log variance allowed for layers of width n: this times sqrt(1/n + 1/rows)."""
MEAN_NOISE = 2.0
"""The same of the mean."""
_FEATURE_NOISE = 5.0
"""Deviations of a feature's mean and variance over so many rows."""


@dataclass(frozen=True)
class Off:
    """What of an input is not standardized.

    Attributes:
        features: Which, a mask.
        large: Whether its mean square as a whole is out of [1/2, 2].
    """

    features: NDArray[np.bool_]
    large: bool


def gain_interval(weights: Weights) -> tuple[float, float]:
    """Where the mean sum of squares lies for LeCun-normal weights: chi-square, at level 1e-6."""
    return _interval(weights.terms if are_copies(weights) else weights.count)


@lru_cache(maxsize=1024)  # SciPy takes a tenth of a millisecond, and layers have few sizes
def _interval(count: int) -> tuple[float, float]:
    low, high = chi2.ppf([LEVEL / 2, 1 - LEVEL / 2], count) / count
    return float(low), float(high)


def are_copies(weights: Weights) -> bool:
    """Whether all units have the same weights, but for the sign."""
    sums = np.abs(weights.omega)
    most = float(sums.max())
    return len(sums) > 1 and most > _NONE and float(np.ptp(sums)) <= _ALIKE * most


def is_wrong(weights: Weights) -> bool:
    """Whether their size is neither LeCun's by chance, nor theorem 1's, nor orthogonal ones'."""
    tau = float(weights.tau.mean())
    if not np.isfinite(tau) or THEOREM_1.holds("tau", tau):
        return False  # `non-finite` tells of the others
    if weights.gram_error <= KEPT:
        return False
    low, high = gain_interval(weights)
    return not low <= tau <= high


def off_by_chance(width: float, rows: float) -> float:
    """How far a right layer's log variance strays from 0."""
    return VARIANCE_NOISE * math.sqrt(1 / max(width, 1) + 1 / max(rows, 1))


def is_variance_off(variance: float, width: int, rows: int) -> bool:
    """Whether a variance is out of [1/2, 2] by more than chance."""
    chance = off_by_chance(width, rows)
    return variance <= 0 or abs(math.log(variance)) > math.log(2) + chance


def is_mean_off(mean: float, variance: float, width: int, rows: int) -> bool:
    """Whether a mean is more than .3 deviations from 0, and than chance."""
    limit = 0.3 + MEAN_NOISE * math.sqrt(1 / max(width, 1) + 1 / max(rows, 1))
    return abs(mean) > limit * math.sqrt(max(variance, 1))


def not_standardized(features: Features) -> Off | None:
    """Which features are off; None where the input is as it should be, or nothing can be said.

    A tenth of the features may be, as long as all together have a mean square near 1. Features with
    one value are none of them.
    """
    if features.rows < 2 or not np.isfinite(features.means).all():
        return None
    moved = _moved(features)
    size = features.variance + features.mean * features.mean
    constant = features.variances <= 1e-12 * max(size, 1e-30)
    varying = moved[~constant]
    if features.computed and len(varying):  # beside zeros of a first state, say
        size = float((features.variances + features.means**2)[~constant].mean())
    large = not 0.5 <= size <= 2
    if not large and len(varying) and varying.mean() <= 0.1:
        return None
    return Off(moved, large)


def _moved(features: Features) -> NDArray[np.bool_]:
    """Which features are off by more than half a deviation or twice the variance, and by chance."""
    chance = _FEATURE_NOISE / np.sqrt(features.rows)
    means, variances = features.means, features.variances
    shifted = np.abs(means) > (0.5 + chance) * np.sqrt(np.maximum(variances, 0.5))
    return shifted | (variances > 2 + 4 * chance) | (variances < 0.5 / (1 + 4 * chance))
