"""All fixed points of the moment map in a stated region, stable or not."""

import numpy as np

from selfnorm.errors import ArgumentError
from selfnorm.theory._activations import Activation, shape_of
from selfnorm.theory._fixed_point import FixedPoint, Layer, collapsed, describe, refine
from selfnorm.theory._moments import moments
from selfnorm.theory._quadrature import evaluate
from selfnorm.theory._types import FloatArray

_VARIANCES = np.geomspace(1e-8, 1e6, 281)  # 20 a decade
_MEANS = 0.05 * np.sinh(np.linspace(-10.6, 10.6, 160))  # to 1000 either way, dense near 0
_SAME = 1e-6  # relative distance under which two solutions are one
_EVERYWHERE = 1e-10  # relative change of the variance that makes every point a fixed point


def fixed_points(
    *,
    weight_sum: float = 0.0,
    weight_sq: float = 1.0,
    activation: Activation = "selu",
) -> tuple[FixedPoint, ...]:
    r"""Every fixed point with variance in [1e-8, 1e6] and mean within 1000, and those of variance 0.

    Cells of a grid in mean and log-variance where the map's displacement changes sign in both
    coordinates are starts for Newton's method with the analytic Jacobian. With
    `weight_sum = 0` the mean follows from the variance and one dimension is enough. Two
    solutions nearer to each other than a cell (12 % in variance) can hide one another; that
    happens only next to the weights at which a pair of fixed points is born.

    A point of variance 0 (all activations constant, at a mean m with `f(weight_sum * m) = m`) is a
    fixed point of every activation that has such an m. It is listed with `converged` False; that
    it is `stable` is what collapse means.

    Args:
        weight_sum: Sum of a unit's weights (omega).
        weight_sq: Sum of squares of a unit's weights (tau), positive.
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, or a function on NumPy arrays.

    Returns:
        The fixed points by increasing variance.

    Raises:
        ArgumentError: If an argument is out of range, or if every variance is a fixed point.

    Source: Klambauer et al. 2017, Eq. 4 and 5.

    Example:
        >>> [(round(point.var, 2), point.stable) for point in fixed_points(weight_sq=2.0)]
        [(0.0, False), (18.48, True)]
    """
    layer = Layer(weight_sum, weight_sq, activation)
    found = [collapsed(layer, mean, 0) for mean in _constant_means(layer)]
    known: list[tuple[float, float]] = []
    for start in _starts(layer):
        point = refine(layer, *start)
        if point is not None and _inside(point) and not any(_close(point, one) for one in known):
            known.append(point)
    found += [describe(layer, *point, 0) for point in sorted(known, key=lambda point: point[1])]
    return tuple(found)


def _starts(layer: Layer) -> list[tuple[float, float]]:
    """Middles of the grid's cells in which both coordinates may stand still."""
    if layer.weight_sum == 0:
        after = moments(0.0, _VARIANCES, **layer._asdict())
        rise = np.log(np.maximum(after.var, 1e-300) / _VARIANCES)
        _refuse_a_continuum(rise)
        at = np.flatnonzero(np.sign(rise[1:]) * np.sign(rise[:-1]) <= 0)
        return [(float(after.mean[i]), float(np.sqrt(_VARIANCES[i] * _VARIANCES[i + 1]))) for i in at]
    after = moments(_MEANS[:, None], _VARIANCES, **layer._asdict())
    rise = np.log(np.maximum(after.var, 1e-300) / _VARIANCES)
    rows, columns = np.nonzero(_changes(after.mean - _MEANS[:, None]) & _changes(rise))
    return [
        (float(_MEANS[i : i + 2].mean()), float(np.sqrt(_VARIANCES[j] * _VARIANCES[j + 1])))
        for i, j in zip(rows, columns, strict=True)
    ]


def _changes(values: FloatArray) -> np.ndarray:
    """Which cells have corners of both signs."""
    corners = np.stack([values[:-1, :-1], values[1:, :-1], values[:-1, 1:], values[1:, 1:]])
    return (corners.min(axis=0) <= 0) & (corners.max(axis=0) >= 0)


def _constant_means(layer: Layer) -> list[float]:
    """The m with `f(weight_sum * m) = m`, by bisection between sign changes."""
    function = shape_of(layer.activation).function

    def excess(mean: FloatArray) -> FloatArray:
        return evaluate(function, layer.weight_sum * mean) - mean

    if layer.weight_sum == 0:
        return [float(evaluate(function, np.zeros(1))[0])]
    grid = np.sort(np.append(_MEANS, 0.0))
    values = excess(grid)
    means = [float(mean) for mean in grid[values == 0]]
    change = np.flatnonzero(values[1:] * values[:-1] < 0)
    low, high = grid[change], grid[change + 1]
    sign = np.sign(values[change])
    for _ in range(60):
        middle = (low + high) / 2
        same = np.sign(excess(middle)) == sign
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return sorted(means + [float(mean) for mean in (low + high) / 2])


def _refuse_a_continuum(rise: FloatArray) -> None:
    if np.all(np.abs(rise) < _EVERYWHERE):
        msg = (
            "Fixed points must be separate points to be listed; here every variance is one. "
            "Change weight_sq, or ask fixed_point for the one that your start leads to."
        )
        raise ArgumentError(msg)


def _inside(point: tuple[float, float]) -> bool:
    return _VARIANCES[0] <= point[1] <= _VARIANCES[-1] and abs(point[0]) <= _MEANS[-1]


def _close(one: tuple[float, float], other: tuple[float, float]) -> bool:
    size = (one[1] + one[0] ** 2) ** 0.5
    return abs(one[0] - other[0]) < _SAME * size and abs(one[1] - other[1]) < _SAME * one[1]
