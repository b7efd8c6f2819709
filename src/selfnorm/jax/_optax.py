"""Weights kept orthogonal after each step of any optax optimizer."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError

Mask = Callable[[str, Array], bool]
_FIRST = ("weight", "weight_ih", "weight_hh")
_FAR, _MOST, _FOUND, _POWER = 0.8, 60, 0.85, 4  # as in `selfnorm.optim`


class KeptState(NamedTuple):
    """The state of `keep_orthogonal`.

    Attributes:
        steps: How many there were.
    """

    steps: Array


def keep_orthogonal(
    mask: Mask | None = None, *, tolerance: float = 0.02, every: int = 1
) -> optax.GradientTransformation:
    r"""Keep weights orthogonal while an optimizer trains them: the last of an `optax.chain`.

    With singular values s, each matrix A of a layer (units x inputs, at LeCun's scale: `s**2 =
    max(units, inputs) / fan_in`) is brought back after a step by

        A <- A - A (A^T A / s**2 - I) / 2

    until `|A^T A / s**2 - I|`, the spectral norm, is within `tolerance`: once, after a usual step.
    At the first step weights of any kind become orthogonal ones, so LeCun-normal ones need nothing
    more. What it hands on is the update that leads there, so it works under `jit`, `vmap` and
    `scan`, and what stands behind it in a chain would break it.

    Weights are leaves of two dimensions or more: `(units, inputs, *window)` if their name is
    `weight`, as in Equinox, and else `(*window, inputs, units)`.

    Args:
        mask: `mask(name, array)`, whether to keep a leaf; names are as in `layers.0.weight`. None
            keeps every weight but those of embeddings. A network's last layer is better left out,
            as its size is the network's to learn.
        tolerance: How far the squares of singular values, relative to `s**2`, may be from 1.
        every: Correct after so many steps.

    Returns:
        A transformation; its `update` needs the parameters.

    Raises:
        ArgumentError: `tolerance` is not in (0, .5], or `every` is no whole number from 1; at
            `init`, nothing is kept; at `update`, no parameters came.

    Source: Björck and Bowie 1971, *An iterative algorithm for computing the best estimate of an
    orthogonal matrix*; Saxe et al. 2014 and Pennington et al. 2017, for what orthogonal weights do.

    Example:
        >>> params = {"kernel": jax.random.normal(jax.random.key(0), (8, 16))}
        >>> optimizer = optax.chain(optax.adam(0.01), keep_orthogonal())
        >>> state = optimizer.init(params)
        >>> grads = {"kernel": jnp.ones((8, 16))}
        >>> updates, state = optimizer.update(grads, state, params)
        >>> kernel = optax.apply_updates(params, updates)["kernel"]
        >>> bool(abs(kernel @ kernel.T / 2 - jnp.eye(8)).max() < 0.02)
        True
    """
    if not 0 < tolerance <= 0.5:
        raise ArgumentError(
            "tolerance is how far squares of singular values may be from 1, above 0 and at most "
            f".5; got {tolerance!r}. Leave it out for .02."
        )
    if not Whole(1).holds(every):
        raise ArgumentError(f"every is a whole number of steps from 1; got {every!r}. Choose one.")

    def init(params: Any) -> KeptState:
        if not any(_is_kept(path, leaf, mask) for path, leaf in _leaves(params)):
            names = ", ".join(_name(path) for path, _ in _leaves(params)) or "none"
            raise ArgumentError(
                f"keep_orthogonal keeps weights of two dimensions or more; of {names} nothing is "
                "left. Let the mask say True for some."
            )
        return KeptState(jnp.zeros((), jnp.int32))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise ArgumentError(
                "keep_orthogonal corrects what weights become, and needs them; got no parameters. "
                "Call optimizer.update(grads, state, params)."
            )
        now = state.steps % every == 0
        leaves, tree = jax.tree_util.tree_flatten_with_path(params)
        changes = tree.flatten_up_to(updates)
        kept = [
            i
            for i, (path, held) in enumerate(leaves)
            if changes[i] is not None and _is_kept(path, held, mask)
        ]
        first = {i: _name(leaves[i][0]).rpartition(".")[2] in _FIRST for i in kept}

        def corrected() -> list[Array]:
            moved = [_matrix(leaves[i][1] + changes[i], units_first=first[i]) for i in kept]
            return [
                _as_weight(matrix, leaves[i][1], units_first=first[i]) - leaves[i][1]
                for i, matrix in zip(kept, _all_corrected(moved, tolerance), strict=True)
            ]

        found = lax.cond(now, corrected, lambda: [changes[i] for i in kept])
        for i, change in zip(kept, found, strict=True):
            changes[i] = change
        return tree.unflatten(changes), KeptState(state.steps + 1)

    return optax.GradientTransformation(init, update)


def _leaves(params: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_leaves_with_path(params)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")


def _is_kept(path: Any, leaf: Any, mask: Mask | None) -> bool:
    name = _name(path)
    if getattr(leaf, "ndim", 0) < 2 or not jnp.issubdtype(leaf.dtype, jnp.floating):
        return False
    return "embed" not in name.lower() if mask is None else bool(mask(name, leaf))


def _matrix(weight: Array, *, units_first: bool) -> Array:
    """A unit a row, in float32 or wider."""
    wide = weight.astype(jnp.promote_types(weight.dtype, jnp.float32))
    moved = wide if units_first else jnp.moveaxis(wide, -1, 0)
    return moved.reshape(len(moved), -1)


def _as_weight(matrix: Array, like: Array, *, units_first: bool) -> Array:
    """The matrix in the shape and dtype of its weight."""
    if units_first:
        return matrix.reshape(like.shape).astype(like.dtype)
    moved = matrix.reshape(-1, *like.shape[:-1])
    return jnp.moveaxis(moved, 0, -1).astype(like.dtype)


def _all_corrected(matrices: list[Array], tolerance: float) -> list[Array]:
    """Matrices of one shape together, so that a deep network compiles as fast as a flat one."""
    places: dict[tuple[int, ...], list[int]] = {}
    for place, matrix in enumerate(matrices):
        places.setdefault((*matrix.shape, matrix.dtype.itemsize), []).append(place)
    found = list(matrices)
    for group in places.values():
        stack = _corrected(jnp.stack([matrices[place] for place in group]), tolerance)
        for place, matrix in zip(group, stack, strict=True):
            found[place] = matrix
    return found


def _corrected(stack: Array, tolerance: float) -> Array:
    """Matrices with Gram errors within the tolerance, in no more iterations than that takes."""
    _, units, inputs = stack.shape
    scale = math.sqrt(max(units, inputs) / inputs)
    low = units <= inputs
    a = (stack if low else stack.mT) / scale
    eye = jnp.eye(a.shape[1], dtype=a.dtype)

    def sized(a: Array) -> tuple[Array, Array, Array]:
        error = a @ a.mT - eye
        largest = jnp.argmax(jnp.linalg.norm(error, axis=2), axis=1)
        v = jnp.take_along_axis(error, largest[:, None, None], axis=2)
        for _ in range(_POWER):
            v = error @ (v / jnp.maximum(jnp.linalg.norm(v, axis=1, keepdims=True), 1e-30))
        return a, error, jnp.linalg.norm(v, axis=1, keepdims=True) / _FOUND

    def step(held: tuple[Any, Array]) -> tuple[Any, Array]:
        (a, error, far), count = held
        # From far away it is first shrunk into where the iteration converges.
        shrunk = jnp.where(far >= _FAR, 1 / jnp.sqrt(1 + far), 1.0)
        error = error * shrunk**2 + (shrunk**2 - 1) * eye
        a = a * shrunk
        return sized(a - 0.5 * (error @ a)), count + 1

    def goes_on(held: tuple[Any, Array]) -> Array:
        (_, _, far), count = held
        return (count < 1) | ((far.max() > tolerance) & (count < _MOST))

    (a, _, _), _ = lax.while_loop(goes_on, step, (sized(a), jnp.zeros((), jnp.int32)))
    return (a if low else a.mT) * scale
