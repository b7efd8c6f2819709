"""Every tolerance of the tests, each with its reason."""

import math

import torch

# One rounding each for expm1 (below one ulp), the product of the constants and the last product.
SELU_ULPS = {torch.float64: 2.0, torch.float32: 2.0}
# Half precision rounds once; torch's own kernel is the yardstick, and may be doubled.
RIVAL_FACTOR = 2.0
# Two implementations, or two orders of the same few operations on values of size up to 2**3.
SAME_UP_TO_ROUNDING = {
    dtype: 16 * torch.finfo(dtype).eps for dtype in (torch.float64, torch.float32)
}
SAME_UP_TO_ROUNDING |= {
    dtype: 4 * torch.finfo(dtype).eps for dtype in (torch.bfloat16, torch.float16)
}
# A statistic of a fixed seed lies this many of its standard errors from its mean in 1 of 16,000.
STANDARD_ERRORS = 4.0


def mean_bound(variance: float, count: int) -> float:
    """How far the mean of `count` draws may be from the truth."""
    return STANDARD_ERRORS * math.sqrt(variance / count)


def variance_bound(variance: float, fourth_moment: float, count: int) -> float:
    """How far the sample variance of `count` draws may be from the truth."""
    return STANDARD_ERRORS * math.sqrt((fourth_moment - variance**2) / count)


def share_bound(p: float, count: int) -> float:
    """How far the share of events of probability `p` among `count` may be from it."""
    return mean_bound(p * (1 - p), count)
