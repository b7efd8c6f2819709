"""Mean, variance and gradient size, layer by layer, for random or given weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError
from selfnorm.theory._activations import Activation, as_form, has_closed_form, statistics
from selfnorm.theory._common_factor import mean_over
from selfnorm.theory._dropout import (
    affine_of,
    alpha_dropout_moments,
    check_probability,
)
from selfnorm.theory._numbers import finite_array, scalar
from selfnorm.theory._types import FloatArray

_MOST = 1e150  # whose square is a number
_LEAST_VARIANCE = 1e-300
_SLOPE_VARIANCE = 1e-8  # relative to 1 + mean^2: nine digits of a slope are left there


@dataclass(frozen=True)
class Propagation:
    """What the theory expects in each layer; arrays of length `depth + 1`, from the inputs on.

    Attributes:
        mean: Mean of the units.
        variance: Variance of the units; with random weights over units and data together.
        correlation: Correlation between two units of a layer; with random weights over units and
            data together, where single pairs have either sign.
        gradient: Root mean square of the gradient by a layer's units, over that by the last's.
    """

    mean: FloatArray
    variance: FloatArray
    correlation: FloatArray
    gradient: FloatArray


class _Layer(NamedTuple):
    """What a layer is made of; the sum is None where weights are random."""

    omega: float | None
    tau: float
    dropout: float
    activation: Activation


def propagate(
    depth: int,
    *,
    mean: float = 0.0,
    variance: float = 1.0,
    omega: float | Sequence[float] | Literal["random"] = 0.0,
    tau: float | Sequence[float] = 1.0,
    dropout: float = 0.0,
    correlation: float = 0.0,
    activation: Activation = "selu",
) -> Propagation:
    r"""Follow mean, variance, correlation and gradient size through a deep plain network.

    Inputs with the equal correlation rho have a common factor u:

        x_i = mean + sqrt(variance) (sqrt(rho) u + sqrt(1 - rho) e_i),    u, e_i ~ N(0, 1)

    Given u they are independent, of mean `m(u) = mean + sqrt(variance rho) u` and variance
    `v(u) = variance (1 - rho)`, and so are, in wide layers, the units behind every layer: each is
    a sum of many terms that are independent given u, and two units' sums are uncorrelated, as rows
    of weights are taken as orthogonal. So every u has a moment map of its own, with E and Var over
    the pre-activation:

        m'(u) = E f(z),  v'(u) = Var f(z)    for  z ~ N(y(u), x(u))

    **Given weights** of sum omega and sum of squares tau in every unit:
    `y = omega m(u)` and `x = tau v(u)`.

    **Random weights** (`omega='random'`): independent weights of mean 0, as after LeCun's
    initialization, whose sum is `omega ~ N(0, tau)` from unit to unit. For one input the
    pre-activations of a layer's units are then independent Gaussians with tau times the mean
    square of what they read: `y = 0` and `x = tau (v(u) + m(u)^2)`, where m and v are
    over units and data together.

    Over u as well the mean is `E m(u)`, the variance `E v(u) + Var m(u)`, and the covariance of
    two units `Var m(u)`. The integrals over u are by adaptive quadrature: about nine digits, and
    two where a large omega makes the map chaotic. Without correlation there is one u.

    Alpha dropout with the affine map for (0, 1), or with a form's own, follows every activation.
    The gradient's second moment changes in a layer by `tau * E f'^2`, and by `q a^2` for dropout,
    given layers of equal width and weights independent of the gradient; the product over layers is
    averaged over u.

    Args:
        depth: Number of layers.
        mean: Mean of the network's inputs.
        variance: Variance of the network's inputs, positive.
        omega: Sum of each unit's weights: one number, one for each layer, or 'random'.
        tau: Sum of squares of each unit's weights, positive: one number, or one a layer.
        dropout: Probability that alpha dropout drops a unit, below 1.
        correlation: Equal correlation among the network's inputs, in [0, 1].
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, `SELUForm`, or a function on NumPy
            arrays.

    Returns:
        A `Propagation`.

    Raises:
        ArgumentError: If an argument is out of range, a sequence has not one entry a layer, or
            the moments outgrow float64.

    Source: Klambauer et al. 2017, Eq. 4 and 5, and its supplement on correlated inputs; Schoenholz
    et al. 2017 for gradients.

    Example:
        >>> layers = propagate(30, dropout=0.1)
        >>> round(float(layers.variance[-1]), 6), round(float(layers.gradient[0]), 3)
        (1.0, 0.05)
        >>> propagate(10, omega=1.0, correlation=0.4).variance[[0, 1, 10]].round(3).tolist()
        [1.0, 1.0, 1.733]
    """
    _check_inputs(mean, variance, dropout, correlation, depth=depth)
    sums, squares = _sums(omega, depth), _squares(tau, depth)
    layers = [
        _Layer(of_layer, square, float(dropout), activation)
        for of_layer, square in zip(sums, squares, strict=True)
    ]
    mean, variance, correlation = float(mean), float(variance), float(correlation)
    center, own, backward = _follow(layers, np.array([mean]), np.array([variance]))[..., 0]
    if correlation == 0:
        return Propagation(center, own, np.zeros(depth + 1), np.sqrt(backward))
    center = _follow(layers, np.array([mean]), np.array([variance * (1 - correlation)]))[0]

    def rows(u: FloatArray) -> FloatArray:
        start = mean + np.sqrt(variance * correlation) * u
        found = _follow(layers, start, np.full_like(u, variance * (1 - correlation)))
        shift = found[0] - center
        return np.concatenate([shift, shift**2, found[1], found[2]])

    shift, square, own, backward = mean_over(rows).reshape(4, -1)
    common = np.maximum(square - shift**2, 0.0)
    return Propagation(
        mean=shift + center[:, 0],
        variance=own + common,
        correlation=common / np.maximum(own + common, np.finfo(float).tiny),
        gradient=np.sqrt(backward),
    )


def _follow(layers: Sequence[_Layer], mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Mean, variance and backward gain behind every layer, shape (3, depth + 1, n), for each u."""
    means, variances, gains = [mean], [variance], [np.ones_like(mean)]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for layer in layers:
            mean, variance, gain = _step(layer, mean, variance)
            means.append(mean)
            variances.append(variance)
            gains.append(gain)
        backward = np.cumprod(np.stack([*gains[1:], gains[0]])[::-1], axis=0)[::-1]
    found = np.stack([np.stack(means), np.stack(variances), backward])
    if not np.all(np.isfinite(found[:2]) & (np.abs(found[:2]) < _MOST)):
        msg = (
            "Moments must stay within what float64 holds; over these layers they do not. "
            "Ask for smaller means, variances or weights, or for fewer layers."
        )
        raise ArgumentError(msg)
    return np.asarray(found, dtype=np.float64)


def _step(
    layer: _Layer, mean: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, variance and gradient gain behind one layer."""
    y, x = _pre_activation(layer, mean, variance)
    values = statistics(layer.activation, y, np.maximum(x, _LEAST_VARIANCE))
    gain = layer.tau * _slopes(layer.activation, y, x, values.gain)
    if not layer.dropout:
        return values.mean, values.variance, gain
    form = as_form(layer.activation)
    after = alpha_dropout_moments(values.mean, values.variance, layer.dropout, form)
    return *after, gain * (1 - layer.dropout) * affine_of(form, layer.dropout).scale ** 2


def _pre_activation(
    layer: _Layer, mean: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Its mean and variance, for each u."""
    if layer.omega is None:
        return np.zeros_like(mean), layer.tau * (variance + mean**2)
    return layer.omega * mean, layer.tau * variance


def _slopes(activation: Activation, y: FloatArray, x: FloatArray, gain: FloatArray) -> FloatArray:
    """`E f'^2`; quadrature sees no slope in too narrow a Gaussian, and there takes a wider one."""
    least = _SLOPE_VARIANCE * (1 + y**2)
    narrow = x < least
    if has_closed_form(activation) or not np.any(narrow):
        return gain
    return np.where(narrow, statistics(activation, y, np.maximum(x, least)).gain, gain)


def _check_inputs(
    mean: float, variance: float, dropout: float, correlation: float, *, depth: int
) -> None:
    check_probability(dropout)
    mean, variance = scalar(mean, "mean"), scalar(variance, "variance")
    correlation = scalar(correlation, "correlation")
    rules = (
        (Whole(0).holds(depth), f"depth must be a whole number from 0; {depth=}"),
        (np.isfinite(mean), f"mean must be finite; {mean=}"),
        (0 < variance < np.inf, f"variance must be positive; {variance=}"),
        (dropout < 1, f"dropout must be below 1 for anything to pass; {dropout=}"),
        (0 <= correlation <= 1, f"correlation, equal for all pairs, is in [0, 1]; {correlation=}"),
    )
    for holds, text in rules:
        if not holds:
            rule, _, came = text.partition("; ")
            msg = f"{rule}; got {came}. Standard are mean=0, variance=1, no dropout or correlation."
            raise ArgumentError(msg)


def _sums(omega: float | Sequence[float] | Literal["random"], depth: int) -> Sequence[float | None]:
    """The sum for every layer; None where it is random."""
    if not isinstance(omega, str):
        return _per_layer(omega, depth, "omega")
    if omega != "random":
        msg = f"omega must be numbers or 'random'; got {omega!r}."
        raise ArgumentError(msg)
    return [None] * depth


def _squares(tau: float | Sequence[float], depth: int) -> list[float]:
    squares = _per_layer(tau, depth, "tau")
    if any(value <= 0 for value in squares):
        msg = f"tau must be positive; got {min(squares):g}. LeCun's initialization has 1."
        raise ArgumentError(msg)
    return squares


def _per_layer(value: float | Sequence[float], depth: int, name: str) -> list[float]:
    array = finite_array(value, name)
    if array.shape not in ((), (depth,)):
        msg = (
            f"{name} must be one number or one for each of the {depth} layers; got shape "
            f"{array.shape}. Pass a single number to use it everywhere."
        )
        raise ArgumentError(msg)
    return [float(entry) for entry in np.broadcast_to(array, (depth,))]
