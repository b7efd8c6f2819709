"""A Keras model in, a self-normalizing one out, with the list of what changed."""

# Keras has no types: what is inferred of it is often None.
# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false
# pyright: reportOptionalIterable=false, reportOptionalSubscript=false, reportGeneralTypeIssues=false
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportReturnType=false

import inspect
from typing import Any

import keras

from selfnorm.converting._changes import Change, Changes
from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.keras._given import check_model, example_of, followed
from selfnorm.keras._initialize import initialize
from selfnorm.keras.trace import Plan, unseen
from selfnorm.recording import Layer, Recording

_NAMES = "relu relu6 leaky_relu elu celu gelu silu swish mish softplus hard_silu hardswish prelu"
_USUAL = frozenset(_NAMES.split())
_SELU = "SELU, which has mean 0 and variance 1 as a stable fixed point"


def convert(model: Any, *, init: str | None = "lecun_normal") -> tuple[Any, Changes]:
    """A self-normalizing copy of a Functional or Sequential model, and what was changed.

    Between layers with weights, ReLU and its like become SELU, within layers and as layers; dropout
    behind a SELU becomes `AlphaDropout`; norms are left out. Outputs, gates, and norms of the input
    stay. What stands within somebody's own layer, or as a function in the graph, is named as left.

    Args:
        model: A built model; it stays as it is.
        init: "lecun_normal", by `selfnorm.keras.initialize`; or None, which keeps weights.

    Returns:
        The new model, not compiled, and `selfnorm.converting.Changes`.

    Raises:
        UnsupportedError: `model` is not Functional or Sequential.
        ArgumentError: It is not built, or another `init`.

    Source: Klambauer et al. 2017 (SELU, initialization, alpha dropout).

    Example:
        >>> layers = [keras.layers.Dense(32, activation="relu"), keras.layers.Dropout(0.1)]
        >>> model = keras.Sequential([keras.Input((32,)), *layers, keras.layers.Dense(3)])
        >>> model, changes = convert(model)
        >>> model.layers[0].activation.__name__, type(model.layers[1]).__name__, len(changes)
        ('selu', 'AlphaDropout', 3)
    """
    check_model(model, "convert copies")
    if init not in ("lecun_normal", None):
        raise ArgumentError(f"init is 'lecun_normal' or None; got {init!r}. Choose one.")
    if not _is_graph(model):
        raise UnsupportedError(
            "convert clones Functional and Sequential models, whose layers Keras can exchange; got "
            f"{type(model).__name__}. Change its layers as selfnorm.keras.audit says."
        )
    plan = followed(model, example_of(model))
    wanted = _wanted(plan, unseen(plan, model.name))
    pairs: list[tuple[Any, Any]] = []

    def cloned(layer: Any) -> Any:
        if isinstance(layer, keras.Model) and _is_graph(layer):
            return clone(layer)
        change = wanted.get(id(layer))
        new = _changed(layer, change) if change is not None else _copied(layer)
        if isinstance(layer, keras.layers.Layer):
            pairs.append((layer, new))
        return new

    def clone(whole: Any) -> Any:
        how = {} if isinstance(whole, keras.Sequential) else {"call_function": _called}
        return keras.models.clone_model(whole, clone_function=cloned, **how)

    new = clone(model)
    visited = {id(layer) for layer, _ in pairs}
    changes = [
        change if key in visited and change.kind != "left" else _left(change)
        for key, change in wanted.items()
    ]
    if init is None:
        for old, copy in pairs:
            if [v.shape for v in old.variables] == [v.shape for v in copy.variables]:
                copy.set_weights(old.get_weights())
    else:
        initialize(new)
        changes.append(Change("", "initialized", "weights", "LeCun's", "variance 1/fan_in"))
    return new, Changes(tuple(changes))


def _is_graph(model: Any) -> bool:
    return type(model).call.__qualname__ in {"Functional.call", "Sequential.call"}


def _wanted(plan: Plan, seen: Recording) -> dict[int, Change]:
    """What is to be changed, by the layer's `id`, in the order of the forward pass."""
    found: dict[int, Change] = {}
    bent: set[int] = {layer.index for layer in seen.selus}
    for layer, place in zip(seen.layers, plan.places, strict=True):
        change = _change(seen, layer, place.owner, bent)
        if change is not None:
            found[id(place.owner)] = change
            if change.after == "selu":
                bent.add(layer.index)
    return found


def _change(seen: Recording, layer: Layer, owner: Any, bent: set[int]) -> Change | None:
    before = layer.activation or type(owner).__name__
    if layer.role == "activation" and layer.activation != "selu" and _stands_between(seen, layer):
        own = isinstance(owner, keras.layers.Layer)
        kind = "replaced" if own and layer.activation in _USUAL else "left"
        return Change(layer.module, kind, before, "selu", _SELU)
    origin = seen.origin(layer)
    if layer.role == "dropout" and origin is not None and origin.index in bent:
        why = "plain dropout raises the variance; alpha dropout keeps it"
        return Change(layer.module, "replaced", type(owner).__name__, "AlphaDropout", why)
    if layer.role == "normalization" and seen.hidden(layer) and not seen.reads_input(layer):
        return Change(layer.module, "removed", type(owner).__name__, "", "SELU normalizes itself")
    return None


def _stands_between(seen: Recording, layer: Layer) -> bool:
    """Whether weights stand behind it, and it is no gate."""
    followers = seen.followers(layer)
    gates = bool(followers) and all(f.role in {"product", "attention"} for f in followers)
    return seen.hidden(layer) and not gates


def _left(change: Change) -> Change:
    why = "it stands in a layer or graph that convert does not go into"
    if change.kind == "left" and change.before not in _USUAL:
        why = "it may be meant so"
    return Change(change.module, "left", change.before, "", why)


def _changed(layer: Any, change: Change) -> Any:
    layers = keras.layers
    name = {"name": layer.name}
    if change.kind == "left":
        return _copied(layer)
    if change.kind == "removed":
        return layers.Identity(**name)
    if change.after == "AlphaDropout":
        return layers.AlphaDropout(layer.rate, seed=getattr(layer, "seed", None), **name)
    if not hasattr(layer, "kernel_initializer"):
        return layers.Activation("selu", **name)
    config = layer.get_config() | {"activation": "selu"}
    return type(layer).from_config(config)


def _called(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """Without what the layer before took, and this one does not."""
    if not isinstance(layer, keras.layers.Layer):
        return layer(*args, **kwargs)
    known = inspect.signature(layer.call).parameters
    return layer(*args, **{name: value for name, value in kwargs.items() if name in known})


def _copied(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())
