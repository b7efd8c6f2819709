"""One evaluation of a model, forward and backward, as a `Recording`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from selfnorm.errors import ArgumentError
from selfnorm.keras._untyped import keras
from selfnorm.keras.trace._backward import compiled, gradients
from selfnorm.keras.trace._calls import Token
from selfnorm.keras.trace._plan import Place, Plan
from selfnorm.keras.trace._pointwise import run
from selfnorm.recording import Features, Recording
from selfnorm.recording._layer import INPUT
from selfnorm.recording._seen import Seen, features_of, layer_of, numbered, root_mean_square
from selfnorm.theory._types import FloatArray

Seeing = Callable[[int, Any], Any]


def record(
    plan: Plan,
    inputs: Sequence[Any],
    model: str,
    loss: Callable[[Any], Any] | None,
    unused: Mapping[str, str],
) -> Recording:
    """What every layer of a model does to its inputs, in training; the model is left as it was.

    Args:
        plan: The model.
        inputs: Tensors, flat.
        model: What to call it.
        loss: What to differentiate, of the outputs; random numbers if None.
        unused: Names and kinds of layers that did not run.
    """
    reads = list(dict.fromkeys(token for place in plan.places for token in place.reads))

    def forward(inputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        known = _evaluated(plan, inputs, lambda _, value: value)
        return [known[place.gives] for place in plan.places], [known[t] for t in reads]

    values, held = compiled(forward)(list(inputs))
    known = dict(zip(reads, held, strict=True))
    by_layer, by_input = _gradients(plan, inputs, values, loss)
    arriving = {i: root_mean_square([g]) for i, g in enumerate(by_layer)}
    arriving[INPUT] = root_mean_square(by_input)
    names = numbered([place.site.name for place in plan.places])
    read = {t: _array(known[t]) for p in plan.places if p.site.summed for t in p.reads}
    layers = tuple(
        layer_of(i, _seen(plan.places[i], name, values[i], read, known), by_layer[i], arriving)
        for i, name in enumerate(names)
    )
    return Recording(
        model=model,
        layers=layers,
        features=tuple(_features(plan, read)),
        outputs=plan.ends,
        unused=unused,
        rows=int(inputs[0].shape[0]) if len(inputs[0].shape) else 1,
    )


def unseen(plan: Plan, model: str) -> Recording:
    """What is known of a model before anything is run: all that is measured is nan."""
    names = numbered([place.site.name for place in plan.places])
    nothing = {INPUT: np.nan} | dict.fromkeys(range(len(names)), np.nan)
    found = (
        Seen(
            **_known(place, name),
            values=np.full((1, place.gives.shape[-1] or 1), np.nan),
            dtype=place.gives.dtype,
        )
        for place, name in zip(plan.places, names, strict=True)
    )
    layers = tuple(layer_of(i, s, np.zeros(0), nothing) for i, s in enumerate(found))
    return Recording(model, layers, outputs=plan.ends)


def _evaluated(plan: Plan, inputs: Sequence[Any], seen: Seeing) -> dict[Token, Any]:
    """Every value; in a scope of its own, so that what layers update is forgotten."""
    known: dict[Token, Any] = dict(zip(plan.inputs, inputs, strict=True))
    with keras.StatelessScope():
        for event in plan.events:
            if isinstance(event, int):
                gives = plan.places[event].gives
                known[gives] = seen(event, known[gives])
            else:
                run(event, known)
    return known


def _gradients(
    plan: Plan, inputs: Sequence[Any], values: Sequence[Any], loss: Any
) -> tuple[list[FloatArray], list[FloatArray]]:
    """By each layer's output and each input, by zeros that are added to them."""
    floating = [i for i, value in enumerate(inputs) if _is_float(value)]
    layers = [i for i in range(len(plan.places)) if _is_float(values[i])]
    random = np.random.default_rng(0)

    def ends(zeros: list[Any]) -> list[Any]:
        given = list(inputs)
        for zero, i in zip(zeros[len(layers) :], floating, strict=True):
            given[i] = given[i] + zero
        added = dict(zip(layers, zeros, strict=False))
        known = _evaluated(plan, given, lambda i, v: v + added[i] if i in added else v)
        outputs = keras.tree.map_structure(lambda token: known[token], plan.outputs)
        if loss is not None:
            return [_checked(loss(outputs))]
        return [end for end in keras.tree.flatten(outputs) if _is_float(end)]

    def start(end: Any) -> Any:
        shape = tuple(end.shape)
        return np.ones(shape) if loss is not None else random.standard_normal(shape)

    at = [keras.ops.zeros_like(values[i]) for i in layers]
    at += [keras.ops.zeros_like(inputs[i]) for i in floating]
    found: Any = gradients(ends, at, start)
    by_layer = dict(zip(layers, found, strict=False))
    every = [by_layer.get(i, np.zeros(0)) for i in range(len(plan.places))]
    return every, found[len(layers) :]


def _checked(value: Any) -> Any:
    shape = tuple(getattr(value, "shape", (1,)))
    if shape != ():
        raise ArgumentError(
            "loss must give a number that depends on the model's output; got shape "
            f"{shape}. Reduce it, as with keras.ops.mean."
        )
    return value


def _seen(
    place: Place,
    name: str,
    value: Any,
    read: Mapping[Token, FloatArray],
    known: Mapping[Token, Any],
) -> Seen:
    site = place.site
    settings, terms = dict(site.settings), np.nan
    if site.summed is not None:
        terms, padding = site.summed(read[place.reads[0]])
        settings |= {"padding": padding} if padding else {}
    if site.role == "concatenation":
        parts = [_array(known[token]) for token in place.reads]
        settings["parts"] = [float(np.mean(np.square(part))) for part in parts]
    known_before: dict[str, Any] = {**_known(place, name), "settings": settings}
    return Seen(
        **known_before,
        values=_array(value),
        dims=(1,) if place.channels_first else None,
        dtype=keras.backend.standardize_dtype(value.dtype),
        terms=terms,
    )


def _known(place: Place, name: str) -> dict[str, Any]:
    """What is so whatever the model is given."""
    site = place.site
    return {
        "name": name,
        "module": site.module,
        "kind": site.kind,
        "role": site.role,
        "sources": place.sources,
        "activation": site.activation,
        "settings": site.settings,
        "weights": tuple(matrix.weights(site.module) for matrix in site.matrices),
        "bias": None if site.bias is None else _array(site.bias).ravel(),
    }


def _features(plan: Plan, read: Mapping[Token, FloatArray]) -> Iterator[Features]:
    """The input, where layers with weights read it."""
    for index, place in enumerate(plan.places):
        if place.site.summed is not None and place.of_input:
            first = place.site.channels_first
            yield features_of(index, read[place.reads[0]], (1,) if first else None)


def _array(tensor: Any) -> FloatArray:
    wide = keras.backend.standardize_dtype(tensor.dtype) == "float64"
    found = tensor if wide else keras.ops.cast(tensor, "float32")
    return np.asarray(keras.ops.convert_to_numpy(found), np.float64)


def _is_float(tensor: Any) -> bool:
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype))
