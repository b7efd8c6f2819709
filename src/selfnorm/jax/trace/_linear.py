"""Products with weights: dot_general and convolutions, as units, inputs and windows."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from selfnorm.jax.trace._node import Node


class Product(NamedTuple):
    """A weight within a primitive that multiplies with it.

    Attributes:
        weight: Units first, then inputs, then the window.
        dims: The axes of the output that count units.
        terms: Mean square of what a unit sums.
        groups: How many matrices lie below each other in the weight.
        steps: Of a transposed convolution: every how many taps reach one output, by dimension.
        padding: Share of the terms that are zeros from padding.
        kind: What to call it.
    """

    weight: Array
    dims: tuple[int, ...]
    terms: float
    groups: int = 1
    steps: tuple[int, ...] = ()
    padding: float = 0.0
    kind: str = "Linear"


def dot_product(params: dict[str, Any], left: Any, right: Any) -> Product:
    """Of `dot_general` with one operand that depends on the inputs."""
    (contract, batch) = params["dimension_numbers"]
    first = not isinstance(left, Node)
    own, others = (left, right) if first else (right, left)
    mine, rest = (0, 1) if first else (1, 0)
    contracted, batched = contract[mine], batch[mine]
    units = [d for d in range(own.ndim) if d not in (*contracted, *batched)]
    matrix = own.transpose(*batched, *units, *contracted)
    inputs = math.prod(own.shape[d] for d in contracted)
    count = len(batched)
    free = others.value.ndim - len(contract[rest]) - len(batch[rest])
    start = count if first else count + free
    dims = tuple(range(count)) + tuple(range(start, start + len(units)))
    return Product(
        matrix.reshape(-1, inputs),
        dims,
        _mean_square(others.value),
        groups=math.prod(own.shape[d] for d in batched),
    )


def convolution(params: dict[str, Any], value: Node, weight: Array) -> Product:
    """Of `conv_general_dilated` with a weight as its right side."""
    numbers, groups = params["dimension_numbers"], params["feature_group_count"]
    matrix = weight.transpose(*numbers.rhs_spec)
    squares = jnp.square(value.value.astype(jnp.promote_types(value.value.dtype, jnp.float32)))
    squares = squares.transpose(*numbers.lhs_spec).mean(1, keepdims=True)
    lhs, rhs = params["lhs_dilation"], params["rhs_dilation"]
    steps = tuple(a // math.gcd(a, b) for a, b in zip(lhs, rhs, strict=True))
    transposed = any(step > 1 for step in steps)
    taps = _mean_of_taps(matrix.shape[2:], steps, squares.dtype)

    def summed(x: Array) -> Array:
        return lax.conv_general_dilated(
            x, taps, params["window_strides"], params["padding"], lhs, rhs
        )

    filled = float(summed(jnp.ones_like(squares[:1])).mean())
    return Product(
        matrix,
        (numbers.out_spec[1],),
        float(summed(squares).mean()),
        groups,
        steps if transposed else (),
        padding=max(1 - filled, 0.0) if abs(1 - filled) > 1e-6 else 0.0,
        kind="ConvTranspose" if transposed else "Conv",
    )


def _mean_of_taps(window: tuple[int, ...], steps: tuple[int, ...], dtype: Any) -> Array:
    """A kernel of one channel: each tap by how many of them an output sums."""
    taps = np.ones((1, 1, *window))
    for axis, (size, step) in enumerate(zip(window, steps, strict=True), 2):
        counts = [len(range(k % step, size, step)) for k in range(size)]
        shape = [1] * taps.ndim
        shape[axis] = size
        taps = taps / np.reshape(counts, shape)
    return jnp.asarray(taps, dtype)


def _mean_square(value: Array) -> float:
    return float(np.mean(np.square(np.asarray(value, np.float64))))
