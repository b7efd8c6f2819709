"""Alpha dropout's affine map, which keeps mean and variance (Klambauer et al. 2017, section 2)."""

import math
from typing import NamedTuple, overload

from selfnorm.errors import ArgumentError
from selfnorm.theory._form import SELUForm
from selfnorm.theory._numbers import scalar
from selfnorm.theory._types import FloatArray

_ENORMOUS = 1e150  # squares of what is smaller are numbers
_SELU = SELUForm()


class AlphaDropoutAffine(NamedTuple):
    """The map `scale * u + shift` that follows the dropping of units."""

    scale: float
    shift: float


def alpha_dropout_affine(
    p: float, mean: float = 0.0, variance: float = 1.0, *, dropped: float = _SELU.dropped
) -> AlphaDropoutAffine:
    r"""Scale and shift that give units back the mean and variance they had before alpha dropout.

    A unit keeps its value with probability `q = 1 - p` and is else set to `d`, where SELU
    saturates. For units of mean `mean` and variance `variance`:

        scale = sqrt(variance / (q * (p * (d - mean)**2 + variance)))
        shift = mean - scale * (q * mean + p * d)

    With `p = 1` every unit holds the same value and no map restores a variance: the result is
    `(0, mean)`, which keeps the mean.

    Args:
        p: Probability that a unit is dropped.
        mean: Mean of the units before dropout.
        variance: Variance of the units before dropout.
        dropped: The value d of a dropped unit, `-lambda * alpha` by default. For constants of
            another fixed point it is `-scale * alpha` with those; for a `SELUForm` it is its
            `dropped`, with its `shift` for the mean and its `variance`.

    Returns:
        `AlphaDropoutAffine(scale, shift)`.

    Raises:
        ArgumentError: If `p` is outside [0, 1], `variance` is not positive, or `mean` or `dropped`
            is not finite.

    Source: Klambauer et al. 2017, section 2, "New Dropout Technique".

    Example:
        >>> scale, shift = alpha_dropout_affine(0.1)
        >>> round(scale, 6), round(shift, 6)
        (0.921285, 0.161971)
        >>> dropped = SELUForm().dropped
        >>> round(0.9 * (scale * 0 + shift) + 0.1 * (scale * dropped + shift), 12)
        0.0
    """
    check_probability(p)
    mean, variance = scalar(mean, "mean"), scalar(variance, "variance")
    dropped = scalar(dropped, "dropped")
    if not 0 < variance < math.inf:
        raise ArgumentError(
            f"variance is that before dropout, positive and finite; got variance={variance}. "
            "Pass the variance of the units, 1 for a self-normalizing network."
        )
    if not (math.isfinite(mean) and math.isfinite(dropped)):
        raise ArgumentError(
            f"mean and dropped must be finite; got mean={mean}, dropped={dropped}. Pass numbers."
        )
    if not max(abs(mean), abs(dropped), math.sqrt(variance)) < _ENORMOUS:
        raise ArgumentError(
            f"mean, dropped and the deviation must be below {_ENORMOUS:g} in size; got "
            f"mean={mean}, variance={variance}, dropped={dropped}. Rescale them."
        )
    q = 1 - p
    if q == 0:
        return AlphaDropoutAffine(0.0, float(mean))
    scale = math.sqrt(variance / (q * (p * (dropped - mean) ** 2 + variance)))
    return AlphaDropoutAffine(scale, mean - scale * (q * mean + p * dropped))


def affine_of(form: SELUForm, p: float) -> AlphaDropoutAffine:
    """The affine map of a form of SELU, for what a pre-activation `N(0, 1)` becomes behind it."""
    return alpha_dropout_affine(p, form.shift, form.variance, dropped=form.dropped)


@overload
def alpha_dropout_moments(
    mean: float, variance: float, p: float, form: SELUForm = _SELU
) -> tuple[float, float]: ...
@overload
def alpha_dropout_moments(
    mean: FloatArray, variance: FloatArray, p: float, form: SELUForm = _SELU
) -> tuple[FloatArray, FloatArray]: ...
def alpha_dropout_moments(
    mean: float | FloatArray, variance: float | FloatArray, p: float, form: SELUForm = _SELU
) -> tuple[float | FloatArray, float | FloatArray]:
    r"""Mean and variance behind alpha dropout with a form's affine map, of any units.

    With the map's scale a and shift b, and d the value of dropped units:

        mean'     = a * (q * mean + p * d) + b
        variance' = a^2 * q * (variance + p * (mean - d)^2)

    Example:
        >>> mean, variance = alpha_dropout_moments(0.0, 1.0, 0.5)
        >>> round(mean, 12), round(variance, 12)
        (0.0, 1.0)
    """
    scale, shift = affine_of(form, p)
    q = 1 - p
    after = scale * (q * mean + p * form.dropped) + shift
    return after, scale**2 * q * (variance + p * (mean - form.dropped) ** 2)


def check_probability(p: float) -> None:
    """Refuse a `p` that is no probability, nan included."""
    try:
        holds = bool(0 <= p <= 1)
    except (TypeError, ValueError, RuntimeError):  # text, None, several numbers
        holds = False
    if not holds:
        raise ArgumentError(
            f"p is the probability that a unit is dropped, in [0, 1]; got p={p!r}. "
            "Pass a fraction such as 0.05; p=0 drops nothing."
        )
