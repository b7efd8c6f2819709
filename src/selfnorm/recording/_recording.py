"""Everything that was seen of a model in one audit, and what stands before and behind what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import nan
from typing import Any

from selfnorm.recording._layer import INPUT, Features, Layer

PASSING = {
    "dropout",
    "alpha dropout",
    "normalization",
    "pooling",
    "aggregation",
    "scale",
    "padding",
}
"""Roles of layers with one input that neither weigh nor bend it."""
WEIGHTED = {"linear", "recurrent", "attention"}


@dataclass(frozen=True)
class Recording:
    """What the rules judge.

    Attributes:
        model: Name of the model's class.
        layers: In the order of the forward pass.
        features: What the model is given, once for each layer that reads it.
        outputs: Indices of the layers whose output the model returns.
        unused: Names and kinds of modules without children that did not run.
        rows: Size of the batches' first dimension, together.
        failure: Why the backward pass failed, if a tensor had been overwritten; else "".
        idle: Calls of alpha dropout that are off in training, and their p.
        unread: Indices of layers whose output nothing reads, and that the model does not keep.
        lowest_target: Of a loader's targets, if they are floating-point numbers; else nan.
    """

    model: str
    layers: tuple[Layer, ...]
    features: tuple[Features, ...] = ()
    outputs: tuple[int, ...] = ()
    unused: Mapping[str, str] = field(default_factory=dict[str, str])
    rows: int = 0
    failure: str = ""
    idle: Mapping[str, float] = field(default_factory=dict[str, float])
    unread: tuple[int, ...] = ()
    lowest_target: float = nan

    @cached_property
    def memo(self) -> dict[str, Any]:
        """What rules have worked out of it, by name, so that each does so once."""
        return {}

    @cached_property
    def _readers(self) -> dict[int, list[Layer]]:
        readers: dict[int, list[Layer]] = {}
        for layer in self.layers:
            for source in layer.inputs:
                readers.setdefault(source, []).append(layer)
        return readers

    def readers(self, layer: Layer) -> list[Layer]:
        """The layers that read its output."""
        return self._readers.get(layer.index, [])

    def sources(self, layer: Layer) -> list[Layer]:
        """The layers whose output it reads."""
        return [self.layers[index] for index in layer.inputs if index != INPUT]

    def reads_input(self, layer: Layer) -> bool:
        """Whether it reads what the model is given."""
        return INPUT in layer.inputs

    def origin(self, layer: Layer) -> Layer | None:
        """The nearest layer before it that weighs, bends or joins; None if that is the input."""
        while True:
            sources = self.sources(layer)
            if len(sources) != 1:
                return None
            layer = sources[0]
            if layer.role not in PASSING:
                return layer

    def before(self, *layers: Layer) -> list[Layer]:
        """All layers that these depend on, themselves first."""
        found: dict[int, Layer] = {}
        waiting = list(layers)
        while waiting:
            layer = waiting.pop()
            if layer.index not in found:
                found[layer.index] = layer
                waiting += self.sources(layer)
        return list(found.values())

    def followers(self, layer: Layer) -> list[Layer]:
        """The nearest layers behind it that weigh, bend or join."""
        found: list[Layer] = []
        waiting = list(self.readers(layer))
        seen: set[int] = set()
        while waiting:
            reader = waiting.pop(0)
            if reader.index in seen:
                continue
            seen.add(reader.index)
            if reader.role in PASSING:
                waiting += self.readers(reader)
            else:
                found.append(reader)
        return found

    def silenced(self, layer: Layer) -> bool:
        """Whether whatever reads it next multiplies it by 0."""
        readers = self.readers(layer)
        return bool(readers) and all(
            reader.silent or (reader.role in PASSING and self.silenced(reader))
            for reader in readers
        )

    @cached_property
    def _weighed(self) -> set[int]:
        """Layers behind which, however far, another layer has weights."""
        found: set[int] = set()
        for layer in reversed(self.layers):
            if layer.role in WEIGHTED or layer.index in found:
                found |= set(layer.inputs)
        return found

    def hidden(self, layer: Layer) -> bool:
        """Whether a layer with weights stands somewhere behind it."""
        return layer.index in self._weighed

    def of(self, role: str) -> Iterator[Layer]:
        """The layers of a role."""
        return (layer for layer in self.layers if layer.role == role)

    @cached_property
    def selus(self) -> list[Layer]:
        """The activations that are SELU."""
        return [layer for layer in self.layers if layer.activation == "selu"]

    @cached_property
    def depth(self) -> int:
        """The most SELU layers that one path passes."""
        depths: dict[int, int] = {INPUT: 0}
        for layer in self.layers:
            before = max((depths.get(index, 0) for index in layer.inputs), default=0)
            depths[layer.index] = before + (layer.activation == "selu")
        return max(depths.values())

    def feeds_selu(self, layer: Layer) -> bool:
        """Whether SELU follows next."""
        return any(reader.activation == "selu" for reader in self.followers(layer))
