"""How far a mean square can go at worst, whatever the units of a layer are distributed like."""

import math

from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError
from selfnorm.theory._activations import Activation, as_form
from selfnorm.theory._form import SELUForm
from selfnorm.theory._numbers import scalar, shown
from selfnorm.theory._standard import STANDARD

_DEEPEST = 10**6


def worst_mean_square(
    mean_square: float = 1.0, *, depth: int = 1, activation: Activation = "selu"
) -> float:
    r"""The most that the mean square over units can become behind layers of orthogonal weights.

    A square orthogonal matrix hands the mean square x over a layer's units on as it is, for every
    sample. The pre-activations z may then have any distribution over the units with `E z^2 = x`,
    and the least upper bound of `E f(z)^2` over all of them is the least concave majorant, at x, of

        h(u) = max(f(sqrt(u))^2, f(-sqrt(u))^2)

    With `A = linear + lambda factor` and `B = lambda alpha factor`, `r = sqrt(u)` and a shift b at
    most 0, `f(-r)^2 = (linear r + B (1 - e^-r) - b)^2` is concave in u and `f(r)^2` below
    `A^2 u + b^2`, towards which it tends; so the majorant is

        f(-sqrt(x))^2                    up to the u at which its slope has fallen to A^2,
        f(-sqrt(u))^2 + A^2 (x - u)      beyond.

    Up to there equal units attain it. Beyond, a few large ones among many equal come near. No
    weights make every layer's units the worst, so over several layers the bound is a loose one.

    Args:
        mean_square: Mean square over the units before the first layer, positive.
        depth: Number of layers, 1 to 10^6.
        activation: 'selu', or a `SELUForm` with a shift of at most 0.

    Returns:
        The bound behind the last layer; infinite where float64 holds it no more.

    Raises:
        ArgumentError: If an argument is out of its range.

    Source: this library's; `docs/theory-training.md` has the proof.

    Example:
        >>> round(worst_mean_square(), 4)
        1.3463
        >>> from selfnorm.theory import shaped_selu
        >>> round(worst_mean_square(activation=shaped_selu(1000)), 4)
        1.0337
    """
    x = scalar(mean_square, "mean_square")
    if not 0 < x < math.inf:
        msg = f"mean_square must be positive and finite; got {x:g}. 1 is a normalized network's."
        raise ArgumentError(msg)
    if not Whole(1, _DEEPEST + 1).holds(depth):
        msg = f"depth must be a whole number from 1 to 10^6; got {shown(depth)}. Count the layers."
        raise ArgumentError(msg)
    form = as_form(activation)
    if not (isinstance(activation, SELUForm) or activation == "selu") or form.shift > 0:
        msg = (
            "activation must be 'selu' or a SELUForm with a shift of at most 0; got "
            f"{shown(activation)}. `shaped_selu` gives one."
        )
        raise ArgumentError(msg)
    steepest = (form.linear + STANDARD.scale * form.factor) ** 2
    bend = _bend(form, steepest)
    at_bend = _below(form, bend) ** 2
    for _ in range(depth):
        r = math.sqrt(x)
        x = _below(form, r) ** 2 if r <= bend else at_bend + steepest * (x - bend**2)
        if x == math.inf:
            break
    return x


def _below(form: SELUForm, r: float) -> float:
    """`-f(-r)`."""
    return form.linear * r + form.factor * STANDARD.saturation * math.expm1(-r) - form.shift


def _bend(form: SELUForm, steepest: float) -> float:
    """The r from which on `f(-r)^2` has less than the steepest slope in `r^2`."""

    def excess(r: float) -> float:
        slope = form.linear - form.factor * STANDARD.saturation * math.exp(-r)
        return _below(form, r) * slope - steepest * r

    low, high = 0.0, 1.0
    while excess(high) > 0:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high
