"""Activations by name, and the statistics of whatever a caller names or passes."""

import math
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit, ndtr

from selfnorm.errors import ArgumentError
from selfnorm.theory._form import SELUForm
from selfnorm.theory._numbers import finite_array, scalar
from selfnorm.theory._quadrature import quadrature_statistics
from selfnorm.theory._standard import STANDARD, SELUConstants
from selfnorm.theory._statistics import Statistics, form_statistics, selu_statistics
from selfnorm.theory._types import ArrayFunction, FloatArray

_STEEPEST = 1e100  # so that the variance of a form is a number
_LARGEST_MEAN, _LARGEST_VARIANCE = 1e150, 1e300  # so that squares are numbers
Activation = str | SELUConstants | SELUForm | Callable[..., object]


class Shape(NamedTuple):
    """An activation as a function on arrays, and the points where its slope jumps."""

    function: ArrayFunction
    kinks: tuple[float, ...] = ()


def selu_function(constants: SELUConstants) -> ArrayFunction:
    """SELU with these constants, on arrays."""
    alpha, scale = constants

    def selu(z: FloatArray) -> FloatArray:
        return scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))

    return selu


def form_function(form: SELUForm) -> ArrayFunction:
    """A form of SELU, on arrays."""
    selu = selu_function(STANDARD)

    def function(z: FloatArray) -> FloatArray:
        return form.linear * z + form.factor * selu(z) + form.shift

    return function


def _softplus(z: FloatArray) -> FloatArray:
    return np.logaddexp(z, 0)


_SELU_FAMILY: Mapping[str, Callable[[], SELUConstants]] = {
    "selu": lambda: STANDARD,
    "elu": lambda: SELUConstants(1.0, 1.0),
    "relu": lambda: SELUConstants(0.0, 1.0),
}
_SHAPES: Mapping[str, Shape] = {
    "arctan": Shape(np.arctan),
    "erf": Shape(lambda z: np.asarray(erf(z))),
    "gelu": Shape(lambda z: z * np.asarray(ndtr(z))),
    "hardswish": Shape(lambda z: z * np.clip(z / 6 + 0.5, 0, 1), (-3.0, 3.0)),
    "hardtanh": Shape(lambda z: np.clip(z, -1, 1), (-1.0, 1.0)),
    "identity": Shape(lambda z: z),
    "leaky_relu": Shape(lambda z: np.where(z > 0, z, 0.01 * z), (0.0,)),
    "mish": Shape(lambda z: z * np.tanh(_softplus(z))),
    "sigmoid": Shape(lambda z: np.asarray(expit(z))),
    "silu": Shape(lambda z: z * np.asarray(expit(z))),
    "sin": Shape(np.sin),
    "softplus": Shape(_softplus),
    "softsign": Shape(lambda z: z / (1 + np.abs(z)), (0.0,)),
    "tanh": Shape(np.tanh),
}
ACTIVATIONS = tuple(sorted((*_SELU_FAMILY, *_SHAPES)))


def name_of(activation: Activation) -> str:
    """What to call an activation in a table."""
    if isinstance(activation, SELUConstants):
        return f"selu({activation.alpha:.6g}, {activation.scale:.6g})"
    if isinstance(activation, SELUForm):
        linear, factor, shift = activation
        return f"{linear:.6g} z + {factor:.6g} selu(z) + {shift:.6g}"
    return activation if isinstance(activation, str) else getattr(activation, "__name__", "f")


def shape_of(activation: Activation, kinks: Sequence[float] = ()) -> Shape:
    """The function behind a name, SELU's constants or a callable."""
    closed = _closed_form(activation)
    if closed is not None:
        is_form = isinstance(closed, SELUForm)
        return Shape(form_function(closed) if is_form else selu_function(closed), (0.0,))
    if isinstance(activation, str):
        return _SHAPES[activation]
    places = finite_array(kinks, "kinks")
    if places.ndim != 1:
        msg = f"kinks must be a list of numbers; got shape {places.shape}. Write kinks=[0.5]."
        raise ArgumentError(msg)
    return Shape(activation, tuple(places.tolist()))  # pyright: ignore[reportArgumentType] # checked when called


def statistics(
    activation: Activation, y: FloatArray, x: FloatArray, kinks: Sequence[float] = ()
) -> Statistics:
    """`Statistics` at `z ~ N(y, x)` for arrays of any one shape: closed form or quadrature."""
    flat_y, flat_x = np.ravel(y), np.ravel(x)
    closed = _closed_form(activation)
    _check_size(np.maximum(np.abs(flat_y) / _LARGEST_MEAN, flat_x / _LARGEST_VARIANCE) <= 1, y, x)
    if closed is not None:
        with np.errstate(all="ignore"):  # 0 / 0 and the like, in a branch that is not taken
            if isinstance(closed, SELUForm):
                flat = form_statistics(closed, flat_y, flat_x)
            else:
                flat = selu_statistics(closed, flat_y, flat_x)
    else:
        flat = quadrature_statistics(
            *shape_of(activation, kinks), flat_y, flat_x, known=isinstance(activation, str)
        )
    _check_size(np.isfinite(flat.mean) & np.isfinite(flat.variance), y, x)
    return Statistics(*(values.reshape(np.shape(y)) for values in flat))


def _check_size(holds: NDArray[np.bool_], y: FloatArray, x: FloatArray) -> None:
    """Refuse numbers whose squares would overflow; where they came from, who called knows."""
    if not np.all(holds):
        worst = int(np.argmin(holds))
        msg = (
            "Moments must stay within what float64 holds; those behind a pre-activation of mean "
            f"{np.ravel(y)[worst]:g} and variance {np.ravel(x)[worst]:g} do not. "
            "Ask for smaller means, variances or weights, or for fewer layers."
        )
        raise ArgumentError(msg)


def has_closed_form(activation: Activation) -> bool:
    """Whether the activation is of SELU's family, so that its integrals are cheap."""
    return _closed_form(activation) is not None


def as_form(activation: Activation) -> SELUForm:
    """The form that an activation is, or SELU, whose alpha dropout all others have."""
    closed = _closed_form(activation)
    return closed if isinstance(closed, SELUForm) else SELUForm()


def _closed_form(activation: Activation) -> SELUConstants | SELUForm | None:
    """A member of SELU's family, or a form of it, which has closed forms; None for all others."""
    if isinstance(activation, SELUForm):
        linear, factor, shift = (scalar(number, "A number of a form") for number in activation)
        if not (0 <= linear <= _STEEPEST and 1 / _STEEPEST <= factor <= _STEEPEST) or not (
            abs(shift) <= _STEEPEST
        ):
            msg = (
                "A form of SELU must have linear at least 0 and factor above 0, all of a size up "
                f"to {_STEEPEST:g}; got {activation}. `shaped_selu` gives one."
            )
            raise ArgumentError(msg)
        return activation
    if isinstance(activation, SELUConstants):
        if not all(math.isfinite(scalar(c, "A constant")) for c in activation):
            msg = f"SELU's constants must be finite; got {activation}. `selu_constants` gives some."
            raise ArgumentError(msg)
        return activation
    if isinstance(activation, str):
        if activation in _SELU_FAMILY:
            return _SELU_FAMILY[activation]()
        if activation not in _SHAPES:
            near = get_close_matches(activation, ACTIVATIONS, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            msg = (
                f"An activation's name must be known; got {activation!r}. {hint}"
                f"Choose among {', '.join(ACTIVATIONS)}, or pass a function on NumPy arrays."
            )
            raise ArgumentError(msg)
    elif not callable(activation):
        msg = f"An activation must be a name or a function on NumPy arrays; got {activation!r}."
        raise ArgumentError(msg)
    return None
