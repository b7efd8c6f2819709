"""Activations by name, and the statistics of whatever a caller names or passes."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np
from scipy.special import erf, expit, ndtr

from selfnorm.errors import ArgumentError
from selfnorm.theory._constants import SELUConstants, selu_constants
from selfnorm.theory._quadrature import quadrature_statistics
from selfnorm.theory._statistics import Statistics, selu_statistics
from selfnorm.theory._types import ArrayFunction, FloatArray

Activation = str | SELUConstants | Callable[..., object]


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


def _softplus(z: FloatArray) -> FloatArray:
    return np.logaddexp(z, 0)


_SELU_FAMILY: Mapping[str, Callable[[], SELUConstants]] = {
    "selu": selu_constants,
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
    return activation if isinstance(activation, str) else getattr(activation, "__name__", "f")


def shape_of(activation: Activation, kinks: Sequence[float] = ()) -> Shape:
    """The function behind a name, SELU's constants or a callable."""
    constants = _constants_of(activation)
    if constants is not None:
        return Shape(selu_function(constants), (0.0,))
    if isinstance(activation, str):
        return _SHAPES[activation]
    return Shape(activation, tuple(kinks))  # pyright: ignore[reportArgumentType] # checked when called


def statistics(
    activation: Activation, y: FloatArray, x: FloatArray, kinks: Sequence[float] = ()
) -> Statistics:
    """`Statistics` at `z ~ N(y, x)` for arrays of any one shape: closed form or quadrature."""
    flat_y, flat_x = np.ravel(y), np.ravel(x)
    constants = _constants_of(activation)
    if constants is not None:
        flat = selu_statistics(constants, flat_y, flat_x)
    else:
        flat = quadrature_statistics(*shape_of(activation, kinks), flat_y, flat_x)
    return Statistics(*(values.reshape(np.shape(y)) for values in flat))


def has_closed_form(activation: Activation) -> bool:
    """Whether the activation is of SELU's family, so that its integrals are cheap."""
    return _constants_of(activation) is not None


def _constants_of(activation: Activation) -> SELUConstants | None:
    """The constants of a member of SELU's family, which has closed forms; None for all others."""
    if isinstance(activation, SELUConstants):
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
