"""How far the moments of a unit's weights may be off when only rounding keeps them from exact."""

import math

import torch


def unit_bounds(terms: int, dtype: torch.dtype, tau: float = 1.0) -> tuple[float, float]:
    """Bounds on |omega| and |sum of squares - tau| of `terms` centered and scaled weights.

    Each weight is off by at most u |w| when it is rounded to the dtype (u its unit roundoff), and
    by a few u64 |w| from the float64 arithmetic before: pairwise sums of `terms` numbers, a
    subtraction, two multiplications, a square root. Sum |w| <= sqrt(terms * tau) (Cauchy-Schwarz).
    """
    roundoff = torch.finfo(dtype).eps / 2
    double = torch.finfo(torch.float64).eps / 2
    relative = roundoff + (8 + math.log2(terms)) * double
    return relative * math.sqrt(terms * tau), (2 * relative + relative**2) * tau
