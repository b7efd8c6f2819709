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


def singular_bound(rows: int, columns: int, dtype: torch.dtype, scale: float = 1.0) -> float:
    """A bound on |singular value - scale| of an orthogonal matrix that was stored in a dtype.

    No singular value moves by more than the Frobenius norm of the change (Weyl). Rounding changes
    each weight by at most u |w|, or by half the smallest number; so all by `u scale sqrt(k)`, with
    k = min(rows, columns). Before, Householder's QR in float64 is off by `sqrt(k) c m u64`, m the
    longer side (Higham 2002, theorem 19.4), c a small number, here 2, and so is the measurement.
    """
    finfo, double = torch.finfo(dtype), torch.finfo(torch.float64).eps / 2
    sides = sorted((rows, columns))
    relative = finfo.eps / 2 + 4 * sides[1] * double
    smallest = finfo.smallest_normal * finfo.eps / 2 * math.sqrt(rows * columns)
    return relative * scale * math.sqrt(sides[0]) + smallest
