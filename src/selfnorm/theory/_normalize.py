"""The affine version of an activation that keeps mean 0 and variance 1; does it attract?"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from selfnorm.errors import ArgumentError
from selfnorm.theory._activations import (
    ACTIVATIONS,
    Activation,
    name_of,
    shape_of,
    statistics,
)
from selfnorm.theory._numbers import finite_array, scalar, shown
from selfnorm.theory._quadrature import evaluate
from selfnorm.theory._types import ArrayFunction, FloatArray

_ROUNDINGS = 1e-12  # of a line `E f'^2` is the variance
_JUMPS = " Below 1 that says that f jumps; choose a continuous function."
_MARGINAL = 1e-12  # nearer to 1 than rounding can tell: ReLU's slope is 1 exactly


@dataclass(frozen=True)
class NormalizedActivation:
    """`a * f(x) + b` with fixed point (0, 1) for weights of sum 0 and sum of squares 1.

    Normalized for a gradient gain its mean is not 0. What is kept then is the mean square 1 that
    orthogonal or random weights hand on, where the pre-activation is `z ~ N(0, mean square)`.
    Weights of sum 0 hand on the variance alone, which is `1 - mean^2`. The slope and the stretch
    are those of mean and mean square; at mean 0 they are those of mean and variance.

    Attributes:
        name: The activation's name.
        function: The activation f itself.
        factor: a.
        shift: b.
        mean: What is kept of the mean: 0, or at most 0 if normalized for a gradient gain.
        variance_slope: Derivative of the map of the mean square at the fixed point, which is the
            Jacobian's only nonzero eigenvalue: the share of a small error that is left after one
            layer. At mean 0 the mean square is the variance.
        stretch: Largest singular value of the Jacobian at the fixed point.
        gradient_gain: E (a f')^2, the factor a layer puts on the second moment of gradients. It is
            infinite where f' is not square integrable, as far as powers of the distance tell:
            from |z|^0.507 on it is finite, and within a percent. Jumps have no slope.
        error: Estimated error of the variance of f by quadrature, on the large side; 0 for closed
            forms. It counts what panels and their halves disagree by, what 16,384 further points of
            a user's function would correct, and roundings. A spike between all of these, narrower
            than about a thousandth of the deviation, is missed.
    """

    name: str
    function: ArrayFunction
    factor: float
    shift: float
    mean: float
    variance_slope: float
    stretch: float
    gradient_gain: float
    error: float

    def __call__(self, x: ArrayLike) -> FloatArray:
        """The normalized activation on an array."""
        return self.factor * evaluate(self.function, finite_array(x, "x")) + self.shift

    @property
    def stable(self) -> bool:
        """Small errors of mean and variance die out over the layers."""
        return abs(self.variance_slope) < 1 - _MARGINAL

    @property
    def attracting(self) -> bool:
        """Small errors shrink in every layer: what the paper asks of self-normalization."""
        return self.stretch < 1 - _MARGINAL


def normalize_activation(
    activation: Activation, gradient_gain: float | None = None, *, kinks: Sequence[float] = ()
) -> NormalizedActivation:
    r"""Find a and b for which `a * f(x) + b` keeps mean 0 and variance 1, or sizes both ways.

    With `z ~ N(0, 1)`, `m = E f(z)` and `v = Var f(z)`:

        a = 1 / sqrt(v)        b = -m / sqrt(v)

    Whether the fixed point attracts is another matter. For weights of sum 0 the mean of one layer
    does not reach the next, and the variance map has the slope

        (E f'^2 + Cov(f, f'')) / v = E[(f - m)^2 (z^2 - 1)] / (2 v)

    whose right side, by Gaussian integration by parts, needs no derivative and is what is computed.
    For every f the sign of a may be turned; that changes nothing here.

    With a `gradient_gain` g it is the mean square and the gradients whose sizes are kept,

        E (a f + b)^2 = 1,  E (a f')^2 = g:    a = sqrt(g / E f'^2),  b = -a m - sqrt(1 - a^2 v)

    at the price of a mean, `-sqrt(1 - a^2 v)`; the other sign of the root would do, too. For g = 1
    this is the Gaussian-Poincare normalization. It exists for every f that is absolutely
    continuous, as then `v <= E f'^2` (Poincare's inequality). A jump has no slope and does not
    count in `E f'^2`; so of functions that jump, some are refused and some are not.

    Args:
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, `SELUForm`, or a function on NumPy
            arrays.
        gradient_gain: If given, the factor g on the second moment of gradients, with a mean square
            of 1; at most the `gradient_gain` that there is with mean 0.
        kinks: Where the slope of a function jumps. Kinks not given are found by bisection.

    Returns:
        A `NormalizedActivation`.

    Raises:
        ArgumentError: If f is unknown, not elementwise, not finite, grows too fast to have a
            variance, or is constant; with a gradient gain also if it is not positive or more than
            f has at mean 0, or if `E f'^2` is 0 or infinite.

    Source: Klambauer et al. 2017, section 2, whose SELU needs `a = 1` and `b = 0`; Lu, Gould and
    Ajanthan 2020 (arXiv 2006.12169) for a gradient gain of 1.

    Example:
        >>> selu, tanh = normalize_activation("selu"), normalize_activation(np.tanh)
        >>> round(selu.factor, 12), round(selu.variance_slope, 6), selu.attracting
        (1.0, 0.782648, True)
        >>> round(tanh.factor, 6), round(tanh.variance_slope, 6), round(tanh.gradient_gain, 6)
        (1.592537, 0.461071, 1.177807)
        >>> tanh = normalize_activation(np.tanh, gradient_gain=1)
        >>> round(tanh.factor, 6), round(tanh.mean, 6), round(tanh.gradient_gain, 12)
        (1.467414, -0.388542, 1.0)
    """
    values = statistics(activation, np.zeros(1), np.ones(1), kinks)
    variance, mean = float(values.variance[0]), float(values.mean[0])
    if variance <= 1e-28 * (1 + mean * mean):
        msg = (
            "An activation must not be constant to be given variance 1; got variance "
            f"{variance:g} at mean {mean:g}. Choose another function."
        )
        raise ArgumentError(msg)
    factor, kept = variance**-0.5, 0.0
    if gradient_gain is not None:
        factor, kept = _both_ways(gradient_gain, float(values.gain[0]), variance)
    by_x = factor * float(values.mean_by_x[0])
    slope = factor**2 * float(values.variance_by_x[0]) + 2 * kept * by_x
    return NormalizedActivation(
        name=name_of(activation),
        function=shape_of(activation, kinks).function,
        factor=factor,
        shift=kept - factor * mean,
        mean=kept,
        variance_slope=slope,
        stretch=math.hypot(slope, by_x),
        gradient_gain=float(values.gain[0]) * factor**2,
        error=float(values.error[0]),
    )


def _both_ways(wanted: float, gain: float, variance: float) -> tuple[float, float]:
    """The factor for a gradient gain, and the mean that then makes the mean square 1."""
    wanted = scalar(wanted, "gradient_gain")
    if not 0 < gain < math.inf:
        msg = (
            "An activation must have a slope whose square has a mean to be given a gradient gain; "
            f"got E f'^2 = {gain:g}. Jumps have no slope; choose another function."
        )
        raise ArgumentError(msg)
    share = wanted * (variance / gain)
    if not 0 < share < 1 + _ROUNDINGS:
        msg = (
            "gradient_gain must be above 0 and at most what the activation has at mean 0 and "
            f"variance 1, {gain / variance:.6g}; got {wanted:g}."
            f"{_JUMPS if variance > gain else ' 1 keeps the size of gradients.'}"
        )
        raise ArgumentError(msg)
    return math.sqrt(wanted / gain), -math.sqrt(max(1 - share, 0.0))


def compare_activations(
    activations: Sequence[Activation] = ACTIVATIONS,
) -> tuple[NormalizedActivation, ...]:
    """Normalize several activations, and sort them by how strongly their fixed point attracts.

    Args:
        activations: Names, `SELUConstants`, `SELUForm`s or functions; by default all names.

    Returns:
        A `NormalizedActivation` each, by increasing `abs(variance_slope)`.

    Raises:
        ArgumentError: As `normalize_activation`.

    Source: `normalize_activation`.

    Example:
        >>> [f.name for f in compare_activations(["selu", "relu", "sin"])]
        ['sin', 'selu', 'relu']
    """
    if isinstance(activations, str) or not isinstance(cast("object", activations), Iterable):
        came = shown(activations)
        msg = f"activations must be several; got {came}. Write [{came}]."
        raise ArgumentError(msg)
    table = [normalize_activation(activation) for activation in activations]
    return tuple(sorted(table, key=lambda one: abs(one.variance_slope)))
