"""All fixed points of the moment map in a stated region, stable or not."""

import numpy as np

from selfnorm.errors import ArgumentError
from selfnorm.theory._activations import Activation, has_closed_form, shape_of
from selfnorm.theory._fixed_point import FixedPoint, Layer, collapsed, describe, layer_of, refine
from selfnorm.theory._moments import moments
from selfnorm.theory._quadrature import evaluate
from selfnorm.theory._types import FloatArray

_LEAST, _MOST, _WIDEST = 1e-8, 1e6, 1e3  # the region: variances from, to; means within
_FINE, _COARSE = 20, 5  # variances a decade: with closed forms, with quadrature
_SAME = 1e-6  # relative distance under which two solutions are one
_EVERYWHERE = 1e-10  # relative change of the variance that makes every point a fixed point


def fixed_points(
    *,
    omega: float = 0.0,
    tau: float = 1.0,
    activation: Activation = "selu",
) -> tuple[FixedPoint, ...]:
    r"""Every fixed point with variance in [1e-8, 1e6] and mean within 1000, and at variance 0.

    Cells of a grid in mean and log-variance where the map's displacement changes sign in both
    coordinates are starts for Newton's method with the analytic Jacobian. With
    `omega = 0` the mean follows from the variance and one dimension is enough. Two
    solutions nearer to each other than a cell (12 % in variance for SELU, ELU and ReLU, and where
    `omega = 0`; 60 % else) can hide one another; that happens only next to the weights at
    which a pair of fixed points is born.

    A point of variance 0 (all activations constant, at a mean m with `f(omega * m) = m`) is a
    fixed point of every activation that has such an m. It is listed with `converged` False; that
    it is `stable` is what collapse means.

    Args:
        omega: Sum of a unit's weights (omega).
        tau: Sum of squares of a unit's weights (tau), positive.
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, `SELUForm`, or a function on NumPy
            arrays.

    Returns:
        The fixed points by increasing variance.

    Raises:
        ArgumentError: If an argument is out of range, or if every variance is a fixed point.

    Source: Klambauer et al. 2017, Eq. 4 and 5.

    Example:
        >>> [(round(point.variance, 2), point.stable) for point in fixed_points(tau=2.0)]
        [(0.0, False), (18.46, True)]
    """
    layer = layer_of(omega, tau, activation)
    if layer.outgrown(_WIDEST, _MOST):
        msg = (
            f"omega and tau must be of moderate size; got {omega=} and {tau=}. Rescale the weights."
        )
        raise ArgumentError(msg)
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
    fine = layer.omega == 0 or has_closed_form(layer.activation)
    density = _FINE if fine else _COARSE
    variances = np.geomspace(_LEAST, _MOST, 14 * density + 1)
    means = _mean_grid(8 * density) if layer.omega else np.zeros(1)
    after = moments(means[:, None], variances, **layer._asdict())
    rise = np.log(np.maximum(after.variance, 1e-300) / variances)
    _refuse_a_continuum(rise)
    middles = np.sqrt(variances[1:] * variances[:-1])
    if layer.omega == 0:
        at = np.flatnonzero(np.sign(rise[0, 1:]) * np.sign(rise[0, :-1]) <= 0)
        return [(float(after.mean[0, i]), float(middles[i])) for i in at]
    rows, columns = np.nonzero(_changes(after.mean - means[:, None]) & _changes(rise))
    return [
        (float(means[i : i + 2].mean()), float(middles[j]))
        for i, j in zip(rows, columns, strict=True)
    ]


def _mean_grid(count: int) -> FloatArray:
    """Means to the region's end either way, dense near 0, where they matter most."""
    return 0.05 * np.sinh(np.linspace(-1, 1, count) * np.arcsinh(_WIDEST / 0.05))


def _changes(values: FloatArray) -> np.ndarray:
    """Which cells have corners of both signs."""
    corners = np.stack([values[:-1, :-1], values[1:, :-1], values[:-1, 1:], values[1:, 1:]])
    return (corners.min(axis=0) <= 0) & (corners.max(axis=0) >= 0)


def _constant_means(layer: Layer) -> list[float]:
    """The m with `f(omega * m) = m`, by bisection between sign changes."""
    function = shape_of(layer.activation).function

    def excess(mean: FloatArray) -> FloatArray:
        return evaluate(function, layer.omega * mean) - mean

    if layer.omega == 0:
        return [float(evaluate(function, np.zeros(1))[0])]
    grid = np.sort(np.append(_mean_grid(160), 0.0))
    values = excess(grid)
    means = [float(mean) for mean in grid[values == 0]]
    change = np.flatnonzero(np.sign(values[1:]) * np.sign(values[:-1]) < 0)
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
            "Change tau, or ask fixed_point for the one that your start leads to."
        )
        raise ArgumentError(msg)


def _inside(point: tuple[float, float]) -> bool:
    return _LEAST <= point[1] <= _MOST and abs(point[0]) <= _WIDEST


def _close(one: tuple[float, float], other: tuple[float, float]) -> bool:
    size = (one[1] + one[0] ** 2) ** 0.5
    return abs(one[0] - other[0]) < _SAME * size and abs(one[1] - other[1]) < _SAME * one[1]
