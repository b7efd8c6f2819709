"""Mean, variance and gradient size, layer by layer, for random or given weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError
from selfnorm.theory._activations import Activation, statistics
from selfnorm.theory._correlation import correlation_map
from selfnorm.theory._dropout import (
    alpha_dropout_affine,
    alpha_dropout_moments,
    check_probability,
)
from selfnorm.theory._moments import finite_array
from selfnorm.theory._numbers import scalar
from selfnorm.theory._types import FloatArray

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
_LEAST_VARIANCE = 1e-300


@dataclass(frozen=True)
class Propagation:
    """What the theory expects in each layer; arrays of length `depth + 1`, from the inputs on.

    Attributes:
        mean: Mean of the units.
        variance: Variance of the units; with random weights over units and data together.
        correlation: Correlation between two units of a layer.
        gradient: Root mean square of the gradient by a layer's units, over that by the last's.
    """

    mean: FloatArray
    variance: FloatArray
    correlation: FloatArray
    gradient: FloatArray


@dataclass(frozen=True)
class _State:
    mean: float
    variance: float
    correlation: float
    gain: float = 1.0


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

    **Given weights.** Every unit of a layer has weights of sum omega and sum of squares tau, and
    its inputs have mean mu, variance nu and among each other correlation rho. Then

        z ~ N(mu omega, nu tau (1 - rho) + nu rho omega^2)

    and `Statistics` of the activation follow. Rows of weights are taken as orthogonal, so two
    units' pre-activations correlate by `rho omega^2 / (tau (1 - rho) + rho omega^2)`, and their
    outputs by `correlation_map` of that.

    **Random weights** (`omega='random'`): independent weights of mean 0, as after LeCun's
    initialization, whose sum is `omega ~ N(0, tau)` from unit to unit. Mean and variance are those
    over units and data together; without correlation the pre-activations are then
    `N(0, tau (nu + mu^2))`. Correlations between units behind the first layer have random
    signs and are taken as 0.

    Alpha dropout with the affine map for (0, 1) follows every activation. The gradient's second
    moment changes in a layer by `tau * E f'^2`, and by `q a^2` for dropout, given layers of equal
    width and weights independent of the gradient.

    Args:
        depth: Number of layers.
        mean: Mean of the network's inputs.
        variance: Variance of the network's inputs, positive.
        omega: Sum of each unit's weights: one number, one for each layer, or 'random'.
        tau: Sum of squares of each unit's weights, positive: one number, or one a layer.
        dropout: Probability that alpha dropout drops a unit, below 1.
        correlation: Equal correlation among the network's inputs, in [0, 1].
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, or a function on NumPy arrays.

    Returns:
        A `Propagation`.

    Raises:
        ArgumentError: If an argument is out of range or a sequence has not one entry a layer.

    Source: Klambauer et al. 2017, Eq. 4 and 5, and its supplement on correlated inputs; Schoenholz
    et al. 2017 for gradients.

    Example:
        >>> layers = propagate(30, dropout=0.1)
        >>> round(float(layers.variance[-1]), 6), round(float(layers.gradient[0]), 3)
        (1.0, 0.05)
    """
    _check_inputs(mean, variance, dropout, correlation, depth=depth)
    states = [_State(float(mean), float(variance), float(correlation))]
    for of_layer, squares in zip(_sums(omega, depth), _squares(tau, depth), strict=True):
        before = states[-1]
        after = (
            _random_layer(before, squares, activation)
            if of_layer is None
            else _given_layer(before, of_layer, squares, activation)
        )
        states.append(_drop(after, dropout) if dropout else after)
    gains = np.array([state.gain for state in states[1:]])
    backward = np.concatenate([np.cumprod(gains[::-1])[::-1], [1.0]])
    return Propagation(
        mean=np.array([state.mean for state in states]),
        variance=np.array([state.variance for state in states]),
        correlation=np.array([state.correlation for state in states]),
        gradient=np.sqrt(backward),
    )


def _given_layer(before: _State, omega: float, tau: float, activation: Activation) -> _State:
    y = before.mean * omega
    shared = before.variance * before.correlation * omega**2
    x = max(before.variance * tau * (1 - before.correlation) + shared, _LEAST_VARIANCE)
    values = statistics(activation, np.array([y]), np.array([x]))
    common = (
        correlation_map(shared / x, mean=y, variance=x, activation=activation) if shared else 0.0
    )
    return _State(
        float(values.mean[0]), float(values.variance[0]), common, gain=tau * float(values.gain[0])
    )


def _random_layer(before: _State, tau: float, activation: Activation) -> _State:
    """Average over `omega ~ N(0, tau)`: in closed form without correlation, else Gauss-Hermite."""
    if before.correlation == 0:
        y, x = np.zeros(1), np.array([tau * (before.variance + before.mean**2)])
        weights = np.ones(1)
    else:
        y = before.mean * np.sqrt(tau) * _NODES
        x = before.variance * tau * (1 - before.correlation + before.correlation * _NODES**2)
        weights = _WEIGHTS / _WEIGHTS.sum()
    values = statistics(activation, y, np.maximum(x, _LEAST_VARIANCE))
    mean = float(weights @ values.mean)
    variance = float(weights @ (values.variance + (values.mean - mean) ** 2))
    return _State(mean, variance, 0.0, gain=tau * float(weights @ values.gain))


def _drop(state: _State, p: float) -> _State:
    """Alpha dropout: keep, or set to SELU's saturation; then the affine map."""
    mean, variance = alpha_dropout_moments(state.mean, state.variance, p)
    passed = (1 - p) * alpha_dropout_affine(p).scale ** 2
    shared = passed * (1 - p) * state.variance * state.correlation
    return _State(
        mean=mean,
        variance=variance,
        correlation=shared / variance if shared else 0.0,
        gain=state.gain * passed,
    )


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
