"""One evaluation of a function, forward and backward, as a `Recording`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr

from selfnorm.errors import ArgumentError
from selfnorm.jax.trace._evaluate import Evaluator
from selfnorm.jax.trace._moments import thinned, units_last, weights_of
from selfnorm.jax.trace._node import Node, Site
from selfnorm.jax.trace._sites import Sites
from selfnorm.recording import Features, Layer, Recording
from selfnorm.recording._layer import INPUT
from selfnorm.recording._quiet import quiet
from selfnorm.recording._sample import correlations, sample_of
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
) -> Recording:
    """What every layer of a function does to its inputs.

    Args:
        closed: The function.
        arguments: Its flat arguments.
        inputs: Which of them are inputs, and not weights or keys.
        names: Of arrays among arguments and constants, by `id`.
        model: What to call it.
        loss: What to differentiate, of the flat outputs; random numbers if None.
    """
    drafts: list[_Draft] = []

    def seen(_index: int, site: Site, value: Any, sources: tuple[int, ...], dims: Any) -> Any:
        drafts.append(_Draft(site, value, sources, dims))
        return value

    sites = Sites(names, seen)
    outputs = Evaluator(sites).run(closed, _nodes(arguments, inputs))
    _check(outputs, drafts)
    of_layers, of_inputs = _gradients(closed, arguments, inputs, sites.memory, drafts, loss)
    arriving = {INPUT: _root(of_inputs)} | {i: _root([g]) for i, g in enumerate(of_layers)}
    names_of = _numbered([draft.site.name for draft in drafts])
    layers = tuple(
        _layer(i, name, draft, gradient, arriving)
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


def _numbered(names: Sequence[str]) -> list[str]:
    """The second use of a name, and later ones, say so."""
    uses: dict[str, int] = {}
    found: list[str] = []
    for name in names:
        uses[name] = use = uses.get(name, 0) + 1
        found.append(name if use == 1 else f"{name} (use {use})")
    return found


@quiet
def _layer(
    index: int, name: str, draft: _Draft, gradient: FloatArray, arriving: dict[int, float]
) -> Layer:
    site = draft.site
    values = units_last(np.asarray(draft.value.astype(jnp.float32)), draft.dims)
    if draft.value.dtype == jnp.float64:
        values = units_last(np.asarray(draft.value), draft.dims)
    means, variances = values.mean(0), values.var(0)
    mean, variance = float(means.mean()), float(variances.mean() + means.var())
    found = sample_of(thinned(values), site.activation, site.settings.get("form"))
    weights = ()
    if site.weight is not None:
        matrix = np.asarray(site.weight.astype(jnp.float32))
        weights = (weights_of(site.weight_name, matrix, site.groups, site.steps),)
    bias = np.zeros(0) if site.bias is None else np.asarray(site.bias, np.float64)
    scale = float(variances.mean() + (means**2).mean())
    samples = draft.value.shape[0] if draft.value.ndim > 1 else 1
    before = [arriving[source] for source in draft.sources]
    data_gain = np.nan
    if site.role == "linear":
        own = bias if len(bias) == len(means) else np.zeros(len(means))
        data_gain = float(np.mean(variances + (means - own) ** 2) / np.float64(site.terms))
    return Layer(
        index=index,
        name=name,
        module=site.name.removesuffix("()") if site.role != "linear" else site.name,
        kind=site.kind,
        role=site.role,
        activation=site.activation,
        use=1,
        inputs=draft.sources,
        shape=tuple(draft.value.shape),
        dtype=str(draft.value.dtype),
        mean=mean,
        variance=variance,
        unit_means=means,
        unit_variances=variances,
        dead=float(np.mean(variances <= 1e-12 * scale)) if len(values) > 1 else np.nan,
        saturated=found.saturated,
        kurtosis=found.kurtosis,
        correlation=found.correlation,
        correlation_size=found.correlation_size,
        non_finite=not (np.isfinite(mean) and np.isfinite(variance)),
        gradient=_root([gradient]),
        gradient_in=float(np.sqrt(np.mean(np.square(before)))) if before else np.nan,
        gradient_norm=float(np.sqrt(np.square(gradient).sum() / max(samples, 1))),
        histogram=found.histogram,
        data_gain=data_gain,
        weights=weights,
        bias=bias,
        settings=dict(site.settings),
    )


@quiet
def _features(drafts: Sequence[_Draft]) -> list[Features]:
    """The input, where layers with weights read it."""
    found: list[Features] = []
    for index, draft in enumerate(drafts):
        read = draft.site.read
        if read is None or read.sources != (INPUT,):
            continue
        dims = read.dims
        if dims is None and draft.site.kind != "Linear":
            dims = draft.dims
        values = units_last(np.asarray(read.value.astype(jnp.float32)), dims)
        means, variances = values.mean(0), values.var(0)
        step = max(1, len(values) // 2048)
        some = values[::step, :: max(1, values.shape[1] // 64)]
        mean, variance = float(means.mean()), float(variances.mean() + means.var())
        found.append(
            Features(
                index, mean, variance, means, variances, float(values.min()), float(values.max()),
                len(values), *correlations(some),
            )
        )  # fmt: skip
    return found


@quiet
def _root(gradients: Sequence[FloatArray]) -> float:
    """Root mean square; nan if there is none."""
    count = sum(g.size for g in gradients)
    return (
        float(np.sqrt(sum(float(np.square(g).sum()) for g in gradients) / count))
        if count
        else np.nan
    )
