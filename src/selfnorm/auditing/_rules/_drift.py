"""What all of it comes to: mean, variance and gradients along the depth."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from selfnorm.auditing._finding import Finding, Severity
from selfnorm.auditing._rules._placing import gradient_place, mending_of, place
from selfnorm.auditing._rules._registry import rule
from selfnorm.auditing._rules._repeated import repeated
from selfnorm.auditing._rules._sizes import weighted
from selfnorm.auditing._rules._weights import consequence
from selfnorm.recording import Layer, Recording
from selfnorm.recording._layer import INPUT
from selfnorm.recording._recording import WEIGHTED
from selfnorm.recording._rightness import is_mean_off, is_variance_off
from selfnorm.theory import THEOREM_1, SELUForm, gradient_gain

_JUDGED_ELSEWHERE = {"linear", "embedding", "recurrent", "attention", "pooling", "concatenation"}
"""Roles that a rule of their own judges, or that SELU follows."""

_SHOWN = 5
GRADIENT_NOISE = 2.0
_NATURAL = 2.0
"""Deviations of the gradient's logarithm, where each layer adds 1/n; see `_rightness`."""


@rule("non-finite")
def non_finite(recording: Recording) -> Iterator[Finding]:
    """Infinities or nan."""
    for features in recording.features:
        wrong = ~np.isfinite(features.means)
        if wrong.any():
            yield Finding(
                "non-finite",
                "error",
                recording.layers[features.reader].module,
                f"the input holds infinities or nan, in {int(wrong.sum())} of {len(wrong)} "
                f"features (number {', '.join(map(str, np.flatnonzero(wrong)[:_SHOWN]))}"
                + (", ...)" if wrong.sum() > _SHOWN else ")"),
                "finite numbers",
                "One value that is no number makes every output of its row, and every gradient, "
                "no number.",
                "Fill in or drop what is missing before the model: mean values, beside columns "
                "that tell where something was missing.",
            )
            return
    for layer in recording.layers:
        if layer.non_finite and not _is_masked(recording, layer):
            yield Finding(
                "non-finite",
                "error",
                layer.module,
                f"{layer.name} puts out infinities or nan, in {layer.dtype}",
                "finite numbers",
                "float16 ends at 65,504, and one such value spoils every gradient.",
                "Look at its inputs and the layers before; use bfloat16 or float32.",
            )
            return


@rule("variance-drift")
def variance_drift(recording: Recording) -> Iterator[Finding]:
    """Layers that receive something else than mean 0 and variance 1."""
    received = list(_received(recording))
    wrong = [layer for layer in received if _off(layer, recording.rows)]
    if not wrong:
        yield from _slow_drift(recording)
        return
    first = wrong[0]
    worst = max(wrong, key=_distance)
    found = place(recording, first)
    severity: Severity = "error" if _distance(worst) > math.log(4) else "warning"
    last = received[-1]
    course = f", {last.variance:.3g} at the last of {len(received)}" if last is not first else ""
    yield Finding(
        "variance-drift",
        severity,
        first.module,
        f"{len(wrong)} of {len(received)} layers pass on something else than mean 0, variance 1: "
        f"mean {first.mean:+.3g}, variance {first.variance:.3g} behind {first.name}{course}",
        _expectation(first),
        found.why,
        found.fix,
    )


def _slow_drift(recording: Recording) -> Iterator[Finding]:
    """The same where calls between the layers move the variance a little each."""
    found = repeated(recording)
    if found is None:
        return
    name = found.first.name
    calls = f"{found.calls} calls as {name} multiply" if found.calls > 1 else f"{name} multiplies"
    yield Finding(
        "variance-drift",
        "warning",
        found.first.module,
        f"{calls} the second moment, by {found.factor:.3g} a layer; variance "
        f"{found.last.variance:.3g} behind the last SELU",
        "mean 0, variance 1",
        "Placed: the structure. A factor between the layers counts as tau does, and with the "
        f"weights' it is {found.total:.3g}. {consequence(found.total)}",
        mending_of(recording, found.first, found.factor),
    )


@rule("gradient-drift")
def gradient_drift(recording: Recording) -> Iterator[Finding]:
    """Gradients that grow or shrink on their way back."""
    hidden = [
        layer
        for layer in recording.layers
        if layer.role == "activation" and recording.hidden(layer) and layer.gradient_norm > 0
    ]
    dead = [
        layer
        for layer in recording.layers
        if layer.role == "activation" and recording.hidden(layer) and layer.gradient_norm == 0
    ]
    if dead and _starts_at_zero(recording, dead):
        return
    if dead:
        yield _gradient_finding(recording, dead[0], 0.0, len(hidden) + len(dead))
        return
    ways = list(_ways(recording, hidden))
    if not ways:
        return
    worst = max(ways, key=_gradient_excess)
    if _gradient_excess(worst) > 0:
        ratio = worst[0].gradient_norm / worst[-1].gradient_norm
        yield _gradient_finding(recording, worst[0], ratio, len(worst))


def _ways(recording: Recording, hidden: Sequence[Layer]) -> Iterator[list[Layer]]:
    """The activations on the ways to each that no other reads: side by side they tell nothing."""
    ends = {layer.index: layer for layer in hidden}
    for layer in reversed(hidden):
        if layer.index not in ends:
            continue
        before = {one.index for one in recording.before(layer)}
        for index in before - {layer.index}:
            ends.pop(index, None)
        way = [one for one in hidden if one.index in before]
        if len(way) > 1:
            yield way


def _gradient_excess(way: Sequence[Layer]) -> float:
    """By how much the logarithm of the gradient moves more along a way than is right."""
    noise = GRADIENT_NOISE * math.sqrt(sum(1 / _width(layer) for layer in way))
    forms = (layer.settings.get("form") or SELUForm() for layer in way)
    natural = sum(math.log(form.gradient_gain) for form in forms) / 2
    grown = math.log(way[0].gradient_norm) - math.log(way[-1].gradient_norm)  # the ratio may be 0
    return max(grown - natural, -grown) - math.log(5) - noise


@rule("dead-units")
def dead_units(recording: Recording) -> Iterator[Finding]:
    """Units that give one value for every row."""
    for layer in recording.of("activation"):
        if recording.rows < 16 or not layer.dead > 0.05 or not recording.hidden(layer):
            continue
        sources = recording.sources(layer)
        if sources and all(one.silent for one in sources):
            continue  # zeros to begin with
        yield Finding(
            "dead-units",
            "error" if layer.dead > 0.5 else "warning",
            layer.module,
            f"{layer.dead:.0%} of the units have one value in all {recording.rows} rows",
            "units that vary",
            "A unit that never changes passes no information, and if saturated no gradient; SELU "
            "units cannot die as ReLU's do, so the input or weights are at fault.",
            "Look at the weights of the layer before, and at constant inputs.",
        )


@rule("saturation")
def saturation(recording: Recording) -> Iterator[Finding]:
    """SELU units far in the flat part."""
    for layer in recording.selus:
        if not layer.saturated > 0.1:
            continue
        yield Finding(
            "saturation",
            "warning",
            layer.module,
            f"{layer.saturated:.0%} of values have less than 1 % of the slope",
            "next to none: 2 in a million for pre-activations of variance 1",
            "Saturated units pass no gradient; so many mean that pre-activations are far too wide "
            "(derivative of Klambauer et al. 2017, Eq. 2).",
            "Look at the variance of the layer before it.",
        )


def within_theorem_1(recording: Recording) -> str:
    """How much of the network lies in theorem 1's box, in a sentence; empty if nothing is asked.

    The theorem is sufficient, not necessary: random weights have omega of deviation 1 and yet keep
    variance 1 on average. So this is no finding.
    """
    found = [w for layer, w in weighted(recording) if recording.feeds_selu(layer)]
    if not found:
        return ""
    omega = np.concatenate([w.omega for w in found])
    tau = np.concatenate([w.tau for w in found])
    inside = {
        "omega": float(np.mean(THEOREM_1.holds("omega", omega))),
        "tau": float(np.mean(THEOREM_1.holds("tau", tau))),
    }
    layers = [layer for layer in recording.selus if recording.hidden(layer)]
    both = [
        layer
        for layer in layers
        if THEOREM_1.holds("mean", layer.mean) and THEOREM_1.holds("variance", layer.variance)
    ]
    return (
        f"Within theorem 1's box, which suffices and is not needed: {inside['omega']:.0%} of units "
        f"by omega, {inside['tau']:.0%} by tau; {len(both)} of {len(layers)} hidden layers by mean "
        "and variance."
    )


def _starts_at_zero(recording: Recording, dead: list[Layer]) -> bool:
    """Whether layers of zeros alone keep the gradient from activations: it will come with them."""
    for layer in dead:
        if recording.silenced(layer):
            continue
        followers = recording.followers(layer)
        zero = [f for f in followers if f.silent or _multiplies_nothing(recording, f)]
        arrives = [f for f in followers if f not in zero and f not in dead]
        behind = all(f in dead or not f.gradient_norm > 0 for f in arrives)
        if not zero and not (followers and behind):
            return False
    return any(layer.silent for layer in recording.layers)


def _multiplies_nothing(recording: Recording, layer: Layer) -> bool:
    """Whether a factor of a product is zero, so that no gradient comes to the others."""
    sources = recording.sources(layer)
    return layer.role == "product" and any(one.second_moment == 0 for one in sources)


def _is_masked(recording: Recording, layer: Layer) -> bool:
    """Whether softmax alone reads it, for which minus infinity is a place that counts nothing.

    Where a whole row is masked, or another infinity came, softmax's own output is not finite.
    """
    readers = recording.readers(layer)
    return bool(readers) and all(
        "softmax" in reader.name.lower()
        or "softmax" in reader.kind.lower()
        or (reader.non_finite and _is_masked(recording, reader))
        for reader in readers
    )


def _received(recording: Recording) -> Iterator[Layer]:
    """The layers, other than the input's, that a layer with weights reads; each once."""
    seen: set[int] = set()
    for layer in recording.layers:
        if layer.role not in WEIGHTED:
            continue
        for source in recording.sources(layer):
            bends = source.role not in _JUDGED_ELSEWHERE
            if bends and source.index not in seen and math.isfinite(source.variance):
                seen.add(source.index)
                yield source


def _off(layer: Layer, rows: int) -> bool:
    width = _width(layer)
    return is_variance_off(layer.variance, width, rows) or is_mean_off(
        layer.mean, layer.variance, width, rows
    )


def _distance(layer: Layer) -> float:
    return abs(math.log(max(layer.variance, 1e-30)))


def _width(layer: Layer) -> int:
    return max(len(layer.unit_means), 1)


def _expectation(layer: Layer) -> str:
    if layer.predicted is None or INPUT in layer.inputs:
        return "mean 0, variance 1"
    return (
        "mean 0, variance 1; the theory makes "
        f"{float(layer.predicted.variance):.3g} of these weights and inputs"
    )


def _gradient_finding(recording: Recording, layer: Layer, ratio: float, depth: int) -> Finding:
    found = gradient_place(recording, layer, ratio)
    natural = gradient_gain() ** (depth / 2)
    grows = f"; SELU alone makes it {natural:.3g} times as large" if natural > _NATURAL else ""
    return Finding(
        "gradient-drift",
        "error" if ratio == 0 or abs(math.log(ratio)) > math.log(1000) else "warning",
        layer.module,
        f"the gradient at the first of {depth} activations is {ratio:.2g} times that at the last",
        f"about the same size{grows}",
        "A layer multiplies the gradient's second moment by tau E f'^2, so small errors "
        + ("explode" if ratio > 1 else "vanish")
        + f" with depth (Schoenholz et al. 2017, chi_1). {found.why}",
        found.fix,
    )
