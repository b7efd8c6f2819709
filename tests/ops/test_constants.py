"""The constants of a probability, beside the same arithmetic written down with fractions."""

import struct
from fractions import Fraction

import pytest
import torch

import selfnorm
from selfnorm._spec._constants import BOTTOM, LAMBDA
from selfnorm._spec._philox import LEVELS, dropped_levels
from selfnorm.ops import _cpu
from selfnorm.ops._constants import affine, derivative
from selfnorm.theory import alpha_dropout_affine
from support.require import require

EDGES = (0.0, 1.0, 2**-16, 1 - 2**-16, 2**-17, 1.0001 * 2**-17, 5e-324, 1e-300, 0.5)
PROBABILITIES = (*EDGES, *(k / LEVELS for k in range(3, LEVELS, 29)))


def nearest(value: Fraction | float, dtype: torch.dtype) -> Fraction:
    """Of the numbers of that dtype, which are the multiples of a unit in each binade."""
    value, info = Fraction(value), torch.finfo(dtype)
    binade = Fraction(2) ** (abs(value.numerator).bit_length() - value.denominator.bit_length())
    binade *= 1 if abs(value) >= binade else Fraction(1, 2)
    unit = Fraction(info.eps) * max(binade, Fraction(info.tiny))
    return round(value / unit) * unit


def expected(p: float, dtype: torch.dtype) -> list[float]:
    wide = torch.promote_types(dtype, torch.float32)
    given = alpha_dropout_affine(dropped_levels(p) / LEVELS)
    scale, shift, dropped = (nearest(value, wide) for value in (*given, -BOTTOM))
    floor = nearest(nearest(shift + scale * dropped, wide), dtype)
    slope, threshold = nearest(scale * LAMBDA, wide), nearest(shift, dtype)
    tail = nearest(floor - (shift - scale * BOTTOM), wide)
    return [float(v) for v in (scale, shift, dropped, slope, threshold, floor, tail)]


@pytest.mark.filterwarnings("ignore:A mask takes 16 random bits:selfnorm.errors.SelfNormWarning")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_constants_are_those_of_exact_fractions_bit_for_bit(dtype: torch.dtype) -> None:
    for p in PROBABILITIES:
        found = [*affine(p, dtype), *derivative(p, dtype)]
        assert struct.pack("7d", *found) == struct.pack("7d", *expected(p, dtype)), (p, found)


def test_a_forward_pass_does_not_pay_for_the_derivative() -> None:
    require("cpu", _cpu.why_not())
    before = derivative.cache_info().misses
    for function in (selfnorm.alpha_dropout, selfnorm.selu_alpha_dropout):
        function(torch.zeros(256), 0.123454321, True)
    assert derivative.cache_info().misses == before
