"""What calls between the layers do to the variance a little each, and together a lot."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from selfnorm.recording import Layer, Recording
from selfnorm.recording._recording import WEIGHTED

_LEAST = 4
_PART, _ALL = 0.1, 0.15  # logarithms, on average a layer
_SHOWS = math.log(1.5)


class Repeated(NamedTuple):
    """Calls that change the second moment in the same direction again and again.

    Attributes:
        first: The first of them.
        calls: How many layers have some before them.
        factor: Of the second moment, the geometric mean over all layers.
        total: The same with the weights' tau.
        last: The last SELU, which shows it.
    """

    first: Layer
    calls: int
    factor: float
    total: float
    last: Layer


def repeated(recording: Recording) -> Repeated | None:
    """Calls that move the variance where each of them is too small to be told from chance.

    Chance has a hand in the size of what weights give, and none in what a call does to what it
    reads: of many layers even a small factor is certain.
    """
    found = list(_between(recording))
    last = next((s for s in reversed(recording.selus) if recording.hidden(s)), None)
    moved = [(call, factor) for _, call, factor in found if call is not None]
    if len(found) < _LEAST or last is None or not moved:
        return None
    part = sum(math.log(factor) for _, factor in moved) / len(found)
    total = part + sum(math.log(layer.tau) for layer, *_ in found) / len(found)
    shown = math.log(max(last.variance, 1e-30))
    alike = part * total > 0 and part * shown > 0
    if not alike or abs(part) < _PART or abs(total) < _ALL or abs(shown) < _SHOWS:
        return None
    return Repeated(moved[0][0], len(moved), math.exp(part), math.exp(total), last)


def _between(recording: Recording) -> Iterator[tuple[Layer, Layer | None, float]]:
    """Layers before a SELU, the call between each and the SELU before it, and its factor."""
    for layer in recording.of("linear"):
        source = max(recording.sources(layer), key=lambda one: one.second_moment, default=None)
        if source is None or not recording.feeds_selu(layer) or not layer.tau > 0:
            continue
        call, end = (None, source) if source.activation == "selu" else (source, source)
        while end.activation != "selu":
            sources = recording.sources(end)
            if end.role in WEIGHTED or not sources:
                break
            end = max(sources, key=lambda one: one.second_moment)
        if end.activation == "selu" and end.second_moment > 0 and source.second_moment > 0:
            yield layer, call, source.second_moment / end.second_moment
