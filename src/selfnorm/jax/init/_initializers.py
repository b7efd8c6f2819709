"""Initializers with the signature of `jax.nn.initializers`, for whatever layer takes one."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.jax.init._weight import Draw, Weight, normalized

Axes = int | Sequence[int]


class Initializer(Protocol):
    """As `jax.nn.initializers.Initializer`."""

    def __call__(
        self,
        key: Array,
        shape: Sequence[int],
        dtype: DTypeLike | None = None,
        out_sharding: Any = None,
    ) -> Array:
        """A weight of that shape."""
        ...


def lecun_normal(
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: DTypeLike | None = None,
    *,
    exact: bool = False,
    fan_in: float | None = None,
) -> Initializer:
    """Normal weights of mean 0 and variance 1/fan_in.

    `jax.nn.initializers.lecun_normal` has the same variance, of a distribution that is cut at two
    deviations. With `exact=True` each unit's weights are centered and scaled to a sum of squares
    of `terms / fan_in`: `omega = 0` and, with the default fan-in, `tau = 1`, up to rounding.

    Args:
        in_axis: Axes of the inputs: -2 for a kernel `(*window, in, out)`, 1 for `(out, in,
            *window)`. What is none of these three is a window, and counts.
        out_axis: Axes of the units.
        batch_axis: Axes that count matrices: members, heads.
        dtype: Of the weights, if a call does not say; JAX's default float if None.
        exact: Center each unit and scale its squares.
        fan_in: Number of terms in one pre-activation; the weights of a unit if None.

    Returns:
        A function `(key, shape, dtype=dtype)` that gives a weight.

    Raises:
        ArgumentError: `fan_in` is not positive; at the call, axes that the shape has not or that
            are named twice, or `exact` with one weight a unit.
        UnsupportedError: At the call, a dtype that is not of real floating-point numbers.

    Source: LeCun et al. 1998, *Efficient BackProp*, Eq. 16; Klambauer et al. 2017, section 3.

    Example:
        >>> import jax
        >>> weight = lecun_normal(exact=True)(jax.random.key(0), (3, 3, 16, 64))
        >>> tau = (weight**2).sum((0, 1, 2))
        >>> bool(abs(tau - 1).max() < 1e-5)
        True
    """
    return _initializer(in_axis, out_axis, batch_axis, dtype, fan_in, Draw("normal", exact))


def lecun_orthogonal(
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: DTypeLike | None = None,
    *,
    fan_in: float | None = None,
) -> Initializer:
    """Random semi-orthogonal matrices of mean square 1/fan_in.

    With m units of n weights all singular values are `sqrt(max(m, n) / fan_in)`; so where m is not
    below n, the mean of `(W x)**2` over units is the mean of `x**2` for *every* input x.
    `jax.nn.initializers.orthogonal` leaves them at 1, with which m > n units have variance n/m, and
    counts a convolution's window apart from its inputs.

    Args:
        in_axis: Axes of the inputs; see `lecun_normal`.
        out_axis: Axes of the units.
        batch_axis: Axes that count matrices.
        dtype: Of the weights, if a call does not say; decomposed is in float32 or wider.
        fan_in: Number of terms in one pre-activation; the weights of a unit if None.

    Returns:
        A function `(key, shape, dtype=dtype)` that gives a weight.

    Raises:
        ArgumentError: As for `lecun_normal`.
        UnsupportedError: As for `lecun_normal`.

    Source: Mezzadri 2007, section 5; Saxe, McClelland, Ganguli 2014, for orthogonal starts.

    Example:
        >>> import jax
        >>> weight = lecun_orthogonal()(jax.random.key(0), (16, 48))
        >>> x = jax.numpy.arange(16.0)
        >>> bool(abs(((x @ weight) ** 2).mean() / (x**2).mean() - 1) < 1e-5)
        True
    """
    return _initializer(in_axis, out_axis, batch_axis, dtype, fan_in, Draw("orthogonal"))


def _initializer(
    in_axis: Axes,
    out_axis: Axes,
    batch_axis: Axes,
    default: DTypeLike | None,
    fan_in: float | None,
    draw: Draw,
) -> Initializer:
    if fan_in is not None and not 0 < fan_in < math.inf:
        raise ArgumentError(
            f"fan_in is the number of terms in a pre-activation, so positive; got {fan_in!r}. "
            "Leave it out to count the weights of a unit."
        )
    inputs, units, batch = (
        (axes,) if isinstance(axes, int) else tuple(axes)
        for axes in (in_axis, out_axis, batch_axis)
    )
    weight = Weight(units, batch, fan_in)

    def initialize(
        key: Array,
        shape: Sequence[int],
        dtype: DTypeLike | None = None,
        out_sharding: Any = None,  # noqa: ARG001 - in JAX's signature; jit shards what it returns
    ) -> Array:
        kind = jnp.dtype(dtype or default or jnp.result_type(float))
        if not jnp.issubdtype(kind, jnp.floating):
            raise UnsupportedError(
                f"weights are real floating-point numbers; got dtype {kind}. Give one such as "
                "jnp.float32."
            )
        _check_axes((*inputs, *units, *batch), tuple(shape))
        return weight.drawn(key, tuple(shape), kind, draw)

    return initialize


def _check_axes(axes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    known = all(-len(shape) <= axis < len(shape) for axis in axes)
    if not known or len(set(normalized(axes, max(len(shape), 1)))) < len(axes):
        raise ArgumentError(
            "a weight has an axis of inputs and one of units, each named once; got axes "
            f"{axes} of shape {shape}. Pass in_axis and out_axis."
        )
