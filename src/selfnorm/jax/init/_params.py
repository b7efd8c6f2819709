"""Parameters of Flax Linen and Haiku: dictionaries, where names tell what a parameter is."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from jax import numpy as jnp

from selfnorm.jax.init._weight import Constant, Entry, Weight

Value = Callable[[str, Entry, Any], Any]
_KERNELS = {"kernel", "w"}
_CONSTANTS = {"bias": 0.0, "b": 0.0, "offset": 0.0, "scale": 1.0, "mean": 0.0, "var": 1.0}
# Their kernels have other axes of units, or other sums, than the shape tells.
_OTHERS = ("transpose", "densegeneral", "multihead", "attention", "lstm", "gru", "einsum", "cell")


def mended(tree: Mapping[str, Any], value: Value) -> tuple[Any, list[str]]:
    """The same dictionaries with each known parameter replaced; names of the floats left.

    Args:
        tree: Variables of `Module.init`, or the parameters alone.
        value: Gives a parameter by its name, what it starts from, and its array.
    """
    left: list[str] = []

    def visit(path: tuple[str, ...], node: Any) -> Any:
        if isinstance(node, Mapping):
            made: Any = type(node)
            parts = cast("Mapping[str, Any]", node).items()
            return made({key: visit((*path, key), part) for key, part in parts})
        entry = _entry(path, node)
        name = ".".join(path)
        if entry is None:
            if jnp.issubdtype(jnp.result_type(node), jnp.inexact):
                left.append(name)
            return node
        return value(name, entry, node)

    return visit((), tree), left


def _entry(path: tuple[str, ...], node: Any) -> Entry | None:
    name, ndim = path[-1], jnp.ndim(node)
    if name in _CONSTANTS:
        return Constant(_CONSTANTS[name])
    if name in {"embedding", "embeddings"} and ndim == 2:
        return Weight((0,), fan_in=1, multiplies=False)
    whose = "/".join(path[:-1]).lower()
    if name in _KERNELS and ndim >= 2 and not any(other in whose for other in _OTHERS):
        return Weight((-1,))
    return None
