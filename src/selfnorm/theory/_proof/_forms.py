"""Shaped SELUs in balls: every digit proved, and curves to prove theorems about."""

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from flint import arb, ctx

from selfnorm.theory._form import CertifiedForm
from selfnorm.theory._proof._balls import pieces
from selfnorm.theory._proof._constants import constants_in_balls
from selfnorm.theory._proof._exact import ball, settle, to_digits


class Curve(NamedTuple):
    """`linear * z + factor * selu(z)`, with SELU's constants, at the precision in force."""

    alpha: arb
    scale: arb
    linear: arb
    factor: arb


class Own(NamedTuple):
    """What SELU has at `z ~ N(0, 1)`: `k = 1 - E selu'`, and `E selu'^2`."""

    lacking: arb
    gain: arb


def own() -> Own:
    """`Own` at the precision in force."""
    return _own(ctx.prec)


@lru_cache(16)
def _own(_bits: int) -> Own:
    alpha, scale = constants_in_balls()
    known = pieces(arb(0), arb(1))
    half = arb(1) / 2
    return Own(
        lacking=1 - scale * (half + alpha * known.exp1),
        gain=scale * scale * (half + alpha * alpha * known.exp2),
    )


def plain() -> Curve:
    """SELU itself."""
    return _blended(Fraction(1), ctx.prec)


def blended(blend: Fraction) -> Callable[[], Curve]:
    """`S ((1 - t) z + t selu(z))`, for each precision anew."""
    return lambda: _blended(blend, ctx.prec)


@lru_cache(64)
def _blended(blend: Fraction, _bits: int) -> Curve:
    """The blend at the precision in force; remembered, as every box asks for it."""
    scale = arb(1) if blend == 1 else norm(ball(blend), own().lacking)
    return Curve(*constants_in_balls(), scale * ball(1 - blend), scale * ball(blend))


def norm(blend: arb, lacking: arb) -> arb:
    """S, which gives the blend variance 1."""
    return 1 / (1 - 2 * blend * (1 - blend) * lacking).sqrt()


def shaped(depth: int, excess: Fraction, digits: int) -> CertifiedForm:
    """`shaped_selu`, for a growth of 1 + excess."""

    def gain() -> arb:
        return (ball(1 + excess).log() / depth).expm1()

    is_selu = settle(lambda: (own().gain - 1 - gain(),), lambda value: value <= 0)[0]

    def numbers() -> tuple[arb, ...]:
        lacking, most = own()
        if is_selu:
            return arb(0), arb(1), arb(0), arb(1), arb(1), most
        c = gain()
        root = (c * (most - 1 - 2 * c * lacking + c * lacking * lacking)).sqrt()
        t = c / (c * lacking + root)
        s = norm(t, lacking)
        return s * (1 - t), s * t, arb(0), t, s, 1 + c

    return CertifiedForm(*settle(numbers, to_digits(digits)))


def offset(gain: Fraction, digits: int) -> CertifiedForm | None:
    """`selu_constants(gradient_gain=gain)`; None if SELU's own gain is less."""
    if settle(lambda: (own().gain - ball(gain),), lambda value: value < 0)[0]:
        return None

    def numbers() -> tuple[arb, ...]:
        share = ball(gain) / own().gain
        factor = share.sqrt()
        return arb(0), factor, -(1 - share).sqrt(), arb(1), factor, ball(gain)

    return CertifiedForm(*settle(numbers, to_digits(digits)))
