"""SELU and alpha dropout for JAX: arrays in, arrays out, with derivatives of every order and mode.

A rule for forward mode makes the derivative of the output `z`, within `jax.checkpoint`: so reverse
mode, which JAX gets by transposing it, keeps `z` and computes the slope when it needs it.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import Tracer
from jax.typing import ArrayLike

from selfnorm._spec import _constants
from selfnorm._spec._formats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, Format
from selfnorm._spec._philox import LEVELS, dropped_levels
from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.jax import _formula
from selfnorm.jax._philox import kept, seed_words
from selfnorm.theory._dropout import check_probability

_FORMATS: dict[np.dtype[Any], Format] = {
    jnp.dtype(kind.name): kind for kind in (FLOAT64, FLOAT32, FLOAT16, BFLOAT16)
}
_affine, _derivative = lru_cache(_constants.affine), lru_cache(_constants.derivative)
_late = partial(jax.checkpoint, prevent_cse=False)


def selu(x: ArrayLike) -> Array:
    r"""The scaled exponential linear unit.

        selu(x) = lambda * x                      for x > 0
        selu(x) = lambda * alpha * (exp(x) - 1)   otherwise

    within a unit in the last place for every normal float32, and rounded correctly in half
    precision but for a few; nan stays nan, and -0 stays -0. Numbers that are subnormal XLA takes
    for 0. The derivative is computed from the output, which is all that reverse mode keeps.

    Works under `jit`, `vmap`, `grad`, `jvp`, `scan`, `shard_map` and `checkpoint`, also in each
    other.

    Args:
        x: Any shape; float64, float32, bfloat16 or float16. Of complex numbers SELU is taken of
            real and imaginary part. Whole numbers become floats, as in `jax.nn.selu`.

    Returns:
        An array like `x`.

    Raises:
        UnsupportedError: `x` has another dtype.

    Source: Klambauer et al. 2017, Eq. 2.

    Example:
        >>> x = jax.random.normal(jax.random.key(0), (100_000,))
        >>> y = selu(x)
        >>> bool(abs(y.mean()) < 0.01), bool(abs(y.var() - 1) < 0.01)
        (True, True)
        >>> bool(abs(jax.grad(selu)(-30.0)) < 1e-6)
        True
    """
    x = _floating("selu", x, complex_too=True)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        return lax.complex(_selu_jit(x.real), _selu_jit(x.imag))
    return _selu_jit(x)


def alpha_dropout(
    key: Array | None, x: ArrayLike, p: float = 0.5, *, seed: int | Array | None = None
) -> Array:
    r"""Dropout that keeps mean 0 and variance 1: dropped units go to where SELU saturates.

        z = scale * (x if kept else -lambda * alpha) + shift

    with `scale` and `shift` of `selfnorm.theory.alpha_dropout_affine`. The mask is a function of a
    seed of 63 bits and the place of an element, and is made again in the backward pass. A key gives
    the seed; the same `seed` gives the mask of `selfnorm.alpha_dropout` for PyTorch. The
    probability is the multiple of 2**-16 nearest to `p`.

    In evaluation do not call it, or with `p=0`. Under `shard_map` each device counts the places of
    its own part: give it `jax.random.fold_in(key, jax.lax.axis_index(name))`.

    Args:
        key: One of `jax.random`'s keys, or None with a seed.
        x: Any shape; float64, float32, bfloat16 or float16; mean 0 and variance 1.
        p: Probability that an element is dropped: a number, not traced.
        seed: In place of a key: a whole number from 0 to 2**63 - 2, which may be traced.

    Returns:
        An array like `x`; with `p = 1`, zeros.

    Raises:
        ArgumentError: `p` is not a number in [0, 1], both key and seed or neither came, or the
            seed is out of its range.
        UnsupportedError: `x` has another dtype, or `key` is none.

    Source: Klambauer et al. 2017, section 2, "New Dropout Technique".

    Example:
        >>> x = jax.random.normal(jax.random.key(0), (100_000,))
        >>> z = alpha_dropout(jax.random.key(1), x, 0.2)
        >>> bool(abs(z.mean()) < 0.01), bool(abs(z.var() - 1) < 0.02)
        (True, True)
    """
    x, p = _floating("alpha_dropout", x), _probability(p)
    words = seed_words(key, seed)
    return _jitted("alpha_dropout", p)(words, x) if dropped_levels(p) else x


def selu_alpha_dropout(
    key: Array | None, x: ArrayLike, p: float = 0.5, *, seed: int | Array | None = None
) -> Array:
    r"""SELU and alpha dropout in one, which keeps its output for reverse mode and nothing else.

    The same as `alpha_dropout(key, selu(x), p)` up to rounding, with the same mask. As a dropped
    unit has exactly the value where SELU is flat, the derivative follows from the output `z`:

        dz/dx = slope if z > shift else z - floor

    with `slope = scale * lambda` and `floor = shift - slope * alpha`: 0 where a unit is dropped.

    Args:
        key: One of `jax.random`'s keys, or None with a seed.
        x: Any shape; float64, float32, bfloat16 or float16.
        p: Probability that an element is dropped: a number, not traced.
        seed: In place of a key, as in `alpha_dropout`.

    Returns:
        An array like `x`; with `p = 0`, `selu(x)`.

    Raises:
        ArgumentError: As for `alpha_dropout`.
        UnsupportedError: As for `alpha_dropout`.

    Source: Klambauer et al. 2017, Eq. 2 and section 2, "New Dropout Technique".

    Example:
        >>> x = jax.random.normal(jax.random.key(0), (100_000,))
        >>> z = selu_alpha_dropout(jax.random.key(1), x, 0.2)
        >>> bool(abs(z.mean()) < 0.01), bool(abs(z.var() - 1) < 0.02)
        (True, True)
    """
    x, p = _floating("selu_alpha_dropout", x), _probability(p)
    words = seed_words(key, seed)
    return _jitted("selu_alpha_dropout", p)(words, x) if dropped_levels(p) else _selu_jit(x)


@jax.custom_jvp
def _selu(x: Array) -> Array:
    return _formula.selu(_widen(x)).astype(x.dtype)


@_selu.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    z = _selu(*primals)
    return z, _late(partial(_times_slope, 0.0))(z, *tangents)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _selu_alpha_dropout(p: float, words: Array, x: Array) -> Array:
    scale, shift, dropped = _affine(p, _FORMATS[x.dtype])
    floor = _derivative(p, _FORMATS[_widen(x).dtype]).floor
    u = _formula.selu(_widen(x))
    z = jnp.where(u <= dropped, floor, jnp.maximum(u * scale + shift, floor))
    z = jnp.where(kept(words, x.shape, p) | jnp.isnan(u), z, floor)
    return z.astype(x.dtype)


@_selu_alpha_dropout.defjvp
def _(p: float, primals: tuple[Array, Array], tangents: tuple[Any, Array]) -> tuple[Array, Array]:
    z = _selu_alpha_dropout(p, *primals)
    return z, _late(partial(_times_slope, p))(z, tangents[1])


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _alpha_dropout(p: float, words: Array, x: Array) -> Array:
    scale, shift, dropped = _affine(p, _FORMATS[x.dtype])
    wide = _widen(x)
    kept_values = jnp.where(kept(words, x.shape, p) | jnp.isnan(wide), wide, dropped)
    return (kept_values * scale + shift).astype(x.dtype)


@_alpha_dropout.defjvp
def _(p: float, primals: tuple[Array, Array], tangents: tuple[Any, Array]) -> tuple[Array, Array]:
    words, _ = primals
    return _alpha_dropout(p, *primals), _late(partial(_kept_part, p))(words, tangents[1])


def _times_slope(p: float, z: Array, tangent: Array) -> Array:
    found = _formula.slope(_widen(z), _derivative(p, _FORMATS[z.dtype]))
    return (found * tangent).astype(z.dtype)


def _kept_part(p: float, words: Array, tangent: Array) -> Array:
    """What alpha dropout does to a change of its input: it is affine."""
    scale = _affine(p, _FORMATS[tangent.dtype]).scale
    wide = _widen(tangent)
    return jnp.where(kept(words, tangent.shape, p), wide * scale, 0.0).astype(tangent.dtype)


_selu_jit = jax.jit(_selu)
_FUNCTIONS: dict[str, Callable[[float, Array, Array], Array]] = {
    "alpha_dropout": _alpha_dropout,
    "selu_alpha_dropout": _selu_alpha_dropout,
}


@lru_cache(1024)
def _jitted(name: str, p: float) -> Callable[[Array, Array], Array]:
    """Compiled, under a name that tells an audit of the probability."""

    def call(words: Array, x: Array) -> Array:
        return _FUNCTIONS[name](p, words, x)

    call.__name__ = f"{name}(p={p!r})"
    return jax.jit(call)


def _widen(x: Array) -> Array:
    return x if x.dtype in (jnp.float32, jnp.float64) else x.astype(jnp.float32)


def _floating(name: str, x: ArrayLike, *, complex_too: bool = False) -> Array:
    """An array of one of the dtypes; whole numbers become floats."""
    array = jnp.asarray(x)
    if jnp.issubdtype(array.dtype, jnp.integer) or array.dtype == jnp.bool:
        array = array.astype(float)
    whole = jnp.issubdtype(array.dtype, jnp.complexfloating)
    if array.dtype in _FORMATS or (complex_too and whole):
        return array
    mend = (
        "Call it for x.real and x.imag, with two keys"
        if whole
        else "Convert it first, for instance with x.astype(jnp.float32)"
    )
    raise UnsupportedError(
        f"{name} takes float64, float32, bfloat16 or float16; got {array.dtype}. {mend}."
    )


def _probability(p: float) -> float:
    if isinstance(p, Tracer):
        raise ArgumentError(
            "p is a number that is known while JAX traces, as constants are computed of it; got "
            "a traced value. Name it in static_argnames, or close over it."
        )
    check_probability(p)
    p = float(p)
    return dropped_levels(p) / LEVELS if dropped_levels(p) in (0, LEVELS) else p
