"""SELU in other forms: a line mixed in for depth, or an offset for a gradient gain of 1."""

import math
from decimal import Decimal
from typing import NamedTuple

from selfnorm.theory._standard import STANDARD

_ALPHA, _SCALE = STANDARD
# For z ~ N(0, 1): `exp_k = E[exp(k z); z < 0]` and the density of z at 0, which is `E max(z, 0)`.
_EXP1 = math.exp(0.5) * math.erfc(math.sqrt(0.5)) / 2
_EXP2 = math.exp(2) * math.erfc(math.sqrt(2)) / 2
_DENSITY = 1 / math.sqrt(2 * math.pi)
SLOPE = _SCALE * (0.5 + _ALPHA * _EXP1)  # E selu', and by Stein's lemma E z selu
GAIN = _SCALE**2 * (0.5 + _ALPHA**2 * _EXP2)  # E selu'^2
# Derivatives by the variance of z: of E selu, of E selu', of E selu^2 (Eq. 54 and 56 at (0, 1)).
_MEAN_BY_X = _SCALE / 2 * (_ALPHA * _EXP1 - (_ALPHA - 1) * _DENSITY)
_SLOPE_BY_X = _SCALE / 2 * _ALPHA * (_EXP1 - _DENSITY)
_SQUARE_BY_X = _SCALE**2 * (0.5 - _ALPHA**2 * (_EXP1 - 2 * _EXP2))


class SELUForm(NamedTuple):
    r"""An activation made of SELU: `f(z) = linear * z + factor * selu(z) + shift`.

    `SELUForm()` is SELU. `shaped_selu` mixes in a line, `selu_constants(gradient_gain=1)` adds an
    offset. On arrays, `f` is whatever takes an activation: `moments(activation=form)`.

    Attributes:
        linear: Factor of the identity, at least 0.
        factor: Factor of SELU, positive.
        shift: What is added; the mean of `f(z)` for `z ~ N(0, 1)`.

    Example:
        >>> form = SELUForm(linear=0.5, factor=0.5)
        >>> round(form.variance, 4), round(form.gradient_gain, 4), form.blend
        (0.9926, 1.0105, 0.5)
    """

    linear: float = 0.0
    factor: float = 1.0
    shift: float = 0.0

    @property
    def blend(self) -> float:
        """The share t of SELU in `scale * ((1 - t) z + t selu(z)) + shift`."""
        return self.factor / self.scale

    @property
    def scale(self) -> float:
        """`linear + factor`: what stands before the blend of line and SELU."""
        return self.linear + self.factor

    @property
    def variance(self) -> float:
        """`Var f(z)` for `z ~ N(0, 1)`; by Stein's lemma `E z selu(z) = E selu'(z)`."""
        return self.linear**2 + 2 * self.linear * self.factor * SLOPE + self.factor**2

    @property
    def gradient_gain(self) -> float:
        """`E f'(z)^2` for `z ~ N(0, 1)`: the factor on the second moment of gradients."""
        mixed = 2 * self.linear * self.factor * SLOPE
        return self.linear**2 + mixed + self.factor**2 * GAIN

    @property
    def variance_slope(self) -> float:
        """`d E f(z)^2 / dx` for `z ~ N(0, x)` at 1: the share left of an error of the mean square.

        Without a shift the mean square is the variance, and this the Jacobian's eigenvalue.
        """
        mixed = 2 * self.linear * self.factor * (SLOPE + _SLOPE_BY_X)
        moved = 2 * self.shift * self.factor * _MEAN_BY_X
        return self.linear**2 + mixed + self.factor**2 * _SQUARE_BY_X + moved

    @property
    def stretch(self) -> float:
        """The largest singular value of the Jacobian of mean and mean square, for `z ~ N(0, x)`.

        Without a shift it is that of `jacobian` at (0, 1), for weights of sum 0.
        """
        return math.hypot(self.variance_slope, self.factor * _MEAN_BY_X)

    @property
    def largest_slope(self) -> float:
        """The greatest `f'(z)`, left of 0: f stretches no distance by more."""
        return self.linear - self.factor * STANDARD.saturation

    @property
    def dropped(self) -> float:
        """Where alpha dropout sends a unit: SELU saturated, and the line at its mean of 0."""
        return self.shift + self.factor * STANDARD.saturation


class CertifiedForm(NamedTuple):
    """A `SELUForm` as decimals whose every digit is proved.

    Attributes:
        linear: Factor of the identity.
        factor: Factor of SELU.
        shift: What is added.
        blend: The share t of SELU.
        scale: What stands before the blend.
        gradient_gain: `E f'(z)^2` for `z ~ N(0, 1)`.
    """

    linear: Decimal
    factor: Decimal
    shift: Decimal
    blend: Decimal
    scale: Decimal
    gradient_gain: Decimal
