"""SELU's two constants for the fixed point (0, 1), on record, and what a pair of constants is."""

from decimal import Decimal
from typing import NamedTuple


class SELUConstants(NamedTuple):
    """The two parameters of SELU: `selu(x) = scale * (x if x > 0 else alpha * (exp(x) - 1))`."""

    alpha: float
    scale: float

    @property
    def saturation(self) -> float:
        """`-scale * alpha`: what SELU tends to on the left, and alpha dropout sets units to."""
        return -self.scale * self.alpha


class CertifiedConstants(NamedTuple):
    """`SELUConstants` as decimals whose every digit is proved."""

    alpha: Decimal
    scale: Decimal


DIGITS = 60
# Alpha and lambda of the fixed point (0, 1), the paper's Eq. 14, which everything starts from; so
# they are here, as `_proof` proves them digit by digit (`tests/theory/test_constants.py`).
ON_RECORD = CertifiedConstants(
    Decimal("1.673263242354377284817042991671652038461155348281216270915244834"),
    Decimal("1.050700987355480493419334985294606351958981204376404546977878388"),
)
STANDARD = SELUConstants(*map(float, ON_RECORD))
