"""Which calls are layers, and which layer reads which: before anything is run."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from selfnorm.keras.trace._calls import Call, Calls, Token, tokens_in
from selfnorm.keras.trace._pointwise import is_pointwise, site_of_chain
from selfnorm.keras.trace._site import PRODUCTS, Site, site_of
from selfnorm.recording._layer import INPUT

_PREPARING = {"scale", "padding"}


@dataclass(frozen=True)
class Place:
    """A layer of the plan.

    Attributes:
        site: What it is.
        sources: Indices of the layers that it reads; -1 is the input.
        reads: The values that its call reads.
        gives: The value that it is.
        of_input: Whether what it reads is the model's input, scaled at the most.
        channels_first: Whether its units are counted by axis 1.
        owner: The layer that it is or belongs to; else the operation, of a run the last.
        alone: Whether it is one call, which takes nothing but what it reads.
    """

    site: Site
    sources: tuple[int, ...]
    reads: tuple[Token, ...]
    gives: Token
    of_input: bool
    channels_first: bool
    owner: Any
    alone: bool


@dataclass(frozen=True)
class Plan:
    """A model's calls, with the places of layers among them.

    Attributes:
        inputs: Flat.
        events: A call to run, or the index of the layer whose value is there now.
        places: The layers, by index.
        outputs: As the model gives them.
        ends: Indices of the layers whose output the model returns.
    """

    inputs: tuple[Token, ...]
    events: tuple[Call | int, ...]
    places: tuple[Place, ...]
    outputs: Any
    ends: tuple[int, ...]


def plan(calls: Calls) -> Plan:
    """What a model does, as layers."""
    planner = _Planner(dict.fromkeys(calls.inputs, (INPUT,)))
    for call in calls.calls:
        planner.take(call)
    return planner.finished(calls)


@dataclass(frozen=True)
class _Chain:
    """Functions of single numbers, of a value that is settled."""

    base: Token
    calls: tuple[Call, ...]


@dataclass
class _Planner:
    sources: dict[Token, tuple[int, ...]]
    events: list[Call | int] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    chains: dict[Token, _Chain] = field(default_factory=dict)
    first: dict[Token, bool] = field(default_factory=dict)  # axis 1 counts units
    weighed: set[int] = field(default_factory=set)  # layers with weights, or weights before them

    def take(self, call: Call) -> None:
        """The next call."""
        if not call.given:
            self._pass_over(call)
        elif not (is_pointwise(call) and self._continues(call)):
            for token in call.given:
                self._settle(token)
            self._layer(call)

    def finished(self, calls: Calls) -> Plan:
        """The whole."""
        ends = tokens_in(calls.outputs)
        for token in ends:
            self._settle(token)
        found = dict.fromkeys(s for token in ends for s in self.sources[token] if s != INPUT)
        return Plan(
            calls.inputs, tuple(self.events), tuple(self.places), calls.outputs, tuple(found)
        )

    def _continues(self, call: Call) -> bool:
        """Whether it is a function of the one value that all it reads are functions of."""
        parts = [self.chains.get(token, _Chain(token, ())) for token in call.given]
        if len({id(part.base) for part in parts}) != 1 or len(call.outputs) != 1:
            return False
        run = dict.fromkeys(c for part in parts for c in part.calls)
        self._pass_over(call)
        self.chains[call.outputs[0]] = _Chain(parts[0].base, (*run, call))
        return True

    def _settle(self, token: Token) -> None:
        """A value that is read by something else becomes a layer."""
        chain = self.chains.pop(token, None)
        site = None if chain is None else site_of_chain(chain.calls, chain.base, token)
        if chain is not None and site is not None:
            self._place(site, self.sources[chain.base], (chain.base,), token, chain.calls)

    def _layer(self, call: Call) -> None:
        site = site_of(call)
        if site.role == "product" and self._aggregates(call):
            site = replace(site, role="aggregation")
        self._pass_over(call)
        dropout = site.role in {"dropout", "alpha dropout"}
        off = dropout and (call.kwargs.get("training") is False or not site.settings["p"])
        if off or not site.role:
            return
        reads, gives = tuple(call.given), call.outputs[0]
        joined = dict.fromkeys(s for token in reads for s in self.sources[token])
        self._place(site, tuple(joined), reads, gives, (call,))
        for other in call.outputs[1:]:
            self.sources[other] = self.sources[gives]

    def _place(
        self,
        site: Site,
        sources: tuple[int, ...],
        reads: tuple[Token, ...],
        gives: Token,
        calls: Sequence[Call],
    ) -> None:
        call = calls[-1]
        index = len(self.places)
        self.events.append(index)
        if site.matrices or self.weighed.intersection(sources):
            self.weighed.add(index)
        self.sources[gives] = (index,)
        weighs = site.role == "linear"
        first = site.channels_first if weighs else self.first.get(reads[0], False)
        self.first[gives] = first
        of_input = all(source == INPUT or self._prepares(source) for source in sources)
        alone = len(calls) == 1 and call.args == reads
        self.places.append(Place(site, sources, reads, gives, of_input, first, call.owner, alone))

    def _aggregates(self, call: Call) -> bool:
        """Whether a product sums nodes, rows or positions by numbers that nobody learns."""
        tokens = [arg for arg in call.args if isinstance(arg, Token)]
        if type(call.operation).__name__ not in PRODUCTS or len(tokens) != 2:
            return False
        left = self.weighed.intersection(self.sources[tokens[0]])
        return not left  # where neither is, the last one is taken for what moves

    def _prepares(self, source: int) -> bool:
        place = self.places[source]
        return place.site.role in _PREPARING and place.of_input

    def _pass_over(self, call: Call) -> None:
        self.events.append(call)
        joined = dict.fromkeys(s for token in call.given for s in self.sources[token])
        for token in call.outputs:
            self.sources[token] = tuple(joined)
            same = any(len(g.shape) == len(token.shape) and self.first.get(g) for g in call.given)
            self.first[token] = same
