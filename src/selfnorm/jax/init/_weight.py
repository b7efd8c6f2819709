"""What one parameter starts from: the matrices of a weight, or a constant."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from selfnorm.errors import ArgumentError

Distribution = Literal["normal", "orthogonal"]


@dataclass(frozen=True)
class Draw:
    """How weights are drawn."""

    distribution: Distribution = "normal"
    exact: bool = False

    def __post_init__(self) -> None:
        if self.distribution not in ("normal", "orthogonal"):
            raise ArgumentError(
                f"distribution is 'normal' or 'orthogonal'; got {self.distribution!r}. Choose one."
            )
        if self.exact and self.distribution == "orthogonal":
            raise ArgumentError(
                "exact=True centers and scales each unit by itself; got distribution="
                "'orthogonal', whose units would not be orthogonal then. Leave one of the two out."
            )


@dataclass(frozen=True)
class Weight:
    """A parameter that is drawn.

    Args:
        units: Its axes that count units; the others, but for `batch`, are a unit's weights.
        batch: Axes that count matrices.
        fan_in: Number of terms in a pre-activation; None for as many as a unit has weights.
        blocks: How many matrices lie below each other along the first axis of units: gates, groups.
        steps: Of a transposed convolution: (axis, every how many taps reach one output).
        multiplies: Whether inputs are multiplied with it; rows of an embedding are looked up.
    """

    units: tuple[int, ...]
    batch: tuple[int, ...] = ()
    fan_in: float | None = None
    blocks: int = 1
    steps: tuple[tuple[int, int], ...] = ()
    multiplies: bool = True

    def value(self, key: Array, like: Array, draw: Draw) -> Array:
        """Drawn anew, of that shape and dtype."""
        return self.drawn(key, like.shape, like.dtype, draw)

    @partial(jax.jit, static_argnums=(0, 2, 3, 4))
    def drawn(self, key: Array, shape: tuple[int, ...], dtype: jnp.dtype, draw: Draw) -> Array:
        """Weights of a shape and dtype; compiled once for all layers that are alike."""
        if not self.multiplies:
            draw = replace(draw, distribution="normal")
        found = jnp.zeros(shape, jnp.promote_types(dtype, jnp.float32))
        for number, place in enumerate(self._phases(len(shape))):
            part = self._matrices(jax.random.fold_in(key, number), found[place], draw)
            found = found.at[place].set(part) if self.steps else part
        return found.astype(dtype)

    def _phases(self, ndim: int) -> Iterator[tuple[slice, ...]]:
        """The whole, or of a transposed convolution the taps that reach one output together."""
        steps = dict(self.steps)
        starts = [range(steps.get(axis, 1)) for axis in range(ndim)]
        for phase in itertools.product(*starts):
            yield tuple(slice(start, None, steps.get(axis, 1)) for axis, start in enumerate(phase))

    def _matrices(self, key: Array, part: Array, draw: Draw) -> Array:
        batch, units = (normalized(axes, part.ndim) for axes in (self.batch, self.units))
        terms = [axis for axis in range(part.ndim) if axis not in (*batch, *units)]
        order = (*batch, *units, *terms)
        sizes = [math.prod(part.shape[axis] for axis in axes) for axes in (batch, units, terms)]
        count, rows, columns = sizes
        if not part.size:
            return part
        shape = (count * self.blocks, rows // self.blocks, columns)
        values = standard(key, shape, part.dtype, draw) * (self.fan_in or columns) ** -0.5
        moved = values.reshape([part.shape[axis] for axis in order])
        return jnp.moveaxis(moved, range(part.ndim), order)


@dataclass(frozen=True)
class Constant:
    """A parameter that starts from one value."""

    number: float = 0.0

    def value(self, key: Array, like: Array, draw: Draw) -> Array:  # noqa: ARG002 - as `Weight`'s
        """That value everywhere."""
        return jnp.full_like(like, self.number)


Entry = Weight | Constant


def standard(key: Array, shape: tuple[int, int, int], dtype: jnp.dtype, draw: Draw) -> Array:
    """Matrices of mean square 1: independent numbers, centered and scaled ones, or orthogonal."""
    values = jax.random.normal(key, shape, dtype)
    if draw.distribution == "orthogonal":
        return _orthogonal(values) * math.sqrt(max(shape[1:]))
    if not draw.exact:
        return values
    if shape[2] == 1:
        raise ArgumentError(
            "exact=True gives each unit's weights mean 0 and sum of squares 1, for which it needs "
            f"two or more; a weight of {shape[1]} units has one a unit. Leave exact out."
        )
    values -= values.mean(-1, keepdims=True)
    values *= jax.lax.rsqrt((values * values).mean(-1, keepdims=True))
    # Where a unit's draws are nearly equal, scaling magnifies the rounding of the centering.
    return values - values.mean(-1, keepdims=True)


def normalized(axes: Sequence[int], ndim: int) -> tuple[int, ...]:
    """Axes counted from the front."""
    return tuple(axis % ndim for axis in axes)


def _orthogonal(normal: Array) -> Array:
    """Haar's, by QR with a positive diagonal, as in `selfnorm.init`."""
    wide = normal.shape[-2] < normal.shape[-1]
    q, r = jnp.linalg.qr(normal.mT if wide else normal)
    signs = jnp.where(jnp.diagonal(r, axis1=-2, axis2=-1) < 0, -1.0, 1.0).astype(q.dtype)
    q = q * signs[..., None, :]
    return q.mT if wide else q
