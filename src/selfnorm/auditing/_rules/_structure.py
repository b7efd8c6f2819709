"""What stands between the layers: norms, additions, pooling, padding, concatenation, unknowns."""

import math
from collections.abc import Iterator

from selfnorm.auditing._finding import Finding, Severity
from selfnorm.auditing._rules._registry import rule
from selfnorm.auditing._rules._sizes import is_right_behind
from selfnorm.recording import Layer, Recording
from selfnorm.recording._layer import INPUT

_DOUBLED = 1.5
_LISTED = 4


@rule("leftover-normalization")
def leftover_normalization(recording: Recording) -> Iterator[Finding]:
    """A normalization layer in a network that is to normalize itself."""
    for layer in recording.of("normalization"):
        if not recording.hidden(layer):
            continue
        yield Finding(
            "leftover-normalization",
            "warning",
            layer.module,
            f"{layer.kind} normalizes what SELU is to keep",
            "no normalization layer",
            "With SELU, normalization is not needed; with it the statistics of the batch, and "
            "their noise, are back (Klambauer et al. 2017, section 1).",
            "selfnorm.convert(model, norms='remove', init=None) takes it out where a module does "
            f"no more; else leave out the call in the forward of {layer.module or 'the model'}."
            if layer.kind.endswith("()")
            else "selfnorm.convert(model, norms='fold', init=None) folds it into the layer before, "
            "or removes it, and keeps the weights; what it cannot trace, it names.",
        )


@rule("unscaled-residual")
def unscaled_residual(recording: Recording) -> Iterator[Finding]:
    """An addition of two branches whose variances add up."""
    for layer in recording.of("addition"):
        if INPUT in layer.inputs or not recording.hidden(layer):
            continue
        end = scaled(recording, layer)
        sizes = [_unscaled(recording, s).second_moment for s in recording.sources(layer)]
        if not sizes or max(sizes) <= 0 or end.second_moment <= _DOUBLED * max(sizes):
            continue
        yield Finding(
            "unscaled-residual",
            "warning",
            layer.module,
            f"an addition ({layer.name}) of branches with second moments "
            f"{', '.join(f'{s:.3g}' for s in sizes)} gives {end.second_moment:.3g}",
            "sqrt(1/2) * (x + f(x)), which keeps the variance",
            "Variances of independent branches add up, so each block doubles the variance (Hoedt "
            "et al., ICLR blog track 2022).",
            "Multiply the sum by 0.5 ** 0.5; selfnorm.convert does it where it can trace it.",
        )


@rule("pooling")
def pooling(recording: Recording) -> Iterator[Finding]:
    """Pooling that moves the mean or shrinks the variance before further layers."""
    if not recording.selus:
        return
    for layer in recording.of("pooling"):
        moved = abs(layer.mean) > 0.25 or not 0.5 <= layer.variance <= 2
        if not moved or not recording.hidden(layer):
            continue
        maximal = "max" in layer.name or "Max" in layer.kind or layer.settings.get("maximal")
        followers = recording.followers(layer)
        made_up = all(f.role == "linear" and is_right_behind(recording, f) for f in followers)
        behind = not made_up and any(_bends_on(recording, f) for f in followers)
        severity: Severity = "warning" if behind else "note"
        effect = (
            "The largest of k standard values has a positive mean and a smaller variance"
            if maximal
            else "The mean of k values has down to 1/k of their variance"
        )
        yield Finding(
            "pooling",
            severity,
            layer.module,
            f"{layer.kind} gives mean {layer.mean:+.3g} and variance {layer.variance:.3g}",
            "mean 0 and variance 1 for the next layer",
            f"{effect}; the layers behind have to pull that back (order statistics; Klambauer et "
            "al. 2017, theorem 1, holds for mean in [-.1, .1], variance in [.8, 1.5]).",
            f"A convolution with stride in place of {layer.name}, or fewer and smaller windows"
            f"{by_conversion(recording, layer)}.",
        )


def by_conversion(recording: Recording, layer: Layer) -> str:
    """The other way to make up for what a layer does to the variance, where there is one."""
    followers = recording.followers(layer)  # a sum with it, or an activation, takes it as it is
    if not followers or not all(f.weights and recording.feeds_selu(f) for f in followers):
        return ""
    return (
        "; or before training selfnorm.convert(model, example=inputs), which sizes the weights "
        "behind it for that"
    )


@rule("aggregation")
def aggregation(recording: Recording) -> Iterator[Finding]:
    """A sum over neighbors that does not keep the variance."""
    if not recording.selus:
        return
    for layer in recording.of("aggregation"):
        sizes = [_unscaled(recording, one).second_moment for one in recording.sources(layer)]
        end, size = scaled(recording, layer), max(sizes, default=0.0)
        factor = end.second_moment / size if size > 0 else math.nan
        if not recording.hidden(layer) or math.isnan(factor) or 0.5 <= factor <= 2:
            continue
        yield Finding(
            "aggregation",
            "warning",
            layer.module,
            f"{layer.name} sums over neighbors: the second moment behind it is {factor:.3g} times "
            "that before it",
            "a factor near 1 for the next layer",
            "A sum over k independent neighbors has k times their variance and a mean 1/k of it; "
            "what neighbors have in common comes on top (Klambauer et al. 2017, Eq. 3, with the "
            "numbers of the graph in place of weights).",
            aggregation_mending(layer, factor),
        )


def aggregation_mending(layer: Layer, factor: float) -> str:
    """What to do about a sum over neighbors that multiplies the second moment."""
    return (
        f"Multiply what {layer.name} gives by {factor**-0.5:.3g}; where nodes have unlike numbers "
        "of neighbors, divide each node's sum by a power of its number first: 1/2 if neighbors "
        "are unrelated, 1 if they are alike."
    )


@rule("zero-padding")
def zero_padding(recording: Recording) -> Iterator[Finding]:
    """Convolutions of which a large share of the terms are padded zeros."""
    for layer in recording.layers:
        share = float(layer.settings.get("padding", 0.0))
        if share < 0.15 or not recording.feeds_selu(layer):
            continue
        yield Finding(
            "zero-padding",
            "warning" if share >= 0.3 and not is_right_behind(recording, layer) else "note",
            layer.module,
            f"{share:.0%} of the terms it sums are padded zeros (output {_shape(layer)})",
            "a small share: large maps, or no padding",
            f"A sum with {share:.0%} zeros has {1 - share:.0%} of the variance, least at the "
            "border (counted; Klambauer et al. 2017, Eq. 3).",
            _padding_mending(layer),
        )


def _padding_mending(layer: Layer) -> str:
    """What to do about zeros; a function's padding is that of whoever calls it."""
    if "ransp" in layer.kind:
        return "Begin with a larger map: a Linear layer and Unflatten, or a smaller kernel."
    circular = (
        "padding_mode='circular', or 'reflect' on maps larger than the padding"
        if layer.name == layer.module
        else "torch.nn.functional.pad(x, ..., mode='circular') before it"
    )
    return f"{circular}; less padding, or fewer strides before it."


@rule("concatenation")
def concatenation(recording: Recording) -> Iterator[Finding]:
    """Parts of different size side by side."""
    for layer in recording.of("concatenation"):
        sizes: list[float] = layer.settings.get("parts", [])
        if len(sizes) < 2 or not recording.hidden(layer) or max(sizes) <= 3 * min(sizes):
            continue
        yield Finding(
            "concatenation",
            "warning",
            layer.module,
            f"{layer.name} joins parts with second moments {', '.join(f'{s:.3g}' for s in sizes)}",
            "parts of variance 1",
            "Concatenation keeps mean and variance only if its parts agree: the next layer's "
            "inputs are taken to have one variance (Klambauer et al. 2017, section 2).",
            "Bring each part to variance 1: standardize raw inputs, end each branch with SELU.",
        )


@rule("unknown-layer")
def unknown_layer(recording: Recording) -> Iterator[Finding]:
    """Layers of which the theory says nothing: named, so that nobody takes them for checked."""
    kinds: dict[str, list[Layer]] = {}
    for layer in recording.layers:
        if layer.role in {"unknown", "product", "recurrent", "attention"}:
            kinds.setdefault(layer.kind, []).append(layer)
    for kind, layers in kinds.items():
        names = ", ".join(layer.name for layer in layers[:_LISTED])
        more = f" and {len(layers) - _LISTED} more" if len(layers) > _LISTED else ""
        variances = [layer.variance for layer in layers]
        yield Finding(
            "unknown-layer",
            "note",
            layers[0].module,
            f"{kind}: {names}{more}; variance {_range(variances)}",
            "linear layers, SELU, alpha dropout",
            "The theory of self-normalization does not cover it: behind it predictions go on from "
            "what was measured (Klambauer et al. 2017, section 2).",
            "Look at its measured mean and variance; nothing else was checked.",
        )


@rule("unused-module")
def unused_module(recording: Recording) -> Iterator[Finding]:
    """Modules that did not run, and so were not looked at."""
    if not recording.unused:
        return
    names = list(recording.unused)
    shown = ", ".join(f"{name} ({recording.unused[name]})" for name in names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    yield Finding(
        "unused-module",
        "note",
        names[0],
        f"did not run, so nothing is known of: {shown}{more}",
        "every module runs",
        "An audit sees what a forward pass calls.",
        "Pass inputs that reach it, or remove it if nothing looks at it.",
    )


def scaled(recording: Recording, layer: Layer) -> Layer:
    """What follows a sum: its own output, or that times a factor, or times what nobody learns."""
    readers = recording.readers(layer)
    if len(readers) != 1 or readers[0].role not in {"scale", "product"}:
        return layer
    others = [one for one in recording.sources(readers[0]) if one is not layer]
    learned = any(one.weights for other in others for one in recording.before(other))
    if learned:
        return layer
    end = readers[0]
    while len(more := recording.readers(end)) == 1 and more[0].settings.get("by") == "number":
        end = more[0]  # a mean, and a factor of it
    return end


def _unscaled(recording: Recording, layer: Layer) -> Layer:
    """A branch before the factor that it is multiplied by."""
    while layer.role == "scale" and layer.settings.get("by") == "number":
        sources = recording.sources(layer)
        if len(sources) != 1:
            break
        layer = sources[0]
    return layer


def _bends_on(recording: Recording, layer: Layer) -> bool:
    """Whether activations follow behind this layer, or it is one before weights."""
    waiting, seen = [layer], set[int]()
    while waiting:
        found = waiting.pop()
        if found.index in seen:
            continue
        seen.add(found.index)
        if found.role == "activation" and recording.hidden(found):
            return True
        waiting += recording.readers(found)
    return False


def _shape(layer: Layer) -> str:
    return "x".join(map(str, layer.shape[2:]))


def _range(values: list[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "nan"
    low, high = min(known), max(known)
    return f"{low:.3g}" if high - low < 0.005 * abs(high) else f"{low:.3g} to {high:.3g}"
