"""The fixed point of the moment map that a deep network runs into, layer by layer."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError
from selfnorm.theory._activations import Activation, statistics
from selfnorm.theory._moments import (
    jacobian,
    largest_singular_value,
    moments,
    spectral_radius,
)
from selfnorm.theory._numbers import finite_array, scalar, shown
from selfnorm.theory._types import FloatArray

_GONE = 1e-24  # a variance below this has collapsed
_NEAR = 1e-3  # relative residual from which Newton's method may finish
_NEIGHBOR = 0.03  # relative distance within which a fixed point is the one that was approached
_SMALL = 1e-4  # a variance below this that falls is taken to fall to 0, if 0 is stable
_LARGE, _FAR = 1e6, 1e3  # one above this that rises, and does so 1000 deviations out, diverges
_DIVERGE = "mean and variance diverge"
_ENORMOUS = 1e70  # a mean beyond this, or its square as a variance, has diverged
_STILL = 1e-13  # relative residual that counts as none, a few hundred roundings
_TINY = 1e-12  # the variance at which behavior near variance 0 is measured


@dataclass(frozen=True)
class FixedPoint:
    """A point that the moment map keeps, or the last one seen where iterating found none.

    Attributes:
        mean: Its mean.
        variance: Its variance; 0 where the activations have collapsed to a constant.
        jacobian: Derivative of the map there, 2 x 2; nan where the variance is 0.
        spectral_radius: Largest absolute eigenvalue of the derivative. At variance 0, the factor
            by which the map changes a tiny variance (with the square of the mean's distance).
        largest_singular_value: Largest stretch of the derivative; nan where the variance is 0.
        gradient_gain: E f'^2 there; nan where it has diverged.
        iterations: Applications of the map until it stood still, or came near enough for Newton's
            method to finish.
        residual: Distance from the point to its image, relative to its size.
        converged: Whether this is a fixed point of positive variance.
        reason: Why not, if not.
    """

    mean: float
    variance: float
    jacobian: FloatArray
    spectral_radius: float
    largest_singular_value: float
    gradient_gain: float
    iterations: int
    residual: float
    converged: bool
    reason: str

    @property
    def stable(self) -> bool:
        """Nearby points come back to it in the end: spectral radius below 1."""
        return self.spectral_radius < 1

    @property
    def attracting(self) -> bool:
        """Nearby points come nearer with every layer: largest singular value below 1."""
        return self.largest_singular_value < 1


class Layer(NamedTuple):
    """What makes the map: the sums over a unit's weights, and the activation."""

    omega: float
    tau: float
    activation: Activation

    def step(self, mean: float, variance: float) -> tuple[float, float]:
        """Apply the map once."""
        after = moments(mean, variance, **self._asdict())
        return float(after.mean), float(after.variance)

    def outgrown(self, mean: float, variance: float) -> bool:
        """Whether the moments, or those of the pre-activation, are beyond all use."""
        y, x = mean * self.omega, variance * self.tau
        return not max(abs(mean), abs(y), variance**0.5, abs(x) ** 0.5) < _ENORMOUS

    def derivative(self, mean: float, variance: float) -> FloatArray:
        """The map's Jacobian."""
        return jacobian(mean, variance, **self._asdict())

    def gain(self, mean: float, variance: float) -> float:
        """E f'^2 behind the layer."""
        y, x = np.array([mean * self.omega]), np.array([variance * self.tau])
        return float(statistics(self.activation, y, x).gain[0])


def fixed_point(
    *,
    omega: float = 0.0,
    tau: float = 1.0,
    activation: Activation = "selu",
    start: tuple[float, float] = (0.0, 1.0),
    max_iterations: int = 1000,
) -> FixedPoint:
    r"""The fixed point that iterating the moment map from `start` leads to.

    A network in which every unit's weights have sum `omega` and sum of squares `tau`
    applies `moments` once a layer. From the standard start of mean 0 and variance 1 that converges
    to a fixed point, or the variance collapses towards 0, or it diverges. Newton's
    method with the analytic Jacobian finishes what iterating has brought near.

    Args:
        omega: Sum of a unit's weights.
        tau: Sum of squares of a unit's weights, positive.
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, `SELUForm`, or a function on NumPy
            arrays.
        start: Mean and variance of the network's inputs.
        max_iterations: Layers after which to give up.

    Returns:
        A `FixedPoint`. Where there is none to run into, `converged` is False and `reason` says
        whether the variance collapsed, diverged or was still changing.

    Raises:
        ArgumentError: If an argument is out of range, as for `moments`.

    Source: Klambauer et al. 2017, Theorem 1; banished by Theorems 2 and 3 are other variances.

    Example:
        >>> point = fixed_point()
        >>> round(point.variance, 12), round(point.largest_singular_value, 10), point.attracting
        (1.0, 0.7876733605, True)
        >>> round(fixed_point(tau=2.0).variance, 1)
        18.5
        >>> fixed_point(tau=0.49).reason
        'the variance collapses to 0'
    """
    layer = layer_of(omega, tau, activation)
    begin = finite_array(start, "start")
    if begin.shape != (2,):
        msg = f"start must be a mean and a variance; got {shown(start)}. Write start=(0.0, 1.0)."
        raise ArgumentError(msg)
    mean, variance = begin.tolist()
    if variance <= 0 or not Whole(1).holds(max_iterations):
        msg = (
            f"start must have a positive variance and max_iterations be at least 1; got {start=} "
            f"and {max_iterations=}. The standard start is (0.0, 1.0)."
        )
        raise ArgumentError(msg)
    for iteration in range(1, max_iterations + 1):
        if layer.outgrown(mean, variance):
            return _unfinished(layer, (mean, variance), iteration, _DIVERGE)
        new = layer.step(mean, variance)
        if iteration.bit_count() == 1 or new[1] < _GONE or iteration == max_iterations:
            end = _end(layer, (mean, variance), new, iteration)
            if end is not None:
                return end
        mean, variance = new
    reason = f"mean and variance still change after {max_iterations} layers"
    return _unfinished(layer, (mean, variance), max_iterations, reason)


def layer_of(omega: float, tau: float, activation: Activation) -> Layer:
    """A layer, or an error where a sum is not finite, or one of squares not positive."""
    layer = Layer(scalar(omega, "omega"), scalar(tau, "tau"), activation)
    if not (math.isfinite(layer.omega) and 0 < layer.tau < math.inf):
        msg = (
            f"omega must be finite and tau be positive; got omega={layer.omega:g} and "
            f"tau={layer.tau:g}. LeCun's weights have tau=1."
        )
        raise ArgumentError(msg)
    return layer


def _end(
    layer: Layer, point: tuple[float, float], image: tuple[float, float], iterations: int
) -> FixedPoint | None:
    """What iterating has come to, if that can be told from one step of it; else None."""
    if _gap(point, image) < _NEAR:
        exact = refine(layer, *image)
        if exact is not None and _gap(image, exact) < _NEIGHBOR:
            return describe(layer, *exact, iterations)
    if image[1] < min(point[1], _SMALL):
        end = collapsed(layer, _settled(layer, image[0]), iterations)
        return end if end.spectral_radius < 1 - _STILL or image[1] < _GONE else None
    if image[1] > max(point[1], _LARGE):
        far = (image[0] * _FAR, image[1] * _FAR**2)
        if layer.step(*far)[1] > far[1] * (1 + _STILL):
            return _unfinished(layer, image, iterations, _DIVERGE)
    return None


def refine(layer: Layer, mean: float, variance: float) -> tuple[float, float] | None:
    """A fixed point near a given point by Newton's method, or None if it finds none."""
    point = (mean, variance)
    best, least = None, _STILL
    for _ in range(30):
        image = layer.step(*point)
        gap = _gap(point, image)
        if gap < least:
            best, least = point, gap
        elif best is not None:
            return best
        system = layer.derivative(*point) - np.eye(2)
        if abs(np.linalg.det(system)) < 1e-14:
            return best
        move = np.linalg.solve(system, np.subtract(point, image))
        new = (point[0] + float(move[0]), point[1] + float(move[1]))
        if not new[1] > point[1] / 100 or layer.outgrown(*new):
            return best
        point = new
    return best


def describe(layer: Layer, mean: float, variance: float, iterations: int) -> FixedPoint:
    """The full description of a fixed point of positive variance."""
    derivative = layer.derivative(mean, variance)
    return FixedPoint(
        mean=mean,
        variance=variance,
        jacobian=derivative,
        spectral_radius=spectral_radius(derivative),
        largest_singular_value=largest_singular_value(derivative),
        gradient_gain=layer.gain(mean, variance),
        iterations=iterations,
        residual=_gap((mean, variance), layer.step(mean, variance)),
        converged=True,
        reason="",
    )


def collapsed(layer: Layer, mean: float, iterations: int) -> FixedPoint:
    """A fixed point of variance 0, and how the map changes a tiny variance beside it."""
    shift, variance = 0.0, _TINY
    growth = math.nan
    for _ in range(60):
        new_mean, new_var = layer.step(mean + shift, variance)
        before, after = variance + shift**2, new_var + (new_mean - mean) ** 2
        if after == 0:
            growth = 0.0
            break
        growth = after / before
        rescale = _TINY / after
        shift, variance = (new_mean - mean) * math.sqrt(rescale), new_var * rescale
    return FixedPoint(
        mean=mean,
        variance=0.0,
        jacobian=np.full((2, 2), np.nan),
        spectral_radius=growth,
        largest_singular_value=math.nan,
        gradient_gain=layer.gain(mean, _TINY),
        iterations=iterations,
        residual=abs(layer.step(mean, 0.0)[0] - mean),
        converged=False,
        reason="the variance collapses to 0",
    )


def _settled(layer: Layer, mean: float) -> float:
    """Where the mean goes once the variance is 0."""
    for _ in range(200):
        if layer.outgrown(mean, 0.0):
            break
        mean = layer.step(mean, 0.0)[0]
    return mean


def _unfinished(
    layer: Layer, point: tuple[float, float], iterations: int, reason: str
) -> FixedPoint:
    gone = layer.outgrown(*point)
    return FixedPoint(
        *point,
        jacobian=np.full((2, 2), np.nan),
        spectral_radius=math.nan,
        largest_singular_value=math.nan,
        gradient_gain=math.nan if gone else layer.gain(*point),
        iterations=iterations,
        residual=math.inf if gone else _gap(point, layer.step(*point)),
        converged=False,
        reason=reason,
    )


def _gap(point: tuple[float, float], image: tuple[float, float]) -> float:
    """Relative distance: means in deviations, variances in variances."""
    size = math.sqrt(point[1] + point[0] ** 2)
    return max(abs(image[0] - point[0]) / size, abs(image[1] - point[1]) / point[1])
