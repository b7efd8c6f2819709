"""How correlated two units' outputs are, given how correlated their pre-activations are."""

import numpy as np

from selfnorm.errors import ArgumentError
from selfnorm.theory._activations import Activation, shape_of, statistics
from selfnorm.theory._moments import moments
from selfnorm.theory._numbers import scalar
from selfnorm.theory._quadrature import evaluate
from selfnorm.theory._types import FloatArray

_REACH = 12.0  # phi(12) = 2e-32
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
_GRADED = 2.0 ** -np.arange(1, 30)  # panels that narrow towards a kink, as 1 - correlation may


def correlation_map(
    correlation: float, *, mean: float = 0.0, variance: float = 1.0, activation: Activation = "selu"
) -> float:
    r"""Correlation of `f(z1)` and `f(z2)` for Gaussians z1, z2 of a given correlation c.

    Both have `mean` and `variance`. Conditionally on z1, z2 is `N(mean + c (z1 - mean),
    variance (1 - c^2))`, so that

        E f(z1) f(z2) = E f(z1) m(z1),    m(z1) = E[f(z2) | z1],

    where m is SELU's closed form and the outer integral is Gauss-Legendre on panels that narrow
    towards the known kinks (those of a function are not known, and cost it digits). For SELU at
    (0, 1) the map has the fixed point 0, which attracts (slope 0.9707), and the fixed point 1,
    which repels (slope 1.0716): layers of SELU slowly forget how alike two inputs were.

    Args:
        correlation: Correlation of the pre-activations, in [-1, 1].
        mean: Their mean.
        variance: Their variance, positive.
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, `SELUForm`, or a function on NumPy
            arrays.

    Returns:
        The correlation of the outputs.

    Raises:
        ArgumentError: If an argument is out of range, or the output is constant.

    Source: Poole et al. 2016 (arXiv 1606.05340), the correlation map of mean-field theory.

    Example:
        >>> round(correlation_map(0.5), 6), round(correlation_map(1.0), 6)
        (0.490569, 1.0)
    """
    mean, variance = scalar(mean, "mean"), scalar(variance, "variance")
    correlation = scalar(correlation, "correlation")
    if not -1 <= correlation <= 1:
        msg = f"correlation must be within [-1, 1]; got {correlation}."
        raise ArgumentError(msg)
    if not 0 < variance < np.inf or not np.isfinite(mean):
        msg = f"mean must be finite and variance positive; got {mean=} and {variance=}."
        raise ArgumentError(msg)
    own = statistics(activation, np.array([float(mean)]), np.array([float(variance)]))
    if own.variance[0] == 0:
        msg = f"Outputs must vary to be correlated; they are constant at {mean=} and {variance=}."
        raise ArgumentError(msg)
    if correlation == 0:
        return 0.0
    s = np.sqrt(variance)
    shape = shape_of(activation)
    g, weight = panels(tuple((kink - mean) / s for kink in shape.kinks))
    inner = moments(
        mean + s * correlation * g,
        variance * (1 - correlation**2),
        omega=1.0,
        activation=activation,
    ).mean
    outer = evaluate(shape.function, mean + s * g) - own.mean[0]
    return float(np.clip((weight * outer * (inner - own.mean[0])).sum() / own.variance[0], -1, 1))


def panels(kinks: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of a standard normal's integral, on panels that narrow towards kinks."""
    places = np.array(kinks)
    graded = np.concatenate([places, *(places + step for step in (*_GRADED, *-_GRADED))])
    cuts = np.unique(np.clip(np.append(np.arange(-_REACH, _REACH + 1), graded), -_REACH, _REACH))
    half = np.diff(cuts)[:, None] / 2
    g = cuts[:-1, None] + half * (1 + NODES)
    return g, half * WEIGHTS * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)
