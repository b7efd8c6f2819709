"""Where a departure comes from: weights, input, or a call that changes what it reads."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from selfnorm.auditing._predict import STANDARD, predict
from selfnorm.auditing._rules._culprits import is_one_sided
from selfnorm.auditing._rules._data import heavy_tailed, input_not_standardized
from selfnorm.auditing._rules._dropout import dropout_budget
from selfnorm.auditing._rules._effects import constants
from selfnorm.auditing._rules._functions import is_wrong_activation, wrong_activation
from selfnorm.auditing._rules._gains import alignment
from selfnorm.auditing._rules._registry import Rule
from selfnorm.auditing._rules._remedies import mending
from selfnorm.auditing._rules._sizes import weighted, wrong_sizes
from selfnorm.auditing._rules._structure import (
    aggregation_mending,
    by_conversion,
    leftover_normalization,
    pooling,
    scaled,
    zero_padding,
)
from selfnorm.auditing._rules._weights import selu_without_lecun, tied_uses
from selfnorm.recording import Layer, Recording, Weights
from selfnorm.recording._layer import INPUT
from selfnorm.recording._recording import PASSING, WEIGHTED
from selfnorm.recording._rightness import are_copies, is_wrong

_SUMS = {"addition", "aggregation"}
_SCORING = {"scale", "addition"}
_GATED = {"recurrent", "attention", "product"}
_POINTED: Mapping[str, Rule] = {
    "dropout-budget": dropout_budget,
    "input-not-standardized": input_not_standardized,
    "leftover-normalization": leftover_normalization,
    "pooling": pooling,
    "selu-without-lecun": selu_without_lecun,
    "wrong-activation": wrong_activation,
}
_CHANGED = 0.15
_PADDED = 0.1
_SHARE = 0.4


class Place(NamedTuple):
    """Where a cause lies, and what to do there."""

    why: str
    fix: str


def place(recording: Recording, layer: Layer) -> Place:
    """What made a layer's variance what it is: what would the theory expect, and of what?"""
    return next(_places(recording, layer))


def _places(recording: Recording, layer: Layer) -> Iterator[Place]:
    """All that it may be; the first is likeliest."""
    if layer.variance > 1 and alignment(recording) is not None:
        yield Place(
            "Placed: alignment. Weights of the right size amplify the directions in which their "
            "inputs vary together (aligned-weights).",
            "Mend aligned-weights.",
        )
    if layer.activation != "selu" and is_wrong_activation(recording, layer):
        yield _by_activation(layer)
    near = layer.predicted is not None and _agree(layer, float(layer.predicted.variance))
    before = sorted(recording.before(layer), key=lambda one: one.index)
    wrong = {w.name for _, w in weighted(recording) if is_wrong(w)}
    followed = _followed(recording, layer)
    used = [w for found in followed for w in found.weights]
    biased = any(len(f.bias) and np.mean(f.bias**2) > 0.1 for f in followed)
    suspected = near and (wrong & {w.name for w in used} or biased)
    if suspected and not _kept(recording, layer) and _would_be_right(recording, layer):
        yield Place(
            "Placed: the weights. Their omega, tau and biases alone make the theory expect this "
            "(Klambauer et al. 2017, Eq. 4 and 5).",
            _mending_weights(recording, [w for w in used if w.name in wrong] or used),
        )
    one_sided = [w for f in before if f.role in WEIGHTED for w in f.weights if is_one_sided(w)]
    if one_sided:
        yield Place(
            "Placed: the weights. They have a mean, so that what units have in common adds up "
            "(one-sided-weights).",
            mending(one_sided),
        )
    if (told := _told(recording, before)) is not None:
        yield told
    yield from _padded(recording, before if near else ())
    if near and any(not 0.5 <= f.variance + f.mean * f.mean <= 2 for f in recording.features):
        yield Place(
            "Placed: the input. It is not standardized, and the layers carry that on "
            "(Klambauer et al. 2017, section 3).",
            _mend(recording, "input-not-standardized") or "Standardize the input.",
        )
    if not near and any(f.correlation_size > 0.3 for f in recording.features):
        yield Place(
            "Placed: correlation. Units that move together add up instead of averaging out "
            "(Klambauer et al. 2017, supplement on dependent inputs).",
            "Decorrelate the input, or widen the first layers.",
        )
    if any(True for _ in heavy_tailed(recording)):
        yield Place(
            "Placed: the input. Its rows are of very different size (heavy-tailed-input).",
            "Mend heavy-tailed-input.",
        )
    if INPUT in layer.inputs:
        yield Place(
            f"Placed: the input, or what {layer.name} makes of it; no other layer stands before "
            "(Klambauer et al. 2017, section 3).",
            "Standardize the input.",
        )
    yield changing(recording, layer) or _unplaced(recording, layer)


def _by_activation(layer: Layer) -> Place:
    return Place(
        f"Placed: the activation. {layer.name} is {layer.activation}, which has no fixed point "
        "at mean 0 and variance 1 (wrong-activation).",
        "Mend wrong-activation.",
    )


def _is_normalized(recording: Recording, layer: Layer) -> bool:
    """Whether a normalization reads what a layer gives, before anything weighs or bends it."""
    return any(
        (one.role == "normalization" and recording.hidden(one))
        or (one.role in PASSING and _is_normalized(recording, one))
        for one in recording.readers(layer)
    )


def _padded(recording: Recording, before: Sequence[Layer]) -> Iterator[Place]:
    """Zeros of padding, of which the theory knows, where a finding tells of them."""
    told = {f.module for f in zero_padding(recording) if f.severity != "note"} if before else set()
    for layer in before:
        if layer.settings.get("padding") and layer.module in told:
            yield Place(
                f"Placed: padding. Much of what {layer.name} sums is zeros (zero-padding).",
                "Mend zero-padding.",
            )


def _told(recording: Recording, before: Sequence[Layer]) -> Place | None:
    """A cause that has a finding of its own."""
    constant = next(constants(recording), None)
    tied = {layer.index for layer, *_ in tied_uses(recording)}
    for layer in before:
        if layer is constant:
            return Place(
                f"Placed: {layer.name} gives one value (constant-output).", "Mend constant-output."
            )
        if layer.role == "embedding" and not 0.5 <= layer.second_moment <= 2:
            return Place(
                "Placed: the embedding. It is not of variance 1 (embedding-variance).",
                "Mend embedding-variance.",
            )
        if layer.index in tied:
            return Place(
                f"Placed: the weights. Those of {layer.name} have a second use (tied-weight).",
                "Mend tied-weight.",
            )
        if layer.role == "linear" and any(are_copies(w) for w in layer.weights):
            return Place(
                f"Placed: the weights. Units of {layer.name} are copies (repeated-units).",
                mending(layer.weights),
            )
    return None


def gradient_place(recording: Recording, layer: Layer, ratio: float) -> Place:
    """What makes gradients grow or shrink on their way to a layer, by this ratio."""
    return next(_gradient_places(recording, layer, ratio))


def _gradient_places(recording: Recording, layer: Layer, ratio: float) -> Iterator[Place]:
    dead = _told(recording, recording.layers) if layer.gradient_norm == 0 else None
    if dead is not None:
        yield dead
    for one in recording.of("activation"):
        if one.activation != "selu" and is_wrong_activation(recording, one):
            yield _by_activation(one)
    hidden = [(one, w) for one, w in weighted(recording) if recording.hidden(one)]
    sizes = {w.name for _, w in wrong_sizes(recording)}  # not what makes up for a pool or a sum
    wrong = [(one, w) for one, w in hidden if w.name in sizes or is_one_sided(w)]
    shown = [w for one, w in wrong if not _is_normalized(recording, one)]
    if shown and _explain(shown, ratio):
        yield Place(
            "Placed: the weights, which set that factor.", _mending_weights(recording, shown)
        )
    if len(shown) < len(wrong):
        yield Place(
            "Placed: normalization. What comes out of the weights has one size whatever theirs is, "
            "and the gradient is divided by it (leftover-normalization).",
            "Mend leftover-normalization.",
        )
    dropped = any(one.settings.get("p") for one in recording.layers if recording.hidden(one))
    if dropped and ratio < 1:
        lower = _mend(recording, "dropout-budget") or "Lower p."
        yield Place("Placed: dropout, which makes it smaller.", lower)
    for end in [recording.layers[index] for index in recording.outputs]:
        if (found := changing(recording, end, shrinks=None)) is not None:
            yield found
    if any(float(e.settings.get("zeros", 0)) > _PADDED for e in recording.of("embedding")):
        yield Place(
            "Placed: rows of zeros, where SELU is steepest (padded-rows).", "Mend padded-rows."
        )
    yield Place(
        f"Not placed: weights, dropout and factors are right behind {layer.name}.",
        "Look at the column `gradient` of the table: where it changes, the cause lies.",
    )


def _explain(wrong: Sequence[Weights], ratio: float) -> bool:
    """Whether sizes of weights may make gradients grow or shrink so much, were they in a row."""
    if ratio <= 0 or any(map(is_one_sided, wrong)):
        return True
    taus = [float(w.tau.mean()) for w in wrong]
    factors = [math.log(tau) / 2 for tau in taus if tau > 0 and (tau > 1) is (ratio > 1)]
    return abs(sum(factors)) > _SHARE * abs(math.log(ratio))


def changing(recording: Recording, layer: Layer, *, shrinks: bool | None = False) -> Place | None:
    """The call before a layer that changes the second moment most, in the direction of its own.

    Args:
        recording: What was seen.
        layer: Behind the call.
        shrinks: Whether it makes it smaller; None for either; False to go by the layer.
    """
    found = [(one, f) for one in recording.before(layer) if (f := _factor(recording, one))]
    if shrinks is False:
        wanted = layer.second_moment < 1 if layer.variance > 0 else True
        found = [(one, f) for one, f in found if (f < 1) is wanted]
    found = [(one, f) for one, f in found if abs(math.log(f)) > _CHANGED]
    if not found:
        return None
    worst, factor = max(found, key=lambda pair: (abs(math.log(pair[1])), -pair[0].index))
    alike = sum(one.kind == worst.kind for one, _ in found)
    others = f"{alike - 1} more call{'s' if alike > 2 else ''} of {worst.kind}"
    more = f", and so do{'' if alike > 2 else 'es'} {others}" if alike > 1 else ""
    return Place(
        f"Placed: the structure. {worst.name} multiplies the second moment by {factor:.3g}{more}.",
        mending_of(recording, worst, factor),
    )


def _factor(recording: Recording, layer: Layer) -> float | None:
    """What a layer that neither weighs nor is SELU does to the second moment of what it reads."""
    known = layer.role in {"linear", "embedding"} or layer.activation == "selu"
    if known or _are_scores(recording, layer):
        return None
    sources = recording.sources(layer)
    if INPUT in layer.inputs and layer.role in _GATED:
        return layer.second_moment or None  # of an input as it should be
    if not sources or INPUT in layer.inputs:
        return None
    followers = recording.followers(layer)
    if layer.role == "activation" and all(f.role == "product" for f in followers):
        return None  # a gate is judged by what it lets through
    summed = next((s for s in sources if s.role in _SUMS and scaled(recording, s) is layer), None)
    if summed is not None:
        sources = recording.sources(summed) or sources  # a sum and its factor are one
    elif layer.role in _SUMS and scaled(recording, layer) is not layer:
        return None
    size = max(source.second_moment for source in sources)
    factor = layer.second_moment / size if size > 0 else math.nan
    return factor if 0 < factor < math.inf else None


def _are_scores(recording: Recording, layer: Layer) -> bool:
    """Whether a softmax alone reads a layer, past factors and masks: it bounds whatever comes."""
    followers = recording.followers(layer)
    return bool(followers) and all(
        f.activation == "softmax" or (f.role in _SCORING and _are_scores(recording, f))
        for f in followers
    )


def mending_of(recording: Recording, layer: Layer, factor: float) -> str:
    """What to do about a call that multiplies the second moment."""
    number = layer.settings.get("factor")
    before = next((source.role for source in recording.sources(layer)), "")
    if layer.role == "scale" and before == "addition":
        instead = "" if number is None else f", and not by {number:.3g}"
        return f"Multiply the sum by 0.5 ** 0.5{instead}: selfnorm.convert does it."
    if layer.role == "scale" and before != "aggregation":
        named = "" if number is None else f" {number:.3g}"
        return f"Leave out the factor{named} of {layer.name}{_likewise(recording, layer)}."
    by_role = {
        "addition": "Multiply the sum by 0.5 ** 0.5; selfnorm.convert does it where it can trace "
        "it.",
        "aggregation": aggregation_mending(layer, factor),
        "scale": aggregation_mending(layer, factor),
        "normalization": _mend(recording, "leftover-normalization"),
        "dropout": "Mend plain-dropout: selfnorm.nn.SELUAlphaDropout(p) in place of SELU and "
        "dropout.",
        "activation": _mend(recording, "wrong-activation")
        or f"selfnorm.nn.SELU() in place of {layer.activation}.",
        "pooling": _mend(recording, "pooling"),
    }
    by_hand = f"Divide what {layer.name} gives by {factor**0.5:.3g}{_likewise(recording, layer)}"
    return by_role.get(layer.role) or f"{by_hand}{by_conversion(recording, layer)}."


def _mending_weights(recording: Recording, wrong: Sequence[Weights]) -> str:
    """How to give them their size; by another finding's words where no one line does it for all."""
    fix = mending(wrong)
    by_line = fix.startswith("selfnorm.init.initialize_(model")
    return fix if by_line else _mend(recording, "selu-without-lecun") or fix


def _likewise(recording: Recording, layer: Layer) -> str:
    """How many more calls do the same."""
    alike = [
        one
        for one in recording.of(layer.role)
        if one.kind == layer.kind and one.settings.get("factor") == layer.settings.get("factor")
    ]
    more = len(alike) - 1
    return f", and likewise in {more} more call{'s' if more > 1 else ''}" if more else ""


def _mend(recording: Recording, rule: str) -> str:
    """A pointer to the finding of another rule, if it has one."""
    return f"Mend {rule}." if any(True for _ in _POINTED[rule](recording)) else ""


def _followed(recording: Recording, layer: Layer) -> list[Layer]:
    """The layers whose weights the theory's expectation of a layer comes from, itself first.

    Behind one that it cannot follow, as a recurrence, it goes on from what was measured there.
    """
    found: dict[int, Layer] = {}
    waiting = [layer]
    while waiting:
        one = waiting.pop()
        if one.index not in found and one.predicted is not None:
            found[one.index] = one
            waiting += recording.sources(one)
    return list(found.values())


def _unplaced(recording: Recording, layer: Layer) -> Place:
    """Where theory and measurement part first."""
    for one in sorted(recording.before(layer), key=lambda one: one.index):
        expected = None if one.local is None else float(one.local.variance)
        if expected is not None and expected > 0 and not _agree(one, expected):
            return Place(
                f"Not placed. Theory and measurement part at {one.name}: {one.variance:.3g} was "
                f"measured, and {expected:.3g} expected of what it reads.",
                f"Look at {one.name} and at the units that it reads.",
            )
    return Place(
        f"Not placed: the layers before {layer.name} do what the theory expects of each.",
        "Look at the column `variance` of the table: it goes from layer to layer.",
    )


def _kept(recording: Recording, layer: Layer) -> bool:
    """Whether the theory expects a right variance there if the input were right."""
    return _is_right(predict(recording.layers, STANDARD)[layer.index])


def _would_be_right(recording: Recording, layer: Layer) -> bool:
    """The same if all weights were LeCun's, too; if not, something else is at work."""
    mended = [
        replace(one, weights=tuple(map(_lecuns, one.weights)), bias=0 * one.bias)
        if one.role == "linear"
        else one
        for one in recording.layers
    ]
    return _is_right(predict(mended, STANDARD)[layer.index])


def _lecuns(weights: Weights) -> Weights:
    units = len(weights.tau)
    return replace(weights, omega=np.zeros(units), tau=np.ones(units))


def _is_right(layer: Layer) -> bool:
    found = layer.predicted
    return found is not None and abs(math.log(max(float(found.variance), 1e-30))) < math.log(2)


def _agree(layer: Layer, expected: float) -> bool:
    if expected <= 0 or layer.variance <= 0:
        return layer.variance <= 0
    return abs(math.log(layer.variance) - math.log(expected)) < 0.5
