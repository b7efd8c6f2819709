"""The values of a function that takes arrays of one shape, at the places that tell what it is."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array

from selfnorm.recording._curve import PLACES, Curve, curve_through
from selfnorm.recording._quiet import quiet


@quiet
def curve_of(function: Callable[[Array], Array], like: Array) -> Curve:
    """What a function does that takes arrays of that shape and dtype."""
    places = PLACES
    if jnp.dtype(like.dtype) == jnp.float16:
        places = places[abs(places) < 6e4 / 8]
    values = np.asarray(_filled(function, places, like), np.float64)
    return curve_through(places.astype(np.float64), values)


def _filled(function: Callable[[Array], Array], grid: np.ndarray, like: Array) -> np.ndarray:
    """The values at the places of a grid, by arrays of the shape that the function takes."""
    size = max(like.size, 1)
    found: list[np.ndarray] = []
    for start in range(0, len(grid), size):
        part = grid[start : start + size]
        full = np.resize(part, like.shape).astype(like.dtype)
        found.append(np.asarray(function(jnp.asarray(full)), np.float64).ravel()[: len(part)])
    return np.concatenate(found)
