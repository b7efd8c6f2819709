"""The map g from the moments of a layer's inputs to those of its outputs, and its derivative."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from selfnorm.errors import ArgumentError
from selfnorm.theory._activations import Activation, shape_of, statistics
from selfnorm.theory._numbers import finite_array
from selfnorm.theory._quadrature import evaluate
from selfnorm.theory._types import FloatArray


class Moments(NamedTuple):
    """Mean and variance of a layer's outputs; floats, or arrays of the arguments' common shape."""

    mean: FloatArray
    variance: FloatArray


class _Layer(NamedTuple):
    """The arguments as arrays of one shape, and the pre-activation `z ~ N(y, x)`."""

    mean: FloatArray
    variance: FloatArray
    omega: FloatArray
    tau: FloatArray
    y: FloatArray
    x: FloatArray


def moments(
    mean: ArrayLike = 0.0,
    variance: ArrayLike = 1.0,
    *,
    omega: ArrayLike = 0.0,
    tau: ArrayLike = 1.0,
    activation: Activation = "selu",
) -> Moments:
    r"""Mean and variance of an activation's output, from those of the layer's inputs.

    A unit's inputs are independent with `mean` and `variance`; its weights have sum `omega`
    and sum of squares `tau`. Its pre-activation is then nearly Gaussian,

        z ~ N(y, x),  y = mean * omega,  x = variance * tau,

    and the result is `E f(z)` and `Var f(z)`. SELU, ELU and ReLU have closed forms,
    arranged so that nothing cancels: for variances from 1e-12 to 1e6 and means within 1e3 the
    variance has a relative error below 1e-12, and so has the mean relative to the sum of its
    positive and its negative part (near the curve where these are equal, the mean itself is 0
    and has no relative error to speak of). Results below 1e-290 lose digits as float64 underflows.
    Other activations are integrated numerically, where a mean far larger than the deviation costs
    digits.

    Args:
        mean: Mean of the inputs.
        variance: Variance of the inputs, not negative.
        omega: Sum of a unit's weights.
        tau: Sum of squares of a unit's weights, positive.
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, `SELUForm`, or a function on NumPy
            arrays.

    Returns:
        `Moments(mean, variance)` of the shape to which the arguments broadcast, float64.

    Raises:
        ArgumentError: If an argument is out of range or not finite, if shapes do not broadcast, or
            if the activation is unknown, not elementwise, or grows too fast to have moments.

    Source: Klambauer et al. 2017, Eq. 4 and 5.

    Example:
        >>> mean, variance = moments(0.0, 1.0)
        >>> bool(abs(mean) < 1e-15), bool(abs(variance - 1) < 1e-14)
        (True, True)
    """
    layer = _layer(mean, variance, omega, tau)
    certain = layer.x == 0
    if not np.any(certain):
        values = statistics(activation, layer.y, layer.x)
        return Moments(values.mean[()], values.variance[()])
    after, spread = np.zeros(layer.y.shape), np.zeros(layer.y.shape)
    after[certain] = evaluate(shape_of(activation).function, layer.y[certain])
    values = statistics(activation, layer.y[~certain], layer.x[~certain])
    after[~certain], spread[~certain] = values.mean, values.variance
    return Moments(after[()], spread[()])


def jacobian(
    mean: ArrayLike = 0.0,
    variance: ArrayLike = 1.0,
    *,
    omega: ArrayLike = 0.0,
    tau: ArrayLike = 1.0,
    activation: Activation = "selu",
) -> FloatArray:
    r"""Derivative of `moments` by mean and variance.

        H = [[d mean'/d mean, d mean'/d variance],
             [d variance' /d mean, d variance' /d variance]]

    By Gaussian integration by parts the entries are `omega * E f'`, `tau/2 * E f''`,
    `2 * omega * Cov(f, f')` and `tau * (E f'^2 + Cov(f, f''))`, where `f''` counts the
    jump of SELU's slope at 0. For SELU each entry's error is below 1e-12 of the sum of the absolute
    values of its terms; for other activations the integrals need no derivative of f, and lose
    precision as the deviation falls below about 1e-3.

    Args:
        mean: Mean of the inputs.
        variance: Variance of the inputs, positive (at 0 the derivative by variance need not exist).
        omega: Sum of a unit's weights.
        tau: Sum of squares of a unit's weights, positive.
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, `SELUForm`, or a function on NumPy
            arrays.

    Returns:
        An array of the shape to which the arguments broadcast, with `(2, 2)` appended, float64.

    Raises:
        ArgumentError: As `moments`, and if `variance` is 0.

    Source: Klambauer et al. 2017, Eq. 52-57 (their H).

    Example:
        >>> jacobian(0.0, 1.0).round(10).tolist()
        [[0.0, 0.0888347551], [0.0, 0.7826478832]]
    """
    layer = _layer(mean, variance, omega, tau)
    if np.any(layer.x == 0):
        msg = "variance must be positive for a derivative; got 0. Use moments(), or a small one."
        raise ArgumentError(msg)
    values = statistics(activation, layer.y, layer.x)
    with np.errstate(over="ignore", under="ignore"):
        rows = (
            (layer.omega * values.mean_by_y, layer.tau * values.mean_by_x),
            (layer.omega * values.variance_by_y, layer.tau * values.variance_by_x),
        )
    derivative = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    if not np.all(np.isfinite(derivative)):
        msg = (
            "The derivative must stay within what float64 holds; it does not with weights of sum "
            f"up to {np.abs(layer.omega).max():g} and sum of squares up to {layer.tau.max():g}. "
            "Ask for smaller means, variances or weights."
        )
        raise ArgumentError(msg)
    return derivative


def spectral_radius(derivative: FloatArray) -> float:
    """The largest absolute eigenvalue of one Jacobian: below 1, the fixed point is stable."""
    return float(np.abs(np.linalg.eigvals(derivative)).max())


def largest_singular_value(derivative: FloatArray) -> float:
    """The factor by which one Jacobian can stretch a distance: below 1, the map contracts."""
    return float(np.linalg.norm(derivative, 2))


def _layer(mean: ArrayLike, variance: ArrayLike, omega: ArrayLike, tau: ArrayLike) -> _Layer:
    named = {"mean": mean, "variance": variance, "omega": omega, "tau": tau}
    arrays = {name: finite_array(value, name) for name, value in named.items()}
    for name, rule in (("variance", "not be negative"), ("tau", "be positive")):
        wrong = arrays[name] < 0 if name == "variance" else arrays[name] <= 0
        if np.any(wrong):
            worst = float(arrays[name][wrong].min())
            msg = f"{name} must {rule}; got {worst:g}. It is a sum of squares, so give it as one."
            raise ArgumentError(msg)
    try:
        shaped = np.broadcast_arrays(*arrays.values())
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        msg = f"The arguments' shapes must broadcast; got {shapes}. Add axes with [:, None]."
        raise ArgumentError(msg) from None
    with np.errstate(over="ignore", under="ignore"):  # `statistics` tells of it
        return _Layer(*shaped, y=shaped[0] * shaped[2], x=shaped[1] * shaped[3])
