"""What a model is called with, as a user gives it: a tensor, a tuple, or a dictionary."""

from collections.abc import Mapping
from typing import Any, cast

from selfnorm._torch_private import tree_leaves, tree_map


def as_call(given: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments: a tuple gives the former, a mapping the latter."""
    given = _plain(given)
    if isinstance(given, dict):
        return (), cast("dict[str, Any]", given)
    if isinstance(given, tuple) and not hasattr(given, "_fields"):
        return cast("tuple[Any, ...]", given), {}
    return (given,), {}


def leaves(values: object) -> list[Any]:
    """All that tuples, lists and mappings hold."""
    found = tree_leaves(values)
    return tree_leaves(_plain(values)) if any(isinstance(v, Mapping) for v in found) else found


def _plain(values: object) -> Any:
    """The same with dictionaries for all mappings: torch takes a `UserDict` for a leaf.

    What tokenizers of HuggingFace give is one.
    """
    return tree_map(lambda v: _plain(dict(v)) if isinstance(v, Mapping) else v, values)
