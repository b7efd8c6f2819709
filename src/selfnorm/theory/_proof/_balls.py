"""The two halves of SELU under a Gaussian, as balls: Eq. 4 and 5 before alpha and scale."""

from typing import NamedTuple

from flint import arb


class HalfMoments(NamedTuple):
    """Moments of `u = max(z, 0)` and `d = 1 - exp(min(z, 0))` for `z ~ N(y, x)`.

    `selu(z) = scale * (u - alpha * d)` and `u * d = 0`, so these four give mean and variance.
    """

    up: arb
    down: arb
    up2: arb
    down2: arb


class Pieces(NamedTuple):
    """`below = P(z < 0)`, `exp1 = E[e^z; z < 0]`, `exp2 = E[e^2z; z < 0]`, `bump = s * density`."""

    below: arb
    exp1: arb
    exp2: arb
    bump: arb


def pieces(y: arb, x: arb) -> Pieces:
    """The four functions that all of the theory's integrals are made of, at `z ~ N(y, x)`.

    Squares are products: Arb's power goes by the logarithm and is nan on balls that hold 0.
    """
    s = x.sqrt()
    over = (2 * x).sqrt()
    return Pieces(
        below=(y / over).erfc() / 2,
        exp1=(y + x / 2).exp() * ((y + x) / over).erfc() / 2,
        exp2=(2 * (y + x)).exp() * ((y + 2 * x) / over).erfc() / 2,
        bump=s * (-(y * y) / (2 * x)).exp() / (2 * arb.pi()).sqrt(),
    )


def half_moments(y: arb, x: arb, known: Pieces | None = None) -> HalfMoments:
    """`HalfMoments` at the precision in force, from the pieces there if they are known."""
    below, exp1, exp2, bump = known or pieces(y, x)
    up = y * (1 - below) + bump
    return HalfMoments(
        up=up,
        down=below - exp1,
        up2=x * (1 - below) + y * up,
        down2=below - 2 * exp1 + exp2,
    )
