"""Means over a factor that all units share, of what depends on it layer by layer."""

from collections.abc import Callable

import numpy as np

from selfnorm.theory._types import FloatArray

_REACH = 10.0  # phi(10) = 8e-23
_PANELS = 10
_TOLERANCE = 1e-11  # of the integral of the absolute value
_NARROWEST = 1e-9  # the last panel of a step
_MOST_PANELS = 256  # where the map is chaotic in the factor: some 4,000 samples of it then
_AT_ONCE = 64  # panels, 1024 values of u
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def mean_over(follow: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """`E follow(u)` for `u ~ N(0, 1)`, by Gauss-Legendre on panels that are halved till they agree.

    Args:
        follow: From u, shape (n,), to any number of rows (rows, n), each value by its own u alone.
    """
    ends = np.linspace(-_REACH, _REACH, _PANELS + 1)
    low, high = ends[:-1], ends[1:]
    coarse, sizes = _panels(follow, low, high)
    allowed = _TOLERANCE * sizes.sum(axis=1, keepdims=True) + np.finfo(float).tiny
    total = np.zeros(len(coarse))
    while low.size:
        middle = (low + high) / 2
        (left, _), (right, _) = _panels(follow, low, middle), _panels(follow, middle, high)
        fine = left + right
        done = np.all(np.abs(fine - coarse) <= allowed, axis=0) | (high - low < _NARROWEST)
        if np.count_nonzero(~done) > _MOST_PANELS:
            done[:] = True
        total += fine[:, done].sum(axis=1)
        again = ~done
        coarse = np.concatenate([left[:, again], right[:, again]], axis=1)
        low, high = (
            np.concatenate([low[again], middle[again]]),
            np.concatenate([middle[again], high[again]]),
        )
    return total


def _panels(
    follow: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Every row's integral over each panel under the Gaussian, and that of its absolute value."""
    sums: list[FloatArray] = []
    sizes: list[FloatArray] = []
    for i in range(0, len(low), _AT_ONCE):
        half = (high - low)[i : i + _AT_ONCE, None] / 2
        u = (high + low)[i : i + _AT_ONCE, None] / 2 + half * _NODES
        weight = half * _WEIGHTS * np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
        rows = follow(u.ravel()).reshape(-1, *u.shape)
        sums.append((rows * weight).sum(axis=2))
        sizes.append((np.abs(rows) * weight).sum(axis=2))
    return np.concatenate(sums, axis=1), np.concatenate(sizes, axis=1)
