"""The numbers behind the operations, as functions of the dropout probability and the dtype."""

from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import torch

from selfnorm.theory import alpha_dropout_affine, selu_constants

ALPHA, LAMBDA = map(Fraction, selu_constants(digits=50))
BOTTOM = ALPHA * LAMBDA
"""SELU of -inf is minus this."""
LEVELS = 1 << 16


class Affine(NamedTuple):
    """Alpha dropout in numbers of a dtype: `scale * (u, or dropped) + shift`."""

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


def dropped_levels(p: float) -> int:
    """How many of the 65536 values of 16 random bits drop a unit: `p` to the nearest 2**-16."""
    return round(p * LEVELS)


@lru_cache
def affine(p: float, dtype: torch.dtype) -> Affine:
    """The constants of the probability that is drawn, so that they fit it exactly."""
    scale, shift = alpha_dropout_affine(dropped_levels(p) / LEVELS)
    wide = _wide(dtype)
    return Affine(rounded(scale, wide), rounded(shift, wide), -rounded(BOTTOM, wide))


@lru_cache
def derivative(p: float, dtype: torch.dtype) -> Derivative:
    """For outputs of that dtype; the numbers themselves are float32 or wider.

    The forward pass computes in float32 or wider, rounds `scale * u + shift` once, and then rounds
    to `dtype`; so the threshold and the floor are rounded likewise.
    """
    wide = _wide(dtype)
    scale, shift, dropped = map(Fraction, affine(p, dtype))
    floor = rounded(rounded(shift + scale * dropped, wide), dtype)
    return Derivative(
        slope=rounded(scale * LAMBDA, wide),
        threshold=rounded(shift, dtype),
        floor=floor,
        tail=rounded(Fraction(floor) - (shift - scale * BOTTOM), wide),
    )


def rounded(value: float | Decimal | Fraction, dtype: torch.dtype) -> float:
    """The number of that dtype nearest to `value`, ties to even."""
    value = Fraction(value)
    if not value:
        return 0.0
    info = torch.finfo(dtype)
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    binade = Fraction(2) ** exponent
    binade *= 1 if abs(value) >= binade else Fraction(1, 2)
    unit = Fraction(info.eps) * max(binade, Fraction(info.tiny))
    return float(round(value / unit) * unit)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
