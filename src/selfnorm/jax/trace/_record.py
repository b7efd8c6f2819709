"""One evaluation of a function, forward and backward, as a `Recording`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr
from numpy.typing import NDArray

from selfnorm.errors import ArgumentError
from selfnorm.jax.trace._evaluate import Evaluator
from selfnorm.jax.trace._node import Node, Site
from selfnorm.jax.trace._sites import Sites
from selfnorm.recording import Features, Recording
from selfnorm.recording._layer import INPUT
from selfnorm.recording._matrices import weights_of
from selfnorm.recording._seen import Seen, features_of, layer_of, numbered, root_mean_square
from selfnorm.theory._types import FloatArray


@dataclass(frozen=True)
class _Draft:
    """A layer as it was seen."""

    site: Site
    value: Array
    sources: tuple[int, ...]
    dims: tuple[int, ...] | None


def record(
    closed: ClosedJaxpr,
    arguments: Sequence[Any],
    inputs: Sequence[bool],
    names: dict[int, str],
    model: str,
    loss: Callable[[list[Any]], Any] | None,
    learned: frozenset[str] | None = None,
) -> Recording:
    """What every layer of a function does to its inputs.

    Args:
        closed: The function.
        arguments: Its flat arguments.
        inputs: Which of them are inputs, and not weights or keys.
        names: Of arrays among arguments and constants, by `id`.
        model: What to call it.
        loss: What to differentiate, of the flat outputs; random numbers if None.
        learned: Names of all parameters; None if whatever is no input may be one.
    """
    drafts: list[_Draft] = []

    def seen(_index: int, site: Site, value: Any, sources: tuple[int, ...], dims: Any) -> Any:
        drafts.append(_Draft(site, value, sources, dims))
        return value

    sites = Sites(names, seen, learned=learned)
    outputs = Evaluator(sites).run(closed, _nodes(arguments, inputs))
    _check(outputs, drafts)
    of_layers, of_inputs = _gradients(closed, arguments, inputs, sites.memory, drafts, loss)
    arriving = {i: root_mean_square([g]) for i, g in enumerate(of_layers)}
    arriving[INPUT] = root_mean_square(of_inputs)
    names_of = numbered([draft.site.name for draft in drafts])
    layers = tuple(
        layer_of(i, _seen(name, draft), gradient, arriving)
        for i, (name, draft, gradient) in enumerate(zip(names_of, drafts, of_layers, strict=True))
    )
    given = [a for a, is_input in zip(arguments, inputs, strict=True) if is_input]
    return Recording(
        model=model,
        layers=layers,
        features=tuple(_features(drafts)),
        outputs=tuple(
            dict.fromkeys(
                s for out in outputs if isinstance(out, Node) for s in out.sources if s != INPUT
            )
        ),
        rows=next((a.shape[0] if a.ndim else 1 for a in given), 0),
    )


def _nodes(
    arguments: Sequence[Any], inputs: Sequence[bool], added: Sequence[Any] = ()
) -> list[Any]:
    """The arguments, with those that are inputs marked."""
    more = iter(added)
    found: list[Any] = []
    for value, is_input in zip(arguments, inputs, strict=True):
        if is_input and added and jnp.issubdtype(value.dtype, jnp.floating):
            value = value + next(more)  # noqa: PLW2901 - what gradients are taken by
        found.append(Node(value, (INPUT,)) if is_input else value)
    return found


def _check(outputs: Sequence[Any], drafts: Sequence[_Draft]) -> None:
    if not drafts or not any(isinstance(out, Node) for out in outputs):
        raise ArgumentError(
            "an audit looks at what a function computes of its inputs; nothing that it returns "
            "depends on them. Pass parameters by params=, and inputs behind the function."
        )


def _gradients(
    closed: ClosedJaxpr,
    arguments: Sequence[Any],
    inputs: Sequence[bool],
    memory: Sequence[Any],
    drafts: Sequence[_Draft],
    loss: Callable[[list[Any]], Any] | None,
) -> tuple[list[FloatArray], list[FloatArray]]:
    """By each layer's output and each input: by zeros that are added to them."""

    def outputs(by_layer: list[Array], by_input: list[Array]) -> list[Array]:
        def added(index: int, _site: Site, value: Any, *_: Any) -> Any:
            return value + by_layer[index]

        nodes = _nodes(arguments, inputs, by_input)
        found = Evaluator(Sites({}, added, memory)).run(closed, nodes)
        plain = [out.value if isinstance(out, Node) else out for out in found]
        if loss is not None:
            return [_checked(loss(plain))]
        return [out for out in plain if jnp.issubdtype(out.dtype, jnp.floating)]

    zeros = [jnp.zeros_like(draft.value) for draft in drafts]
    given = [
        jnp.zeros_like(a)
        for a, is_input in zip(arguments, inputs, strict=True)
        if is_input and jnp.issubdtype(a.dtype, jnp.floating)
    ]
    ends, backward = jax.vjp(outputs, zeros, given)
    random = np.random.default_rng(0)
    starts = [
        jnp.ones_like(end)
        if loss is not None
        else jnp.asarray(random.standard_normal(end.shape), end.dtype)
        for end in ends
    ]
    by_layer, by_input = backward(starts)
    return [[np.asarray(g, np.float64) for g in found] for found in (by_layer, by_input)]  # pyright: ignore[reportReturnType]


def _checked(value: Any) -> Array:
    if jnp.shape(value) != ():
        raise ArgumentError(
            "loss must give a number that depends on the function's output; got shape "
            f"{jnp.shape(value)}. Reduce it, as with .mean()."
        )
    return value


def _seen(name: str, draft: _Draft) -> Seen:
    """The same layer in NumPy."""
    site = draft.site
    weights = ()
    if site.weight is not None:
        matrix = np.asarray(site.weight.astype(jnp.float32))
        weights = (weights_of(site.weight_name, matrix, site.groups, site.steps),)
    return Seen(
        name=name,
        module=site.name.removesuffix("()") if site.role != "linear" else site.name,
        kind=site.kind,
        role=site.role,
        values=_plain(draft.value),
        dims=draft.dims,
        sources=draft.sources,
        dtype=str(draft.value.dtype),
        activation=site.activation,
        settings=site.settings,
        weights=weights,
        bias=site.bias,
        terms=site.terms,
    )


def _features(drafts: Sequence[_Draft]) -> Iterator[Features]:
    """The input, where layers with weights read it."""
    for index, draft in enumerate(drafts):
        read = draft.site.read
        if read is None or read.sources != (INPUT,):
            continue
        dims = read.dims
        if dims is None and draft.site.kind != "Linear":
            dims = draft.dims
        yield features_of(index, _plain(read.value), dims)


def _plain(value: Array) -> NDArray[Any]:
    """In NumPy, which has no bfloat16."""
    return np.asarray(value if value.dtype == jnp.float64 else value.astype(jnp.float32))
