"""What Equinox's layers start from, and a tree of them with other weights."""

from collections.abc import Callable
from math import gcd
from typing import Any

import equinox as eqx
import jax

from selfnorm.jax.init._weight import Constant, Entry, Weight

Value = Callable[[str, Entry, Any], Any]


def mended(model: Any, value: Value) -> tuple[Any, list[str]]:
    """The model with each known parameter replaced; names of the floats that were left.

    Args:
        model: Any tree of Equinox's modules.
        value: Gives a parameter by its name, what it starts from, and its array.
    """
    left: list[str] = []

    def visit(path: Any, node: Any) -> Any:
        name = jax.tree_util.keystr(path).lstrip(".")
        found = _entries(node)
        if found is None:
            if eqx.is_inexact_array(node):
                left.append(name)
            return node
        held = {k: e for k, e in found.items() if getattr(node, k, None) is not None}
        if not held:
            return node
        new = [value(f"{name}.{k}".lstrip("."), e, getattr(node, k)) for k, e in held.items()]
        return eqx.tree_at(lambda layer: [getattr(layer, k) for k in held], node, new)

    known = jax.tree_util.tree_map_with_path(visit, model, is_leaf=_is_known)
    return known, left


def _is_known(node: Any) -> bool:
    return _entries(node) is not None


def _entries(node: Any) -> dict[str, Entry] | None:  # noqa: PLR0911 - a row each of a table
    """Parameters by name; None for what is not known."""
    bias: dict[str, Entry] = {"bias": Constant()}
    if isinstance(node, eqx.nn.Linear):  # one that gives a scalar has no axis less
        return {"weight": Weight((0,))} | bias
    if isinstance(node, eqx.nn.Conv):
        return {"weight": Weight((0,), blocks=node.groups)} | bias
    if isinstance(node, eqx.nn.ConvTranspose):
        steps = tuple(
            (axis, s // gcd(s, d))
            for axis, (s, d) in enumerate(zip(node.stride, node.dilation, strict=True), 2)
        )
        return {"weight": Weight((0,), blocks=node.groups, steps=steps)} | bias
    if isinstance(node, eqx.nn.Embedding):
        return {"weight": Weight((0,), fan_in=1, multiplies=False)}
    if isinstance(node, eqx.nn.GRUCell | eqx.nn.LSTMCell):
        gates = 3 if isinstance(node, eqx.nn.GRUCell) else 4
        terms = node.input_size + node.hidden_size
        weight = Weight((0,), fan_in=terms, blocks=gates)
        return {"weight_ih": weight, "weight_hh": weight, "bias_n": Constant()} | bias
    if isinstance(node, eqx.nn.LayerNorm | eqx.nn.GroupNorm | eqx.nn.RMSNorm | eqx.nn.BatchNorm):
        return {"weight": Constant(1.0), **bias}
    if isinstance(node, eqx.nn.PReLU):
        return {}
    return None
