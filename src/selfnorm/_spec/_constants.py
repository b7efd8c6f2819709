"""The numbers behind the operations, as functions of the dropout probability and the format.

They are exact until they are rounded. Who anneals the probability pays for them at every step, so
sums and products are those of bare numerators and denominators: a `Fraction` would spend most of
its time on dividing both by what they share.
"""

import math
import struct
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from selfnorm._spec._formats import FLOAT32, Format
from selfnorm._spec._philox import LEVELS, dropped_levels
from selfnorm.theory import alpha_dropout_affine, selu_constants
from selfnorm.theory._dropout import affine_of
from selfnorm.theory._form import SELUForm

ALPHA, LAMBDA = map(Fraction, selu_constants(digits=50))
BOTTOM = ALPHA * LAMBDA
"""SELU of -inf is minus this."""
_SINGLES = struct.Struct("2f")
_Ratio = tuple[int, int]


class Affine(NamedTuple):
    """Alpha dropout in numbers of a format: `scale * (u, or dropped) + shift`."""

    scale: float
    shift: float
    dropped: float


class Derivative(NamedTuple):
    """The derivative of SELU and alpha dropout, as a function of their output z.

    It is `slope` if `z > threshold`; 0 if `z = floor`, where a saturated or dropped unit lies; else
    `z - floor + tail`, where `tail` is what the floor lost in rounding.
    """

    slope: float
    threshold: float
    floor: float
    tail: float


class Shaped(NamedTuple):
    """A form of SELU, and alpha dropout of it: `linear * x + scale * selu(x) + shift`.

    That is `dropped` where a unit is dropped, and `slope * x + shift` where x is above 0.
    """

    linear: float
    scale: float
    shift: float
    dropped: float
    slope: float


def affine(p: float, kind: Format) -> Affine:
    """The constants of the probability that is drawn, so that they fit it exactly."""
    scale, shift = alpha_dropout_affine(dropped_levels(p) / LEVELS)
    wide = kind.wide
    if wide == FLOAT32:
        scale, shift = _SINGLES.unpack(_SINGLES.pack(scale, shift))
    return Affine(scale, shift, _dropped(wide))


def derivative(p: float, kind: Format) -> Derivative:
    """For outputs of that format; the numbers themselves are float32 or wider.

    The forward pass computes in float32 or wider, rounds `scale * u + shift` once, and then rounds
    to that; so the threshold and the floor are rounded likewise.
    """
    wide = kind.wide
    scale, shift, dropped = (value.as_integer_ratio() for value in affine(p, kind))
    floor = rounded(_nearest(_plus(shift, _times(scale, dropped)), wide), kind)
    lost = _plus(floor.as_integer_ratio(), _minus(shift))
    return Derivative(
        slope=_nearest(_times(scale, LAMBDA.as_integer_ratio()), wide),
        threshold=_nearest(shift, kind),
        floor=floor,
        tail=_nearest(_plus(lost, _times(scale, BOTTOM.as_integer_ratio())), wide),
    )


def shaped(p: float, form: SELUForm, kind: Format) -> Shaped:
    """A form of SELU with the affine map of its alpha dropout multiplied out, rounded once."""
    wide = kind.wide
    found = affine_of(form, dropped_levels(p) / LEVELS)
    scale, shift = (value.as_integer_ratio() for value in found)
    linear, factor = (_times(scale, value.as_integer_ratio()) for value in form[:2])
    shift, dropped = (
        _nearest(_plus(_times(scale, value.as_integer_ratio()), shift), wide)
        for value in (form.shift, form.dropped)
    )
    return Shaped(
        linear=_nearest(linear, wide),
        scale=_nearest(factor, wide),
        shift=shift or -0.0,  # adding -0 leaves the sign of a zero alone
        dropped=dropped,
        slope=_nearest(_plus(linear, _times(factor, LAMBDA.as_integer_ratio())), wide),
    )


def rounded(value: float | Decimal | Fraction, kind: Format) -> float:
    """The number of that format nearest to `value`, ties to even."""
    return _nearest(value.as_integer_ratio(), kind)


def _nearest(value: _Ratio, kind: Format) -> float:
    """The same of a numerator and a positive denominator, which may share factors."""
    numerator, denominator = value
    size, (_, digits, lowest) = abs(numerator), kind
    place = max(size.bit_length() - denominator.bit_length() - digits, lowest)
    if place > 0:
        denominator <<= place
    else:
        size <<= -place
    whole, rest = divmod(size, denominator)
    if whole >> digits:  # one digit too many
        rest += denominator * (whole & 1)
        whole, denominator, place = whole >> 1, denominator << 1, place + 1
    rest <<= 1
    if rest > denominator or (rest == denominator and whole & 1):
        whole += 1
    return math.ldexp(whole if numerator > 0 else -whole, place)


def _plus(one: _Ratio, other: _Ratio) -> _Ratio:
    return one[0] * other[1] + other[0] * one[1], one[1] * other[1]


def _times(one: _Ratio, other: _Ratio) -> _Ratio:
    return one[0] * other[0], one[1] * other[1]


def _minus(value: _Ratio) -> _Ratio:
    return -value[0], value[1]


@cache
def _dropped(kind: Format) -> float:
    return -rounded(BOTTOM, kind)
