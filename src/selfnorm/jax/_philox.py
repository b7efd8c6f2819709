"""Philox4x32-7 in JAX: the bits that torch's kernels draw of the same seed, half by half.

`ops._random.draw_halves` has the order of the elements.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from selfnorm._spec._philox import (
    BLOCK,
    COUNTERS,
    KEY_STEPS,
    MULTIPLIERS,
    ROUNDS,
    SEEDS,
    cut,
    dropped_levels,
)
from selfnorm.errors import ArgumentError, UnsupportedError


def seed_words(key: Array | None, seed: int | Array | None) -> Array:
    """The two words of a seed, low one first: uint32, shape `(2,)`, drawn by a key or given."""
    if (key is None) == (seed is None):
        raise ArgumentError(
            "a mask comes of one key or one seed; got "
            + ("neither" if key is None else "both")
            + ". Pass jax.random.key(0), or key=None and seed=0."
        )
    if key is not None:
        return jax.random.bits(_key(key), (2,), jnp.uint32)
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        if not 0 <= seed < SEEDS:
            raise ArgumentError(f"a seed is from 0 to 2**63 - 2; got {seed}. Take it modulo that.")
        return jnp.asarray([seed & 0xFFFFFFFF, int(seed) >> 32], jnp.uint32)
    return _words(seed)


def kept(words: Array, shape: Sequence[int], p: float) -> Array:
    """Which elements stay: bool. An element goes where its half word is among the lowest."""
    count = int(np.prod(shape, dtype=np.int64))
    return (halves(words, count) > cut(dropped_levels(p))).reshape(shape)


def halves(words: Array, count: int) -> Array:
    """Draw `count` half words: int16.

    All four words of a counter are drawn at each of their four places, and one is taken: XLA would
    do so for concatenated ones too, but one number at a time instead of in vector registers.
    """
    shape = (-(-count // BLOCK), 4, COUNTERS)
    block, which, counter = (lax.broadcasted_iota(jnp.uint32, shape, d) for d in range(3))
    x = _rounds(words, block * COUNTERS + counter)
    drawn = jnp.where(
        which < 2, jnp.where(which == 0, x[0], x[1]), jnp.where(which == 2, x[2], x[3])
    )
    return lax.bitcast_convert_type(drawn, jnp.int16).reshape(-1)[:count]


def _rounds(words: Array, counters: Array) -> tuple[Array, Array, Array, Array]:
    """The four words of each counter, which is word 0 of the input."""
    zero = jnp.zeros_like(counters)
    first, second = (jnp.full_like(counters, m) for m in MULTIPLIERS)
    keys, steps = words, jnp.asarray(KEY_STEPS, jnp.uint32)
    x = (counters, zero, zero, zero)
    for _ in range(ROUNDS):
        x = (
            _high(x[2], second) ^ x[1] ^ keys[0],
            x[2] * second,
            _high(x[0], first) ^ x[3] ^ keys[1],
            x[0] * first,
        )
        keys = keys + steps
    return x


def _high(x: Array, y: Array) -> Array:
    """The upper 32 bits of products, made of products of halves.

    JAX 0.10 cannot split `lax.mulhi` over devices ("Unable to convert MHLO to StableHLO"), and on a
    CPU it is no quicker.
    """
    half = jnp.uint32(0xFFFF)
    (low, high), (other_low, other_high) = ((z & half, z >> 16) for z in (x, y))
    middle = high * other_low + (low * other_low >> 16)
    carried = (low * other_high + (middle & half)) >> 16
    return high * other_high + (middle >> 16) + carried


def _key(key: Array) -> Array:
    dtype = getattr(key, "dtype", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    raw = dtype == jnp.uint32 and key.ndim == 1
    if not (raw or (typed and key.ndim == 0)):
        came = f"{dtype} of shape {key.shape}" if dtype is not None else repr(key)
        raise UnsupportedError(
            f"a key is one of jax.random's; got {came}. jax.random.key(0) makes one; for several "
            "use jax.vmap."
        )
    return key


def _words(seed: object) -> Array:
    """Of an array without dimensions, which may be traced."""
    if isinstance(seed, Array | np.ndarray) and jnp.issubdtype(seed.dtype, jnp.integer):
        seed = jnp.asarray(seed)
        if seed.ndim == 0:
            wide = seed.dtype.itemsize == 8
            high = (seed >> 32).astype(jnp.uint32) if wide else jnp.uint32(0)
            return jnp.stack((seed.astype(jnp.uint32), high))
    came = f"{seed.dtype} of shape {seed.shape}" if isinstance(seed, Array) else repr(seed)
    raise UnsupportedError(
        f"a seed is one whole number; got {came}. Pass seed=0, or for several use jax.vmap."
    )
