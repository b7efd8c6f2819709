"""Copies of Keras models, in which layers are exchanged: clones of a graph, or by their config."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from selfnorm.converting._changes import Change
from selfnorm.errors import UnsupportedError
from selfnorm.keras._given import said
from selfnorm.keras._held import Held, exchange, held_by
from selfnorm.keras._untyped import keras
from selfnorm.keras._wanted import factor_of
from selfnorm.keras.trace._calls import is_known

_ADDED = {"name", "trainable", "dtype"}  # by Keras to what `__init__` took


@dataclass
class Copier:
    """Copies a model with its weights, and changes the copy.

    Args:
        wanted: Changes by the `id` of the layer or operation.

    Attributes:
        done: Ids of what was changed.
    """

    wanted: Mapping[int, Change]
    done: set[int] = field(default_factory=set[int])
    _made: dict[int, tuple[Any, Any]] = field(default_factory=dict[int, tuple[Any, Any]])
    _factors: dict[int, float] = field(default_factory=dict[int, float])
    _scales: dict[int, Any] = field(default_factory=dict[int, Any])

    def copied(self, model: Any, example: Any) -> Any:
        """A copy of a built model; it stays as it is, and nothing of it is shared."""
        new = self._clone(model) if is_graph(model) else _built_copy(model, example)
        if not is_graph(model):
            self._made[id(model)] = (model, new)
        finished = 0
        while finished < len(self._made):  # what stands inside comes on top
            old, copy = list(self._made.values())[finished]
            self._finish(old, copy)
            finished += 1
        return new

    def _finish(self, old: Any, copy: Any) -> None:
        """Weights, and changes within layers of somebody's own."""
        if not isinstance(old, keras.layers.Layer) or is_graph(old):
            return
        own = not is_known(old) and id(old) not in self.wanted
        if own:
            _check_alike(old, copy)
        _take_weights(old, copy)
        if own:
            self._inside(old, copy)

    # Graphs, by Keras's own cloning

    def _clone(self, model: Any) -> Any:
        how = {} if isinstance(model, keras.Sequential) else {"call_function": self._called}
        return keras.models.clone_model(model, clone_function=self._cloned, **how)

    def _cloned(self, layer: Any) -> Any:
        if id(layer) in self._made:
            return self._made[id(layer)][1]
        if isinstance(layer, keras.Model) and is_graph(layer):
            new = self._clone(layer)
        else:
            new = self._one(layer)
        self._made[id(layer)] = (layer, new)
        return new

    def _one(self, layer: Any) -> Any:
        """A copy of a layer or operation, or what stands there then."""
        change = self.wanted.get(id(layer))
        if change is None or change.kind == "left":
            return _copied(layer)
        self.done.add(id(layer))
        if change.kind == "scaled":
            new = _copied(layer)
            self._factors[id(new)] = factor_of(change)
            return new
        return _changed(layer, change)

    def _called(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """Without what the layer before took, and this one does not; a sum times its factor."""
        if isinstance(layer, keras.layers.Layer):
            known = inspect.signature(layer.call).parameters
            kwargs = {name: value for name, value in kwargs.items() if name in known}
        found = layer(*args, **kwargs)
        if id(layer) not in self._factors:
            return found
        if id(layer) not in self._scales:
            self._scales[id(layer)] = keras.layers.Rescaling(
                self._factors[id(layer)], name=f"{layer.name}_scaled"
            )
        return self._scales[id(layer)](found)

    # Somebody's own layers, in place in the copy

    def _inside(self, old: Any, new: Any) -> None:
        for before, after in zip(held_by(old), held_by(new), strict=True):
            change = self.wanted.get(id(before.layer))
            if is_graph(before.layer):
                exchange(new, after, self._cloned(before.layer))
            elif change is not None and change.kind in {"replaced", "removed"}:
                self.done.add(id(before.layer))
                self._change(before, after, change, new)
            elif not is_known(before.layer):
                self._inside(before.layer, after.layer)
        if hasattr(new, "_track_variables"):  # on torch, which counts parameters by itself
            new._track_variables()  # noqa: SLF001

    def _change(self, before: Held, after: Held, change: Change, owner: Any) -> None:
        if change.after == "selu" and hasattr(before.layer, "kernel_initializer"):
            after.layer.activation = keras.activations.selu
            return
        known = self._made.setdefault(
            id(before.layer), (before.layer, _changed(before.layer, change))
        )
        exchange(owner, after, known[1])


def is_graph(model: Any) -> bool:
    """Whether Keras can clone it, call by call."""
    return type(model).call.__qualname__ in {"Functional.call", "Sequential.call"}


def _copied(layer: Any) -> Any:
    """A layer or operation by its config, less what its `__init__` does not take of Keras's."""
    known = inspect.signature(type(layer).__init__).parameters
    every = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    try:
        config = layer.get_config()
        return type(layer).from_config(
            {k: v for k, v in config.items() if every or k in known or k not in _ADDED}
        )
    except Exception as error:
        raise _no_copy(layer, error) from error


def _no_copy(layer: Any, error: Exception) -> UnsupportedError:
    return UnsupportedError(
        "convert copies models and layers of one's own by get_config and from_config; of "
        f"{type(layer).__name__} these raised {type(error).__name__}: {said(error)} Let get_config "
        "return the arguments of __init__, or build the model with keras.Model(inputs, outputs)."
    )


def _changed(layer: Any, change: Change) -> Any:
    layers = keras.layers
    name = {"name": layer.name}
    if change.kind == "removed":
        return layers.Identity(**name)
    if change.after == "AlphaDropout":
        return layers.AlphaDropout(layer.rate, seed=getattr(layer, "seed", None), **name)
    if not hasattr(layer, "kernel_initializer"):
        return layers.Activation("selu", **name)
    return type(layer).from_config(layer.get_config() | {"activation": "selu"})


def _built_copy(model: Any, example: Any) -> Any:
    """A copy of a subclassed model, as saving and loading makes it."""
    new = _copied(model)
    try:
        new(example)
    except Exception as error:
        raise _no_copy(model, error) from error
    return new


def _check_alike(old: Any, new: Any) -> None:
    """Raise unless a copy holds the same layers under the same names, and the same weights."""
    mine, other = (list(_every(layer, "")) for layer in (old, new))
    if mine == other and _shapes(old) == _shapes(new):
        return
    odd = sorted(set(mine) ^ set(other)) or ["weights of other shapes or dtypes"]
    raise UnsupportedError(
        f"convert copies {type(old).__name__} by get_config and from_config; got a copy that "
        f"differs in {odd[0]}. Make all layers in __init__, of what get_config returns."
    )


def _every(layer: Any, path: str) -> Iterator[str]:
    for held in held_by(layer):
        where = f"{path}.{held.path}".lstrip(".")
        yield f"{where} ({type(held.layer).__name__})"
        yield from _every(held.layer, where)


def _shapes(layer: Any) -> list[Any]:
    return [(tuple(v.shape), str(v.dtype)) for v in layer.weights]


def _take_weights(old: Any, new: Any) -> None:
    if _shapes(old) == _shapes(new):
        new.set_weights(old.get_weights())
    new.trainable = old.trainable
