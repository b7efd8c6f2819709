"""The layers that a layer of somebody's own holds, and how one is exchanged for another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from selfnorm.keras._untyped import keras

Put = Callable[[Any], None]


@dataclass(frozen=True)
class Held:
    """A layer within another.

    Attributes:
        path: Its attribute, and key within that: `blocks.0`.
        layer: The layer.
        put: Puts another one into its place.
    """

    path: str
    layer: Any
    put: Put


def held_by(owner: Any) -> list[Held]:
    """All that stand in its attributes, and in lists, tuples and dictionaries there."""
    found: list[Held] = []
    for name, value in _attributes(owner).items():
        found += _inside(owner, name, value, partial(setattr, owner, name))
    return found


def exchange(owner: Any, held: Held, new: Any) -> None:
    """Put a layer into another's place, where Keras looks for its weights, too."""
    tracker = owner._tracker  # noqa: SLF001 - Keras adds nothing to a layer that is built
    locked = tracker.locked
    tracker.unlock()
    try:
        tracker.untrack(held.layer)
        tracker.track(new)
        held.put(new)
    finally:
        tracker.locked = locked


def _attributes(owner: Any) -> dict[str, Any]:
    """Those that the user gave it; on torch, layers are modules and stand among these."""
    every = {**vars(owner), **vars(owner).get("_modules", {})}
    return {name: value for name, value in every.items() if name not in _keras_own()}


@cache
def _keras_own() -> frozenset[str]:
    """What every model has, and every layer."""

    class Nothing(keras.Model):
        pass

    more = ("_modules", "_torch_params", "_functional")
    return frozenset((*more, *vars(Nothing()), *vars(keras.layers.Layer())))


def _inside(owner: Any, path: str, value: Any, put: Put) -> Iterator[Held]:
    if isinstance(value, keras.layers.Layer):
        yield Held(path, value, put)
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in list(items):
            yield from _inside(owner, f"{path}.{key}", part, partial(_put_at, value, key))
    elif isinstance(value, tuple):
        parts = list(value)
        for key, part in enumerate(parts):
            yield from _inside(owner, f"{path}.{key}", part, partial(_put_all, parts, put, key))


def _put_at(value: Any, key: Any, new: Any) -> None:
    value[key] = new


def _put_all(parts: list[Any], put: Put, key: int, new: Any) -> None:
    """A tuple is made anew."""
    parts[key] = new
    put(tuple(parts))
