"""Copies of Keras models, in which layers are exchanged: clones of a graph, or by their config."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from selfnorm.converting._changes import Change
from selfnorm.errors import UnsupportedError
from selfnorm.keras._given import said
from selfnorm.keras._held import Held, exchange, held_by
from selfnorm.keras._untyped import keras
from selfnorm.keras._wanted import factor_of
from selfnorm.keras.trace._calls import is_known


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
        new = self._clone(model) if is_graph(model) else _by_config(model, example)
        if not is_graph(model):
            self._made[id(model)] = (model, new)
        for old, copy in list(self._made.values()):
            if not isinstance(old, keras.layers.Layer):
                continue
            if is_known(old) or id(old) in self.wanted:
                _take_weights(old, copy)
            elif not is_graph(old):
                _same_layers(old, copy)
                _take_weights(old, copy)
                self._inside(old, copy)
        return new

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
            if change is not None and change.kind in {"replaced", "removed"}:
                self.done.add(id(before.layer))
                self._change(before, after, change, new)
            else:
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
    if not isinstance(layer, keras.layers.Layer):
        return layer  # an operation, which holds nothing
    return type(layer).from_config(layer.get_config())


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


def _by_config(model: Any, example: Any) -> Any:
    """A copy of a subclassed model, as saving and loading makes it."""
    name = type(model).__name__
    try:
        new = type(model).from_config(model.get_config())
        new(example)
    except Exception as error:
        raise UnsupportedError(
            f"convert copies a subclassed model by get_config and from_config; of {name} these "
            f"raised {type(error).__name__}: {said(error)} Let get_config "
            "return the arguments of __init__, or build the model with keras.Model(inputs, "
            "outputs)."
        ) from error
    _same_layers(model, new)
    return new


def _same_layers(old: Any, new: Any) -> None:
    """Raise unless a copy holds the same layers under the same names, and the same weights."""
    mine, other = (list(_every(layer, "")) for layer in (old, new))
    if mine == other and _shapes(old) == _shapes(new):
        return
    odd = sorted(set(mine) ^ set(other)) or ["weights of other shapes"]
    raise UnsupportedError(
        f"convert copies {type(old).__name__} by get_config and from_config; its copy is another "
        f"one: {odd[0]}. Make all layers in __init__, of what get_config returns."
    )


def _every(layer: Any, path: str) -> Any:
    for held in held_by(layer):
        where = f"{path}.{held.path}".lstrip(".")
        yield f"{where} ({type(held.layer).__name__})"
        yield from _every(held.layer, where)


def _shapes(layer: Any) -> list[Any]:
    return [tuple(v.shape) for v in layer.weights]


def _take_weights(old: Any, new: Any) -> None:
    if _shapes(old) == _shapes(new):
        new.set_weights(old.get_weights())
    new.trainable = old.trainable
