"""The calls that a model makes, in their order: layers, activations within layers, `keras.ops`.

Functional and Sequential models hold their graph. Any other layer with a `call` of its own, and a
subclassed model, is called on symbolic tensors, whose history is a graph, too; what stood in the
model's own history is as before.
"""

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from selfnorm.keras._untyped import keras

_OPENED = (keras.layers.Layer, keras.layers.Wrapper, keras.layers.Lambda, keras.Model)
_BENDING = (keras.layers.Dense, keras.layers.EinsumDense)
_CONVOLVING = "Conv"


@dataclass(frozen=True, eq=False)
class Token:
    """A value that depends on the model's inputs."""

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Call:
    """One call.

    Attributes:
        operation: A layer, an operation of `keras.ops`, or an activation function.
        name: Of the layer with those that hold it before, `block/dense`; of the place of a
            function.
        run: What is called; without its activation, where that is a call of its own.
        args: With tokens for what depends on the inputs.
        kwargs: Likewise.
        outputs: What it gives.
        owner: The layer that it belongs to; the operation, where that is none.
    """

    operation: Any
    name: str
    run: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Token, ...]
    owner: Any

    @property
    def given(self) -> list[Token]:
        """What it reads, each once."""
        return list(dict.fromkeys(tokens_in((self.args, self.kwargs))))


@dataclass(frozen=True)
class Calls:
    """A model's calls.

    Attributes:
        inputs: What it is given, flat.
        calls: In the order of the forward pass.
        outputs: What it gives, as it gives it.
    """

    inputs: tuple[Token, ...]
    calls: tuple[Call, ...]
    outputs: Any


def tokens_in(tree: Any) -> list[Token]:
    """Of arguments, in their order."""
    return [leaf for leaf in keras.tree.flatten(tree) if isinstance(leaf, Token)]


def calls_of(model: Any, example: Any) -> Calls:
    """What a model does with inputs like these.

    Args:
        model: A built model or layer.
        example: Symbolic tensors for what it is called with.
    """
    with _history_kept(model):
        walk = _Walk()
        given = keras.tree.map_structure(walk.token, example)
        outputs = walk.inside(model, "", (given,), {})
        return Calls(tuple(tokens_in(given)), tuple(walk.calls), outputs)


@dataclass
class _Walk:
    calls: list[Call] = field(default_factory=list)
    _tokens: dict[int, Token] = field(default_factory=dict)
    _held: list[Any] = field(default_factory=list)  # so that no other tensor gets an id

    def token(self, tensor: Any) -> Token:
        """A new one for a symbolic tensor."""
        found = Token(tuple(tensor.shape), str(tensor.dtype))
        self._name(tensor, found)
        return found

    def _name(self, tensor: Any, token: Token) -> None:
        self._tokens[id(tensor)] = token
        self._held.append(tensor)

    def inside(self, layer: Any, scope: str, args: Any, kwargs: Any) -> Any:
        """The calls of a layer's own `call`; its outputs."""
        outer, graph = self._tokens, isinstance(layer, keras.Model) and _has_graph(layer)
        try:
            if graph:
                self._tokens = {}
                inputs, tokens = keras.tree.flatten(layer.inputs), _matched(layer, args[0])
                for tensor, token in zip(inputs, tokens, strict=True):
                    self._name(tensor, token)
                outputs = _structured(layer)
            else:
                symbols = keras.tree.map_structure(self._symbol, (args, kwargs))
                outputs = _Entry(layer, *symbols).outputs()
            self._follow(outputs, scope, graph=graph)
            return keras.tree.map_structure(lambda t: self._tokens[id(t)], outputs)
        finally:
            self._tokens = outer

    def _symbol(self, leaf: Any) -> Any:
        if not isinstance(leaf, Token):
            return leaf
        tensor = keras.KerasTensor(leaf.shape, leaf.dtype)
        self._name(tensor, leaf)
        return tensor

    def _follow(self, outputs: Any, scope: str, *, graph: bool) -> None:
        """Everything that leads to these symbolic tensors, in the order of the forward pass."""
        waiting = [(tensor, False) for tensor in reversed(keras.tree.flatten(outputs))]
        while waiting:
            tensor, ready = waiting.pop()
            if id(tensor) in self._tokens:
                continue
            node = _node(tensor)
            if not ready:
                waiting.append((tensor, True))
                waiting += [(given, False) for given in reversed(node.input_tensors)]
                continue
            replaced = keras.tree.map_structure(
                lambda leaf: self._tokens.get(id(leaf), leaf),
                (node.arguments.args, node.arguments.kwargs),
            )
            if graph:  # which hands the phase of its own call on, whatever stands there
                replaced[1].pop("training", None)
            name = f"{scope}/{node.operation.name}".lstrip("/")
            args, kwargs = replaced
            found = self._call(node.operation, name, scope, args, kwargs, node.output_tensors)
            for output, token in zip(node.output_tensors, found, strict=True):
                self._name(output, token)

    def _call(
        self, operation: Any, name: str, scope: str, args: Any, kwargs: Any, outputs: Any
    ) -> list[Token]:
        if _is_opened(operation):
            before = len(self.calls)
            try:
                return tokens_in(self.inside(operation, name, args, kwargs))
            except Exception:
                del self.calls[before:]
        tokens = [Token(tuple(t.shape), str(t.dtype)) for t in outputs]
        where = name if isinstance(operation, keras.layers.Layer) else scope
        activation = _own_activation(operation)
        if activation is None:
            self.calls.append(
                Call(operation, where, operation, args, kwargs, tuple(tokens), operation)
            )
            return tokens
        middle = Token(tokens[0].shape, tokens[0].dtype)
        weigh = _Plain(operation)
        self.calls += [
            Call(operation, name, weigh, args, kwargs, (middle,), operation),
            Call(activation, name, activation, (middle,), {}, tuple(tokens), operation),
        ]
        return tokens


class _Entry(keras.layers.Layer):
    """The first layer of a call in training, so that those inside know of it."""

    def __init__(self, layer: Any, args: Any, kwargs: Any) -> None:
        super().__init__()
        # Not as attributes of Keras's, which would make it a layer of this one.
        object.__setattr__(self, "_followed", (layer, args, kwargs, []))
        self.built = True

    def outputs(self) -> Any:
        """What the layer's `call` gives for symbolic tensors, with their history."""
        _, args, kwargs, found = self._followed
        leaves = keras.tree.flatten((args, kwargs))
        self([leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)], training=True)
        return found[0]

    def call(self, tensors: Any, training: bool = True) -> Any:
        """Never run: only its shapes are asked for."""
        raise NotImplementedError

    def compute_output_spec(self, tensors: Any, training: bool = True) -> Any:  # noqa: ARG002
        """As Keras asks it for: shapes and dtypes."""
        layer, args, kwargs, found = self._followed
        known = training_of(layer, kwargs, training)
        found.append(layer.call(*args, **(kwargs | known)))
        return keras.tree.map_structure(lambda t: keras.KerasTensor(t.shape, t.dtype), found[0])


@dataclass(frozen=True)
class _Plain:
    """A layer's call without its activation."""

    layer: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        held = self.layer.activation
        self.layer.activation = keras.activations.linear
        try:
            return self.layer(*args, **kwargs)
        finally:
            self.layer.activation = held


def _own_activation(operation: Any) -> Any:
    """The activation that a layer with weights ends with; None without."""
    weighs = isinstance(operation, _BENDING) or _CONVOLVING in type(operation).__name__
    found = getattr(operation, "activation", None) if weighs else None
    recurrent = hasattr(operation, "cell")
    return None if recurrent or found is keras.activations.linear else found


def is_known(layer: Any) -> bool:
    """Whether it is, or extends, one of Keras's own layers that do something by themselves."""
    own = [kind for kind in type(layer).__mro__ if kind not in _OPENED]
    return any(getattr(keras.layers, kind.__name__, None) is kind for kind in own)


def _is_opened(operation: Any) -> bool:
    if getattr(operation, "selfnorm_role", None) is not None:
        return False
    return isinstance(operation, keras.layers.Layer) and not is_known(operation)


def _has_graph(model: Any) -> bool:
    """Whether it is Functional or Sequential, and nobody wrote another `call`."""
    own = type(model).call.__qualname__ in {"Functional.call", "Sequential.call"}
    return own and bool(getattr(model, "outputs", None))


def _structured(model: Any) -> Any:
    """A model's outputs as it gives them."""
    found = getattr(model, "_outputs_struct", None)
    if found is not None:
        return found
    return model.outputs[0] if len(model.outputs) == 1 else model.outputs


def _matched(model: Any, given: Any) -> list[Token]:
    """Tokens in the order of the model's inputs."""
    if isinstance(given, dict):
        names = [tensor.name for tensor in model.inputs]
        if set(names) <= given.keys():
            return [given[name] for name in names]
    return tokens_in(given)


def training_of(layer: Any, kwargs: Any, training: bool = True) -> dict[str, bool]:
    """The phase, for a layer that knows one and was not told another."""
    if not isinstance(layer, keras.layers.Layer) or kwargs.get("training") is not None:
        return {}
    known = "training" in inspect.signature(layer.call).parameters
    return {"training": training} if known else {}


def _node(tensor: Any) -> Any:
    history = tensor._keras_history  # noqa: SLF001 - as Keras's own summaries do
    return history.operation._inbound_nodes[history.node_index]  # noqa: SLF001


@contextmanager
def _history_kept(model: Any) -> Generator[None]:
    """Inside, layers may be called on symbolic tensors; afterwards they do not know of it."""
    layers = list(model._flatten_layers())  # noqa: SLF001
    kept = [(list(k._inbound_nodes), list(k._outbound_nodes)) for k in layers]  # noqa: SLF001
    try:
        yield
    finally:
        for layer, (inbound, outbound) in zip(layers, kept, strict=True):
            layer._inbound_nodes[:] = inbound  # noqa: SLF001
            layer._outbound_nodes[:] = outbound  # noqa: SLF001
