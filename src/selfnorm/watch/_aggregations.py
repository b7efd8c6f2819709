"""Sums over neighbors: by a graph's matrix, or by the index of who receives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from selfnorm.watch._flow import Flow
from selfnorm.watch._moments import units_last
from selfnorm.watch._products import PRODUCTS, product

_BY_INDEX = frozenset(
    ["index_add", "scatter_add", "scatter_reduce", "index_reduce", "segment_reduce"]
)


def aggregated(
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    tracked: Sequence[Tensor],
    flow: Flow,
    learned: Callable[[Tensor], bool],
) -> list[Tensor]:
    """What a call sums over nodes, rows or positions by numbers that nobody learns; else nothing.

    Args:
        name: The function's plain name.
        args: Its arguments.
        kwargs: And these.
        tracked: Those of them that carry activations.
        flow: Where they come from.
        learned: Whether a tensor is a parameter, or weights stand before it.
    """
    if name in _BY_INDEX:
        return [v for v in tracked if v.is_floating_point()]
    if name not in PRODUCTS:
        return []
    moving = [v for v in tracked if learned(v)] or tracked[-1:]
    found = product(name, args, kwargs, moving)
    if found is None or learned(found.weight):
        return []
    known, ndim = flow.known(found.read), found.read.ndim
    units = units_last(name, ndim, known.dim if known is not None else None) % ndim
    return [] if units in found.summed else [found.read]
