"""What a Gaussian pre-activation becomes behind an activation, and how that varies with it."""

from typing import NamedTuple

import numpy as np

from selfnorm.theory._form import SELUForm
from selfnorm.theory._halves import exponential_by_x, halves
from selfnorm.theory._standard import STANDARD, SELUConstants
from selfnorm.theory._types import FloatArray


class Statistics(NamedTuple):
    """For `z ~ N(y, x)` and an activation f; arrays of one shape.

    Attributes:
        mean: E f.
        variance: Var f.
        mean_by_y: d mean / dy = E f'.
        mean_by_x: d mean / dx = E f'' / 2.
        variance_by_y: d variance / dy = 2 Cov(f, f').
        variance_by_x: d variance / dx = E f'^2 + Cov(f, f'').
        gain: E f'^2, the factor on the second moment of gradients.
        error: Estimated absolute error of `variance` from quadrature; 0 for a closed form.
    """

    mean: FloatArray
    variance: FloatArray
    mean_by_y: FloatArray
    mean_by_x: FloatArray
    variance_by_y: FloatArray
    variance_by_x: FloatArray
    gain: FloatArray
    error: FloatArray


def selu_statistics(constants: SELUConstants, y: FloatArray, x: FloatArray) -> Statistics:
    """`Statistics` of SELU, from the closed forms (Eq. 4, 5 and 52-57, arranged not to cancel).

    With u, d, w as in `_halves`, `f' = scale ((1 - alpha) [z > 0] + alpha w)`, and every
    covariance among u, w and [z > 0] is a product of means or `Var w`. At 0 the slope jumps by
    `scale (1 - alpha)`, which adds the density of z there to `E f''`.
    """
    alpha, scale = map(np.float64, constants)  # whose squares overflow without an exception
    h = halves(y, x)
    clipped = h.exp1 + h.above
    mean = h.up - alpha * h.down
    jump = (alpha - 1) * h.density
    gain = h.above + alpha**2 * h.exp2
    return Statistics(
        mean=scale * mean,
        variance=scale**2 * (h.up_var + alpha**2 * h.down_var + 2 * alpha * h.up * h.down),
        mean_by_y=scale * (h.above + alpha * h.exp1),
        mean_by_x=scale / 2 * (alpha * h.exp1 - jump),
        variance_by_y=2
        * scale**2
        * (
            alpha * h.up * h.down
            + alpha**2 * h.down_var
            - (alpha - 1) * (h.up * h.below + alpha * h.above * h.down)
        ),
        variance_by_x=scale**2
        * (
            h.above
            + alpha**2 * (2 * h.exp2 - h.exp1 * clipped)
            - alpha * h.up * h.exp1
            + jump * mean
        ),
        gain=scale**2 * gain,
        error=0 * y,
    )


def form_statistics(form: SELUForm, y: FloatArray, x: FloatArray) -> Statistics:
    """`Statistics` of `linear z + factor selu(z) + shift`, from those of SELU.

    By Stein's lemma `Cov(z, selu) = x E selu'`, so that the variance is a sum of positive terms,
    and `Cov(z, selu'') = x E selu''' = 2 x dE selu' / dx`.
    """
    linear, factor, shift = map(np.float64, form)
    of = selu_statistics(STANDARD, y, x)
    alpha, scale = STANDARD
    mixed = 2 * linear * factor
    slope_by_x = 0 * x  # times x
    if linear:
        density = np.exp(-(y**2) / (2 * x)) / np.sqrt(2 * np.pi * x)
        slope_by_x = scale * (alpha * exponential_by_x(y, x) - y * density / 2)
    return Statistics(
        mean=linear * y + factor * of.mean + shift,
        variance=linear**2 * x + mixed * x * of.mean_by_y + factor**2 * of.variance,
        mean_by_y=linear + factor * of.mean_by_y,
        mean_by_x=factor * of.mean_by_x,
        variance_by_y=2 * mixed * x * of.mean_by_x + factor**2 * of.variance_by_y,
        variance_by_x=linear**2
        + mixed * (of.mean_by_y + slope_by_x)
        + factor**2 * of.variance_by_x,
        gain=linear**2 + mixed * of.mean_by_y + factor**2 * of.gain,
        error=of.error,
    )
