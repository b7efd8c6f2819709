"""What SELU and alpha dropout do to the size of gradients, and how deep that lets a net be."""

import math

import numpy as np

from selfnorm.errors import ArgumentError
from selfnorm.theory._activations import Activation, as_form, statistics
from selfnorm.theory._dropout import affine_of, check_probability
from selfnorm.theory._numbers import scalar

_ANY = 10.0  # a layer that may shrink gradients by e^-10 may drop all units


def gradient_gain(
    p: float = 0.0,
    *,
    mean: float = 0.0,
    variance: float = 1.0,
    activation: Activation = "selu",
) -> float:
    r"""Factor on the second moment of gradients behind an activation and alpha dropout.

    For a pre-activation `z ~ N(mean, variance)`, backpropagation multiplies by `f'(z)`, and alpha
    dropout by its scale a for the share `q = 1 - p` that is kept:

        gain(p) = E f'(z)^2 * q * a^2

    For SELU at (0, 1) this is `1.0716 / (1 + 3.0909 p)`. A `SELUForm` is dropped by the map of its
    own (see `alpha_dropout_affine`), whatever else by SELU's. A layer with as many units as inputs
    and weights of sum of squares tau multiplies by tau once more.

    Args:
        p: Probability that a unit is dropped, below 1.
        mean: Mean of the pre-activation.
        variance: Variance of the pre-activation, positive.
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, `SELUForm`, or a function on NumPy
            arrays.

    Returns:
        The gain; gradients keep their size at 1.

    Raises:
        ArgumentError: If an argument is out of its range.

    Source: mean-field theory of gradients (Schoenholz et al. 2017, Deep Information Propagation,
    chi_1), with the derivative of Klambauer et al. 2017, Eq. 2.

    Example:
        >>> round(gradient_gain(), 10)
        1.0715749925
        >>> round(gradient_gain(0.5), 4)
        0.421
    """
    check_probability(p)
    if p == 1:
        msg = "p must be below 1 for gradients to pass; got p=1. Pass a fraction such as 0.05."
        raise ArgumentError(msg)
    mean, variance = scalar(mean, "mean"), scalar(variance, "variance")
    if not (math.isfinite(mean) and 0 < variance < math.inf):
        msg = f"mean must be finite and variance positive; got {mean=} and {variance=}."
        raise ArgumentError(msg)
    gain = statistics(activation, np.array([float(mean)]), np.array([float(variance)])).gain
    return float(gain[0]) * (1 - p) * affine_of(as_form(activation), p).scale ** 2


def depth_budget(
    p: float = 0.0, tolerance: float = 10.0, *, activation: Activation = "selu"
) -> float:
    r"""The most layers behind which gradients have not grown or shrunk by more than `tolerance`.

    The size of a gradient (root mean square) changes by `sqrt(gain(p))` a layer, so the budget is
    the greatest whole number n with `|n/2 * log(gain(p))| <= log(tolerance)`.

    Args:
        p: Probability that alpha dropout drops a unit.
        tolerance: The factor allowed either way; above 1.
        activation: A name (see `ACTIVATIONS`), `SELUConstants`, `SELUForm`, or a function on NumPy
            arrays; at a pre-activation of mean 0 and variance 1.

    Returns:
        A whole number, or infinity if gradients keep their size to rounding.

    Raises:
        ArgumentError: If an argument is out of its range.

    Source: `gradient_gain`.

    Example:
        >>> depth_budget(), depth_budget(0.1), depth_budget(0.5)
        (66.0, 23.0, 5.0)
    """
    tolerance = scalar(tolerance, "tolerance")
    if not 1 < tolerance < math.inf:
        msg = f"tolerance must be a finite factor above 1; got {tolerance}. 10 allows a decade."
        raise ArgumentError(msg)
    gain = gradient_gain(p, activation=activation)
    if gain == 0:
        return 0.0
    change = abs(math.log(gain)) / 2
    return float(math.floor(math.log(tolerance) / change)) if change > 1e-15 else math.inf


def dropout_budget(
    depth: float, tolerance: float = 10.0, *, activation: Activation = "selu"
) -> float:
    r"""The most alpha dropout behind every SELU layer that gradients survive.

    Over `depth` layers the size of a gradient changes by `(chi / (1 + p d^2))^(depth/2)`, which is
    at least `1/tolerance` up to

        p = (chi * tolerance^(2/depth) - 1) / d^2

    with chi and d as in `neutral_dropout`. The inverse of `depth_budget`. It is 0 where gradients
    shrink by more without dropout.

    Args:
        depth: Number of SELU layers, 1 or more.
        tolerance: The factor by which gradients may shrink; above 1.
        activation: As for `depth_budget`.

    Returns:
        A probability.

    Raises:
        ArgumentError: If an argument is out of its range.

    Source: `gradient_gain`.

    Example:
        >>> p = dropout_budget(23)
        >>> round(p, 3), depth_budget(p - 1e-6)
        (0.1, 23.0)
    """
    depth = scalar(depth, "depth")
    if not depth >= 1:
        msg = f"depth counts SELU layers and is 1 or more; got {depth}. Count them."
        raise ArgumentError(msg)
    tolerance = scalar(tolerance, "tolerance")
    if not 1 < tolerance < math.inf:
        msg = f"tolerance must be a finite factor above 1; got {tolerance}. 10 allows a decade."
        raise ArgumentError(msg)
    if 2 / depth * math.log(tolerance) > _ANY:
        return 1.0
    gain = gradient_gain(activation=activation)
    most = (gain * tolerance ** (2 / depth) - 1) / _reach(activation) ** 2
    return min(max(most, 0.0), 1.0)


def neutral_dropout(activation: Activation = "selu") -> float:
    r"""The p at which SELU with alpha dropout neither grows nor shrinks gradients.

    `gain(p) = chi / (1 + p d^2)` is 1 at `p = (chi - 1) / d^2`, with `chi = E f'(z)^2` at
    `z ~ N(0, 1)` and d the value that dropped units take, in deviations from the mean:
    `-scale * alpha` for SELU. It is one and the same for SELU and all that `shaped_selu` gives, as
    a blend t has `t^2 S^2` times SELU's `chi - 1` and `d^2`.

    Args:
        activation: As for `depth_budget`.

    Returns:
        The probability; negative where gradients shrink without dropout.

    Raises:
        ArgumentError: If the activation is none.

    Source: `gradient_gain`.

    Example:
        >>> round(neutral_dropout(), 4)
        0.0232
        >>> round(gradient_gain(neutral_dropout()), 12)
        1.0
    """
    return (gradient_gain(activation=activation) - 1) / _reach(activation) ** 2


def _reach(activation: Activation) -> float:
    """How far from the mean alpha dropout sends a unit, in deviations."""
    form = as_form(activation)
    return (form.dropped - form.shift) / math.sqrt(form.variance)
