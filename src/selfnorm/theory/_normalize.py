"""The affine version of an activation that keeps mean 0 and variance 1; does it attract?"""

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
from selfnorm.theory._numbers import finite_array, shown
from selfnorm.theory._quadrature import evaluate
from selfnorm.theory._types import ArrayFunction, FloatArray

_MARGINAL = 1e-12  # nearer to 1 than rounding can tell: ReLU's slope is 1 exactly


@dataclass(frozen=True)
class NormalizedActivation:
    """`a * f(x) + b` with fixed point (0, 1) for weights of sum 0 and sum of squares 1.

    Attributes:
        name: The activation's name.
        function: The activation f itself.
        factor: a.
        shift: b.
        variance_slope: Derivative of the variance map at the fixed point, which is the Jacobian's
            only nonzero eigenvalue: the share of a small error of the variance that is left
            after one layer.
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
    activation: Activation, *, kinks: Sequence[float] = ()
) -> NormalizedActivation:
    r"""Find a and b for which `a * f(x) + b` keeps mean 0 and variance 1.

    With `z ~ N(0, 1)`, `m = E f(z)` and `v = Var f(z)`:

        a = 1 / sqrt(v)        b = -m / sqrt(v)

    Whether the fixed point attracts is another matter. For weights of sum 0 the mean of one layer
    does not reach the next, and the variance map has the slope

        (E f'^2 + Cov(f, f'')) / v = E[(f - m)^2 (z^2 - 1)] / (2 v)

    whose right side, by Gaussian integration by parts, needs no derivative and is what is computed.
    For every f the sign of a may be turned; that changes nothing here.

    Args:
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, or a function on NumPy arrays.
        kinks: Where the slope of a function jumps. Kinks not given are found by bisection.

    Returns:
        A `NormalizedActivation`.

    Raises:
        ArgumentError: If f is unknown, not elementwise, not finite, grows too fast to have a
            variance, or is constant.

    Source: Klambauer et al. 2017, section 2, whose SELU needs `a = 1` and `b = 0`; Lu et al. 2020
    (arXiv 2006.12169) for the demand that `gradient_gain` be 1 too.

    Example:
        >>> selu, tanh = normalize_activation("selu"), normalize_activation(np.tanh)
        >>> round(selu.factor, 12), round(selu.variance_slope, 6), selu.attracting
        (1.0, 0.782648, True)
        >>> round(tanh.factor, 6), round(tanh.variance_slope, 6), round(tanh.gradient_gain, 6)
        (1.592537, 0.461071, 1.177807)
    """
    values = statistics(activation, np.zeros(1), np.ones(1), kinks)
    variance, mean = float(values.variance[0]), float(values.mean[0])
    if variance <= 1e-28 * (1 + mean * mean):
        msg = (
            "An activation must not be constant to be given variance 1; got variance "
            f"{variance:g} at mean {mean:g}. Choose another function."
        )
        raise ArgumentError(msg)
    slope = float(values.variance_by_x[0]) / variance
    return NormalizedActivation(
        name=name_of(activation),
        function=shape_of(activation, kinks).function,
        factor=variance**-0.5,
        shift=-mean * variance**-0.5,
        variance_slope=slope,
        stretch=float(np.hypot(slope, values.mean_by_x[0] * variance**-0.5)),
        gradient_gain=float(values.gain[0]) / variance,
        error=float(values.error[0]),
    )


def compare_activations(
    activations: Sequence[Activation] = ACTIVATIONS,
) -> tuple[NormalizedActivation, ...]:
    """Normalize several activations, and sort them by how strongly their fixed point attracts.

    Args:
        activations: Names, `SELUConstants` or functions; by default all that have a name.

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
