"""SELU's two constants, from the fixed-point equations (Klambauer et al. 2017, Eq. 14)."""

from functools import cache
from typing import NamedTuple

from flint import arb, ctx


class SELUConstants(NamedTuple):
    """The two parameters of SELU: `selu(x) = scale * (x if x > 0 else alpha * (exp(x) - 1))`."""

    alpha: float
    scale: float


@cache
def selu_constants() -> SELUConstants:
    r"""Alpha and scale for which mean 0 and variance 1 are a fixed point of the moment map.

    Closed form, with `c1 = erfc(1/sqrt(2)) * sqrt(e)` and `c2 = erfc(sqrt(2)) * e**2`:

        alpha = sqrt(2/pi) / (1 - c1)
        scale = (1 - c1) * sqrt(2*pi) / sqrt(2*c2 + pi*c1**2 - 2*(2 + pi)*c1 + pi + 2)

    Returns:
        `SELUConstants(alpha, scale)`, correctly rounded to float64.

    Source: Klambauer et al. 2017, Eq. 14; `scale` is the paper's lambda.

    Example:
        >>> selu_constants()
        SELUConstants(alpha=1.6732632423543772, scale=1.0507009873554805)
    """
    with ctx.workprec(128):
        pi = arb.pi()
        c1 = (1 / arb(2).sqrt()).erfc() * (arb(1) / 2).exp()
        c2 = arb(2).sqrt().erfc() * arb(2).exp()
        alpha = (2 / pi).sqrt() / (1 - c1)
        root = (2 * c2 + pi * c1**2 - 2 * (2 + pi) * c1 + pi + 2).sqrt()
        scale = (1 - c1) * (2 * pi).sqrt() / root
        return SELUConstants(float(alpha), float(scale))
