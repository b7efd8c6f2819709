"""What a model is called with, as a user gives it: a tensor, a tuple, a dictionary, a loader."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch.utils.data import DataLoader

from selfnorm._torch_private import tree_leaves, tree_map

_WHOLE = (torch.Tensor, torch.nn.Module, type, str, int, float)
_DEPTH = 3


def as_call(given: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments: a tuple gives the former, a mapping the latter."""
    given = _plain(given)
    if isinstance(given, dict):
        return (), cast("dict[str, Any]", given)
    if isinstance(given, tuple) and not hasattr(given, "_fields"):
        return cast("tuple[Any, ...]", given), {}
    return (given,), {}


def as_batch(found: object) -> tuple[tuple[Any, ...], dict[str, Any], object]:
    """Arguments and target of what a loader gives: a batch `(x, ..., y)` ends with the target."""
    if isinstance(found, tuple | list) and not hasattr(found, "_fields"):
        parts, _ = as_call(tuple(cast("tuple[Any, ...]", found)))
        return (parts[:-1], {}, parts[-1]) if len(parts) > 1 else (parts, {}, None)
    return (*as_call(found), None)


def generators_of(inputs: object) -> list[torch.Generator]:
    """The generators from which a loader draws, if it is one and has its own."""
    if not isinstance(inputs, DataLoader):
        return []
    loader = cast("DataLoader[Any]", inputs)
    found = (loader.generator, getattr(loader.sampler, "generator", None))
    return [generator for generator in found if isinstance(generator, torch.Generator)]


def leaves(values: object) -> list[Any]:
    """All that tuples, lists, mappings, and objects with tensors among their attributes hold."""
    found = tree_leaves(values)
    if any(isinstance(v, Mapping) for v in found):
        found = tree_leaves(_plain(values))
    return [leaf for value in found for leaf in _held(value, ())]


def _held(value: Any, around: tuple[int, ...]) -> list[Any]:
    """An object's tensors, as those of a dataclass; anything else is itself."""
    opaque = isinstance(value, _WHOLE) or not hasattr(value, "__dict__") or callable(value)
    if opaque or id(value) in around or len(around) > _DEPTH:
        return [value]
    parts = tree_leaves(dict(vars(value)))
    inside = [leaf for part in parts for leaf in _held(part, (*around, id(value)))]
    tensors = [leaf for leaf in inside if isinstance(leaf, torch.Tensor)]
    return tensors or [value]


def _plain(values: object) -> Any:
    """The same with dictionaries for all mappings: torch takes a `UserDict` for a leaf.

    What tokenizers of HuggingFace give is one.
    """
    return tree_map(lambda v: _plain(dict(v)) if isinstance(v, Mapping) else v, values)
