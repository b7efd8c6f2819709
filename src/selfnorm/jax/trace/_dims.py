"""Where the units are after a value was moved."""

from typing import Any

from selfnorm.jax.trace._node import Node


def moved_dims(equation: Any, node: Node) -> tuple[int, ...] | None:
    """The axes that count units in the output; None if nobody knows."""
    if node.dims is None:
        return None
    name, params = equation.primitive.name, equation.params
    before, after = node.value.shape, equation.outvars[0].aval.shape
    dims = [d % len(before) for d in node.dims]
    if name == "transpose":
        found = [params["permutation"].index(d) for d in dims]
    elif name == "squeeze":
        gone = [d % len(before) for d in params["dimensions"]]
        found = [d - sum(g < d for g in gone) for d in dims if d not in gone]
    elif name == "broadcast_in_dim":
        found = [params["broadcast_dimensions"][d] for d in dims]
    elif len(after) == len(before) and all(after[d] == before[d] for d in dims):
        found = dims
    elif dims == [len(before) - 1] and after and after[-1] == before[-1]:
        found = [len(after) - 1]
    else:
        found = []
    return tuple(found) or None
