"""SELU in other forms: a line mixed in for depth, or an offset for a gradient gain of 1."""

import math
from typing import NamedTuple

from selfnorm.theory._constants import selu_constants

_ALPHA, _SCALE = selu_constants()
# For z ~ N(0, 1), from exp(z) restricted to z < 0.
_SLOPE = _SCALE / 2 * (1 + _ALPHA * math.exp(0.5) * math.erfc(math.sqrt(0.5)))
_GAIN = _SCALE**2 / 2 * (1 + _ALPHA**2 * math.exp(2) * math.erfc(math.sqrt(2)))


class SELUForm(NamedTuple):
    r"""An activation made of SELU: `f(z) = linear * z + factor * selu(z) + shift`.

    `SELUForm()` is SELU. `shaped_selu` mixes in a line, `selu_constants(gradient_gain=1)` adds an
    offset.

    Attributes:
        linear: Factor of the identity, at least 0.
        factor: Factor of SELU, positive.
        shift: What is added; the mean of `f(z)` for `z ~ N(0, 1)`.
    """

    linear: float = 0.0
    factor: float = 1.0
    shift: float = 0.0

    @property
    def variance(self) -> float:
        """`Var f(z)` for `z ~ N(0, 1)`; by Stein's lemma `E z selu(z) = E selu'(z)`."""
        return self.linear**2 + 2 * self.linear * self.factor * _SLOPE + self.factor**2

    @property
    def gradient_gain(self) -> float:
        """`E f'(z)^2` for `z ~ N(0, 1)`: the factor on the second moment of gradients."""
        mixed = 2 * self.linear * self.factor * _SLOPE
        return self.linear**2 + mixed + self.factor**2 * _GAIN

    @property
    def dropped(self) -> float:
        """Where alpha dropout sends a unit: SELU saturated, and the line at its mean of 0."""
        return self.shift - self.factor * _SCALE * _ALPHA
