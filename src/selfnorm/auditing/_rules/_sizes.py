"""Which weights have a wrong size, and which of these are as they should be all the same."""

import math
from collections.abc import Iterator

from selfnorm.auditing._rules._culprits import suspects
from selfnorm.auditing._rules._gains import alignment
from selfnorm.auditing._rules._once import once
from selfnorm.recording import Layer, Recording, Weights
from selfnorm.recording._recording import PASSING, WEIGHTED
from selfnorm.recording._rightness import is_wrong
from selfnorm.theory import THEOREM_1

_ENDS = {"addition", "product"}
_USUAL = 0.8, 1.25  # second moments


def weighted(recording: Recording) -> Iterator[tuple[Layer, Weights]]:
    """Every weight once, with the first layer that uses it."""
    for layer, weights, first in uses(recording):
        if first is None:
            yield layer, weights


def uses(recording: Recording) -> Iterator[tuple[Layer, Weights, tuple[Layer, Weights] | None]]:
    """Every weight for each fan-in that it is used with, beside its first use if that differs."""
    seen: dict[str, dict[int, tuple[Layer, Weights]]] = {}
    for layer in recording.layers:
        if layer.role in WEIGHTED:
            for weights in layer.weights:
                found = seen.setdefault(weights.name, {})
                if weights.fan_in not in found:
                    yield layer, weights, next(iter(found.values()), None)
                    found[weights.fan_in] = (layer, weights)


@once
def wrong_sizes(recording: Recording) -> tuple[tuple[Layer, Weights], ...]:
    """Weights of a wrong size, but for those that grew as they became aligned with their inputs."""
    return tuple(_wrong_sizes(recording))


def _wrong_sizes(recording: Recording) -> Iterator[tuple[Layer, Weights]]:
    wrong = _off(recording)
    aligned = alignment(recording) if wrong else None
    excess = aligned.excess if aligned is not None else {}
    for layer, weights in wrong:
        grown = excess.get(layer.index, 0.0) > layer.tau > 1
        excused = _starts_silent(recording, layer, weights) or _makes_up(recording, layer, weights)
        if not grown and not excused:
            yield layer, weights


@once
def _off(recording: Recording) -> tuple[tuple[Layer, Weights], ...]:
    """All weights of another size than LeCun's."""
    return tuple((layer, w) for layer, w in weighted(recording) if is_wrong(w))


@once
def _drawn(recording: Recording) -> dict[str, frozenset[str]]:
    """Who may have drawn each of them, by its name."""
    return {w.name: frozenset(suspects(w, layer)) for layer, w in _off(recording)}


def _is_drawn(recording: Recording, weights: Weights) -> bool:
    """Whether a formula gives the size of weights, and that of most others that are off.

    Of many sizes that were measured some fit one by chance.
    """
    drawn = _drawn(recording)
    alike = sum(bool(drawn[weights.name] & names) for names in drawn.values())
    return 2 * alike > len(drawn)


def _starts_silent(recording: Recording, layer: Layer, weights: Weights) -> bool:
    """Whether a branch starts at zero: its last weight, or what only that one reads."""
    followers = recording.followers(layer)
    if not weights.tau.any():
        ends = [f for f in followers if f.role in _ENDS]
        left = [f for f in followers if f not in ends and not _fades(recording, f)]
        return bool(followers) and all(_is_gate(recording, f, ends) for f in left)
    zero = [f for f in followers if f.weights and f.silent]
    return bool(zero) and all(_starts_silent(recording, f, f.weights[0]) for f in zero)


def _fades(recording: Recording, layer: Layer) -> bool:
    """Whether an activation of zeros gives zeros, to a sum or a product."""
    followers = recording.followers(layer)
    silent = layer.role == "activation" and layer.second_moment == 0
    return silent and bool(followers) and all(f.role in _ENDS for f in followers)


def _is_gate(recording: Recording, layer: Layer, ends: list[Layer]) -> bool:
    """Whether a layer's one way out is a factor of some products, as of squeeze-and-excite."""
    followers = recording.followers(layer)
    return bool(followers) and all(
        f in ends if f.role == "product" else _is_gate(recording, f, ends) for f in followers
    )


def _makes_up(recording: Recording, layer: Layer, weights: Weights) -> bool:
    """Whether the size of weights makes up for what they read, or for what lies behind them.

    As after `selfnorm.convert(model, example=...)`, around paddings, pools, gates and recurrences:
    with weights of size 1 the layer, or the SELU that follows, would be farther from variance 1.
    """
    if not _inside(recording, layer):
        return False
    size = float(weights.tau.mean())
    selus = [f for f in recording.followers(layer) if f.activation == "selu"]
    following = [selu.variance for selu in selus if not _normalized(recording, selu)]
    if any(is_usual(one) and not is_usual(one / size) for one in (layer.second_moment, *following)):
        return True
    right = [one for one in following if THEOREM_1.holds("variance", one)]
    right += [layer.second_moment] if is_usual(layer.second_moment) else []
    nearer = any(abs(math.log(one)) < abs(math.log(one / size)) for one in right)
    return nearer and not _is_drawn(recording, weights)


def is_right_behind(recording: Recording, layer: Layer) -> bool:
    """Whether what a layer with weights gives is of the right size, or all SELUs behind it are."""
    selus = [f for f in recording.followers(layer) if f.activation == "selu"]
    right = bool(selus) and all(THEOREM_1.holds("variance", selu.variance) for selu in selus)
    return right or is_usual(layer.second_moment)


def _normalized(recording: Recording, layer: Layer) -> bool:
    """Whether what a layer reads was normalized, so that no size of weights shows in it."""
    sources = recording.sources(layer)
    return any(
        source.role == "normalization"
        or (source.role in PASSING and _normalized(recording, source))
        for source in sources
    )


def is_usual(second_moment: float) -> bool:
    """Whether a second moment is that of a right layer."""
    low, high = _USUAL
    return low <= second_moment <= high


def _inside(recording: Recording, layer: Layer) -> bool:
    """Whether a layer is hidden, and reads what other layers give or a right input."""
    right = all(is_usual(f.variance + f.mean * f.mean) for f in recording.features)
    return recording.hidden(layer) and (right or not recording.reads_input(layer))
