"""The numbers behind the operations, as functions of the dropout probability and the dtype."""

import math
from functools import lru_cache
from typing import NamedTuple

import torch

from selfnorm.theory import alpha_dropout_affine, selu_constants

ALPHA, LAMBDA = selu_constants()
LEVELS = 1 << 16


class Constants(NamedTuple):
    """`slope` of SELU and alpha dropout for x > 0; `shift` and `scale` of alpha dropout alone."""

    slope: float
    shift: float
    scale: float


@lru_cache
def constants(p: float) -> Constants:
    """The constants of the probability that is drawn, so that they fit it exactly."""
    scale, shift = alpha_dropout_affine(dropped_levels(p) / LEVELS)
    return Constants(scale * LAMBDA, shift, scale)


def dropped_levels(p: float) -> int:
    """How many of the 65536 values of 16 random bits drop a unit: `p` to the nearest 2**-16."""
    return round(p * LEVELS)


@lru_cache
def landmarks(p: float, dtype: torch.dtype) -> tuple[float, float]:
    """`shift`, and the floor `shift - slope * alpha`, as the forward pass rounds them.

    That is in float32 or wider, one rounding an operation, and then to `dtype`.
    """
    wide = torch.promote_types(dtype, torch.float32)
    slope, shift, _ = (rounded(constant, wide) for constant in constants(p))
    amplitude = rounded(slope * rounded(ALPHA, wide), wide)
    return rounded(shift, dtype), rounded(rounded(shift - amplitude, wide), dtype)


def rounded(value: float, dtype: torch.dtype) -> float:
    """The number of that dtype nearest to `value`, ties to even."""
    info = torch.finfo(dtype)
    unit = info.eps * max(2.0 ** (math.frexp(value)[1] - 1), info.tiny)
    return round(value / unit) * unit
