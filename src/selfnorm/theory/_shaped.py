"""SELU shaped for a purpose: for a depth, or for a gradient gain of 1."""

import math
from types import ModuleType
from typing import overload

from selfnorm import _extras
from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError
from selfnorm.theory._form import GAIN, SLOPE, CertifiedForm, SELUForm
from selfnorm.theory._numbers import Number, exact, shown

GROWTH = 2.0
"""How much the second moment of gradients may grow over a network's depth, if nobody says."""
_MOST_DIGITS = 5000
_DEEPEST = 10**9


@overload
def shaped_selu(depth: int, *, growth: Number = 2, digits: None = None) -> SELUForm: ...
@overload
def shaped_selu(depth: int, *, growth: Number = 2, digits: int) -> CertifiedForm: ...
def shaped_selu(
    depth: int, *, growth: Number = 2, digits: int | None = None
) -> SELUForm | CertifiedForm:
    r"""SELU with a line mixed in, for a depth: its layers multiply gradients by `growth` together.

        f(z) = S ((1 - t) z + t selu(z)),    S = (1 - 2 t (1 - t) k)^(-1/2),    k = 1 - E selu'(z)

    For `z ~ N(0, 1)` line and SELU both have mean 0 and variance 1, and by Stein's lemma the
    covariance `E selu'`; so (0, 1) is a fixed point for every blend t, and the gradient gain is

        chi(t) = E f'(z)^2 = 1 + t^2 (chi(1) - 1) S^2

    which rises from 1 to SELU's 1.0716. The blend is the t in (0, 1] with `chi(t)^depth = growth`;
    with `c = growth^(1 / depth) - 1`,

        t = c / (c k + sqrt(c (chi(1) - 1 - 2 c k + c k^2)))

    and t = 1, SELU itself, where `chi(1)^depth` is no more than `growth`.

    What chi does to gradients it does to the difference of two rows that are nearly alike, as it is
    the slope of the correlation map at 1: 300 layers of plain SELU multiply that by 10^9.

    Args:
        depth: Number of layers with this activation, 1 to 10^9.
        growth: Factor on the second moment of gradients over all of them, above 1.
        digits: If given, decimals of so many certified digits come (1 to 5000).

    Returns:
        A `SELUForm`; with `digits` a `CertifiedForm`, each number correctly rounded.

    Raises:
        ArgumentError: If an argument is out of its range.
        MissingPackageError: If `digits` are asked for and python-flint is not installed.

    Source: the blend is this library's; shaping activations for a depth is that of Martens et al.
    2021 (arXiv 2110.01765) and Zhang et al. 2022 (arXiv 2203.08120).

    Example:
        >>> form = shaped_selu(100)
        >>> round(form.blend, 4), round(form.scale, 4), round(form.gradient_gain**100, 9)
        (0.3107, 1.0032, 2.0)
        >>> shaped_selu(8)
        SELUForm(linear=0.0, factor=1.0, shift=0.0)
        >>> shaped_selu(100, digits=30).blend
        Decimal('0.310746996328803624249297896290')
    """
    if not Whole(1, _DEEPEST + 1).holds(depth):
        msg = (
            f"depth must be a whole number from 1 to 10^9; got {shown(depth)}. "
            "Count the layers with this activation."
        )
        raise ArgumentError(msg)
    excess = exact(growth, "growth") - 1
    if not float(excess) > 0:
        msg = (
            f"growth must be above 1, as no blend of SELU shrinks gradients; got {shown(growth)}. "
            "2 has trained 1,000 layers."
        )
        raise ArgumentError(msg)
    if digits is not None:
        check_digits(digits)
        return _proof().shaped(int(depth), excess, digits)
    gain = math.expm1(math.log1p(float(excess)) / int(depth))
    most, lacking = GAIN - 1, 1 - SLOPE
    if gain >= most:
        return SELUForm()
    root = math.sqrt(gain * (most - 2 * gain * lacking + gain * lacking**2))
    blend = gain / (gain * lacking + root)
    scale = (1 - 2 * blend * (1 - blend) * lacking) ** -0.5
    return SELUForm(scale * (1 - blend), scale * blend)


def form_of(depth: int | None, growth: float, *, bidirectional: bool) -> SELUForm | None:
    """The form that a layer's arguments ask for; None if that is SELU itself.

    Raises:
        ArgumentError: They are out of their range, or ask for two forms.
    """
    if depth is not None and bidirectional:
        raise ArgumentError(
            "A SELU is shaped for a depth or bidirectional, which keeps gradients at any depth; "
            f"got depth={depth} and bidirectional=True. Leave one of them out."
        )
    if bidirectional:
        return offset_selu(1)
    if depth is None or growth == math.inf:
        return None
    form = shaped_selu(depth, growth=growth)
    return form if form != SELUForm() else None


@overload
def offset_selu(gradient_gain: Number, digits: None = None) -> SELUForm: ...
@overload
def offset_selu(gradient_gain: Number, digits: int | None) -> SELUForm | CertifiedForm: ...
def offset_selu(gradient_gain: Number, digits: int | None = None) -> SELUForm | CertifiedForm:
    """`a selu + b` with `E f^2 = 1` and `E f'^2 = gradient_gain` at `z ~ N(0, 1)`, b at most 0."""
    gain = exact(gradient_gain, "gradient_gain")
    holds = gain > 0 and float(gain) <= GAIN
    certified = _proof().offset(gain, digits) if holds and digits is not None else None
    if not holds or (digits is not None and certified is None):
        msg = (
            f"gradient_gain must be above 0 and at most SELU's own, {GAIN:.10g}; got "
            f"{shown(gradient_gain)}. 1 keeps the size of gradients."
        )
        raise ArgumentError(msg)
    if certified is not None:
        return certified
    factor = math.sqrt(float(gain) / GAIN)
    # 1 - gain / GAIN; at a gain of 1 nothing cancels but what GAIN - 1 does.
    return SELUForm(0.0, factor, -math.sqrt((GAIN - float(gain)) / GAIN))


def check_digits(digits: int) -> None:
    """Refuse numbers of digits that are none."""
    if not Whole(1, below=_MOST_DIGITS + 1).holds(digits):
        msg = f"digits must be a whole number from 1 to {_MOST_DIGITS}; got {digits!r}."
        raise ArgumentError(msg)


def _proof() -> ModuleType:
    with _extras.told():
        from selfnorm.theory._proof import _forms  # noqa: PLC0415 - needs python-flint
    return _forms
