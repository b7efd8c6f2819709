"""Infinitely wide networks as kernels."""

from functools import lru_cache
from numbers import Integral
from typing import Any, get_args

import numpy as np

from selfnorm.errors import ArgumentError
from selfnorm.theory._activations import (
    Activation,
    Shape,
    has_closed_form,
    shape_of,
    statistics,
)
from selfnorm.theory._correlation import NODES, WEIGHTS, panels
from selfnorm.theory._kernel_table import Dual, Kind, Table, make_table, selu_table
from selfnorm.theory._numbers import finite_array, scalar
from selfnorm.theory._quadrature import evaluate
from selfnorm.theory._types import FloatArray

_DEGREES = (24, 48, 96, 192)
_SMALL = 1e-11  # a last coefficient, relative to the largest
_DEEPEST = 10_000
_REACH = 10.0


def network_kernel(
    X: Any,
    Y: Any = None,
    *,
    depth: int,
    kind: Kind = "ntk",
    bias: float = 0.0,
    activation: Activation = "selu",
) -> FloatArray:
    r"""The kernel of an infinitely wide network, which is a function of the angle of two rows.

    At SELU's fixed point a layer leaves the variance at 1, so layer by layer only the correlation
    of two rows changes, by `c(r) = E f(z1) f(z2)` for standard normal z1, z2 of correlation r
    (`correlation_map`). From `K = (1 - bias) r + bias` and `T = K`, for each hidden layer

        K' = (1 - bias) c(K) + bias
        T' = K' + (1 - bias) c'(K) T

    K is the covariance of the outputs of networks with random weights ("nngp": as such, a Gaussian
    process), T the tangent kernel, by which gradient descent moves them ("ntk"). Another activation
    is scaled so that `E f(z)^2 = 1`; ReLU then has He's initialization. Rows are scaled to norm
    `sqrt(columns)`, where a pre-activation has variance 1: what their length tells is lost; append
    a column of ones to keep it.

    c and c' are polynomials in the angle, to about 1e-10 of quadrature; all layers together are one
    function of it, evaluated by quadratic interpolation between 16,385 angles. The work is one
    product `X Y^T` and one look-up an element, in blocks of 32 MiB.

    Args:
        X: Rows, (n, columns), finite; none of zeros alone.
        Y: Others, (m, columns); X itself if None.
        depth: Number of hidden layers.
        kind: "ntk" or "nngp".
        bias: Share of a pre-activation's variance that biases have, in [0, 1).
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, `SELUForm`, or a function on NumPy
            arrays; what is not of SELU's family takes seconds, once.

    Returns:
        The kernel, (n, m), float64; symmetric and positive semidefinite for `Y = X`.

    Raises:
        ArgumentError: Shapes do not fit, a row is of zeros, values are not finite, or `depth`,
            `kind` or `bias` is none of those above.

    Source: Lee et al. 2018 (arXiv 1711.00165) for the Gaussian process, Jacot et al. 2018 (arXiv
    1806.07572) for the tangent kernel; Arora et al. 2020 (arXiv 1910.01663) on small tables.

    Example:
        >>> import numpy as np
        >>> from sklearn.svm import SVC
        >>> X, y = np.array([[0.0, 1], [1, 1], [1, 0], [2, -1]]), [0, 0, 1, 1]
        >>> model = SVC(kernel="precomputed").fit(network_kernel(X, depth=2), y)
        >>> model.predict(network_kernel([[3.0, -1]], X, depth=2))
        array([1])
    """
    rows = _unit_rows(X, "X")
    others = rows if Y is None else _unit_rows(Y, "Y")
    if rows.shape[1] != others.shape[1]:
        msg = (
            "X and Y must have the same columns; "
            f"got {rows.shape[1]} and {others.shape[1]}. Pass rows of one table."
        )
        raise ArgumentError(msg)
    if isinstance(depth, bool) or not isinstance(depth, Integral) or not 1 <= depth <= _DEEPEST:
        msg = f"depth must be a whole number from 1 to {_DEEPEST:,}; got {depth!r}."
        raise ArgumentError(msg)
    if kind not in get_args(Kind):
        msg = f"kind must be 'ntk' or 'nngp'; got {kind!r}."
        raise ArgumentError(msg)
    bias = scalar(bias, "bias")
    if not 0 <= bias < 1:
        msg = f"bias must be in [0, 1), a share of the variance; got {bias}."
        raise ArgumentError(msg)
    table = _table(activation, int(depth), kind, float(bias))
    result = table.of(rows, others)
    if Y is None:
        result = (result + result.T) / 2  # a product's roundings need not be
        np.fill_diagonal(result, table.of_equal)
    return result


def _unit_rows(X: Any, name: str) -> FloatArray:
    rows = finite_array(X, name)
    if rows.ndim != 2:
        msg = f"{name} must be rows, (n, columns); got shape {rows.shape}. Reshape it."
        raise ArgumentError(msg)
    rows = rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True, initial=0), 1e-300)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.all(norms > 0):
        msg = (
            f"A row of {name} must have a direction; row {int(np.argmin(norms))} is all zeros. "
            "Append a column of ones."
        )
        raise ArgumentError(msg)
    return rows / norms


def _table(activation: Activation, depth: int, kind: Kind, bias: float) -> Table:
    if isinstance(activation, str) and activation == "selu":
        return selu_table(depth, kind, bias)
    try:
        return _remembered_table(activation, depth, kind, bias)
    except TypeError:  # a function that has no hash
        return make_table(_make_dual(activation), depth, kind, bias)


@lru_cache(64)
def _remembered_table(activation: Activation, depth: int, kind: Kind, bias: float) -> Table:
    return make_table(_remembered_dual(activation), depth, kind, bias)


@lru_cache(16)
def _remembered_dual(activation: Activation) -> Dual:
    return _make_dual(activation)


def _make_dual(activation: Activation) -> Dual:
    series, reached = list[np.polynomial.Chebyshev](), np.inf
    for degree in _DEGREES:
        nodes = np.polynomial.chebyshev.chebpts1(degree + 1)
        angles = np.pi / 2 * (nodes + 1)
        values = np.array([_expectations(activation, float(np.cos(angle))) for angle in angles])
        values[:, 0] = (1 - values[:, 0]) / (2 * np.sin(angles / 2) ** 2)
        tried = [
            np.polynomial.Chebyshev.fit(angles, column, degree, domain=[0, np.pi])
            for column in values.T
        ]
        last = max(np.abs(one.coef[-4:]).max() / np.abs(one.coef).max() for one in tried)
        if last >= reached:  # from here on coefficients are rounding errors
            break
        series, reached = tried, last
        if reached < _SMALL:
            break
    return Dual(*series)


def _expectations(activation: Activation, correlation: float) -> tuple[float, float]:
    """`E f(z1) f(z2)` and its slope in the correlation, by `E f(z)^2`."""
    shape = shape_of(activation)
    g, weight = (part.ravel() for part in panels(shape.kinks))
    variance = 1 - correlation**2
    if has_closed_form(activation):
        inner = statistics(activation, correlation * g, np.full_like(g, variance))
        mean, by_mean, by_variance = inner.mean, inner.mean_by_y, inner.mean_by_x
    else:
        mean, by_mean, by_variance = _given_first(shape, correlation * g, variance)
    values = evaluate(shape.function, g)
    square = float((weight * values**2).sum())
    if square == 0:
        msg = "An activation must not be 0 everywhere to have a kernel. Pass another."
        raise ArgumentError(msg)
    slope = by_mean * g - 2 * correlation * by_variance
    return (
        float((weight * values * mean).sum() / square),
        float((weight * values * slope).sum() / square),
    )


def _given_first(
    shape: Shape, y: FloatArray, x: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """`E f(z)` for `z ~ N(y, x)` and its derivatives by y and x, on panels that end at kinks."""
    s = np.sqrt(x)
    kinks = [np.clip((kink - y) / s, -_REACH, _REACH) for kink in shape.kinks]
    fixed = [np.full_like(y, cut) for cut in np.arange(-_REACH, _REACH + 1)]
    cuts = np.sort(np.stack([*fixed, *kinks]), axis=0)
    half = np.diff(cuts, axis=0)[:, None] / 2
    g = cuts[:-1, None] + half * (1 + NODES[:, None])
    weight = half * WEIGHTS[:, None] * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)
    base = evaluate(shape.function, y)
    change = weight * (evaluate(shape.function, y + s * g) - base)  # so that little is lost
    mean, first, second = ((change * factor).sum(axis=(0, 1)) for factor in (1.0, g, g**2 - 1))
    return base + mean, first / s, second / (2 * x)
