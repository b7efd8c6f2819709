r"""Balls that certainly hold the moment map, and its derivative, on a whole box of `(y, x)`.

A ball evaluated on a box is wide, as each occurrence of y and x is taken to vary on its own. The
mean value theorem gives a second enclosure, narrow for small boxes,

    g(y, x) in g(middle) + dg/dy(box) (y - middle_y) + dg/dx(box) (x - middle_x),

and what lies in both lies in their intersection. The derivatives are Eq. 52-57 of the paper
without the factors omega and tau, which `largest_stretch` puts back. What a line mixed into SELU
adds follows from SELU's own, as by Stein's lemma `Cov(z, selu) = x E selu'`.
"""

from fractions import Fraction
from typing import NamedTuple

from flint import arb

from selfnorm.theory._domain import Range
from selfnorm.theory._proof._balls import HalfMoments, half_moments, pieces
from selfnorm.theory._proof._exact import ball, hull
from selfnorm.theory._proof._forms import Curve

Box = tuple[Range, Range]


class Slopes(NamedTuple):
    """Derivatives of mean and variance by y and x."""

    mean_by_y: arb
    mean_by_x: arb
    variance_by_y: arb
    variance_by_x: arb


class Image(NamedTuple):
    """What the map makes of a box: enclosures of mean, variance and their derivatives."""

    mean: arb
    variance: arb
    slopes: Slopes


def image(box: Box, curve: Curve) -> Image:
    """Enclose the map on a box, and its derivative."""
    of = selu_image(box, curve.alpha, curve.scale)
    return of if curve.linear == 0 else _with_line(box, of, curve)


def selu_image(box: Box, alpha: arb, scale: arb) -> Image:
    """SELU's own; the derivative with the narrower of two balls for the mean."""
    (y_low, y_high), (x_low, x_high) = box
    y, x = hull(y_low, y_high), hull(x_low, x_high)
    known = pieces(y, x)
    mean, second = _map(half_moments(y, x, known), alpha, scale)
    middle_y, middle_x = ball((y_low + y_high) / 2), ball((x_low + x_high) / 2)
    mean_there, second_there = _map(half_moments(middle_y, middle_x), alpha, scale)
    dy, dx = _centered(y_high - y_low), _centered(x_high - x_low)

    below, exp1, exp2, bump = known
    mean_by_y = scale * (alpha * exp1 + 1 - below)
    mean_by_x = scale / 2 * (alpha * exp1 - (alpha - 1) * bump / x)
    mean = mean.intersection(mean_there + mean_by_y * dy + mean_by_x * dx)
    square, saturation = scale * scale, alpha * alpha
    second_by_y = 2 * square * (saturation * (exp2 - exp1) + y * (1 - below) + bump)
    second_by_x = square * (saturation * (2 * exp2 - exp1) + 1 - below)
    slopes = Slopes(
        mean_by_y,
        mean_by_x,
        second_by_y - 2 * mean * mean_by_y,
        second_by_x - 2 * mean * mean_by_x,
    )
    variance = second - mean * mean
    var_there = second_there - mean_there * mean_there
    variance = variance.intersection(
        var_there + slopes.variance_by_y * dy + slopes.variance_by_x * dx
    )
    return Image(mean, variance, slopes)


def largest_stretch(slopes: Slopes, omega: arb, tau: arb) -> arb:
    """The largest singular value of the Jacobian by mean and variance (paper, Eq. 25)."""
    a, b = omega * slopes.mean_by_y, tau * slopes.mean_by_x
    c, d = omega * slopes.variance_by_y, tau * slopes.variance_by_x
    return (_norm(a + d, c - b) + _norm(a - d, b + c)) / 2


def slope_by_x(box: Box, alpha: arb, scale: arb) -> arb:
    """`x dE selu' / dx`."""
    y, x = hull(*box[0]), hull(*box[1])
    known = pieces(y, x)
    return scale / 2 * (alpha * (x * known.exp1 - known.bump) + (alpha - 1) * y * known.bump / x)


def _with_line(box: Box, of: Image, curve: Curve) -> Image:
    """The image under `linear z + factor selu(z)`, given SELU's; the mean value theorem again."""
    (y_low, y_high), (x_low, x_high) = box
    y, x = (y_low + y_high) / 2, (x_low + x_high) / 2
    there = selu_image(((y, y), (x, x)), curve.alpha, curve.scale)
    wide_x = hull(x_low, x_high)
    mean, variance = _mixed(hull(y_low, y_high), wide_x, of, curve)
    mean_there, var_there = _mixed(ball(y), ball(x), there, curve)
    linear, factor = curve.linear, curve.factor
    mixed, square = 2 * linear * factor, factor * factor
    rise = slope_by_x(box, curve.alpha, curve.scale)
    slopes = Slopes(
        linear + factor * of.slopes.mean_by_y,
        factor * of.slopes.mean_by_x,
        2 * mixed * wide_x * of.slopes.mean_by_x + square * of.slopes.variance_by_y,
        linear * linear + mixed * (of.slopes.mean_by_y + rise) + square * of.slopes.variance_by_x,
    )
    dy, dx = _centered(y_high - y_low), _centered(x_high - x_low)
    return Image(
        mean.intersection(mean_there + slopes.mean_by_y * dy + slopes.mean_by_x * dx),
        variance.intersection(var_there + slopes.variance_by_y * dy + slopes.variance_by_x * dx),
        slopes,
    )


def _mixed(y: arb, x: arb, of: Image, curve: Curve) -> tuple[arb, arb]:
    """Mean and variance with the line, from SELU's."""
    linear, factor = curve.linear, curve.factor
    mixed = 2 * linear * factor * x * of.slopes.mean_by_y
    return (
        linear * y + factor * of.mean,
        linear * linear * x + mixed + factor * factor * of.variance,
    )


def _map(half: HalfMoments, alpha: arb, scale: arb) -> tuple[arb, arb]:
    """Mean and second moment (Eq. 4, 5)."""
    mean = scale * (half.up - alpha * half.down)
    return mean, scale * scale * (half.up2 + alpha * alpha * half.down2)


def _centered(width: Fraction) -> arb:
    return hull(-width / 2, width / 2)


def _norm(one: arb, other: arb) -> arb:
    """`sqrt(one^2 + other^2)`; a ball times itself may reach below 0, but no square does."""
    return (one * one + other * other).nonnegative_part().sqrt()
