"""Layers that together are one: an activation or a normalization that is written by hand.

An activation is judged by what it does. So a run of operations on each number by itself is one
layer, named after the function that takes what goes in to what comes out.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from selfnorm.recording._sample import saturated
from selfnorm.watch._bends import OWN, function_of, line_of
from selfnorm.watch._draft import Draft
from selfnorm.watch._kinds import ACTIVATIONS


def merged(drafts: Sequence[Draft], outputs: Collection[int]) -> list[Draft]:
    """The layers with each such run as one; indices are as they were.

    Args:
        drafts: In the order of their indices.
        outputs: Indices of those that the model returns.
    """
    groups: dict[int, list[Draft]] = {}
    for draft in drafts:
        if draft.expression is not None:
            groups.setdefault(draft.expression.root, []).append(draft)
    runs = [group for group in groups.values() if len(group) > 1 or not _is_listed(group[0])]
    if not runs:
        return list(drafts)
    merging = _Merging(drafts, outputs)
    for run in runs:
        merging.normalizations(run)
        merging.activations(run)
        merging.statistics(run)
    return _named(merging.left)


def _named(drafts: list[Draft]) -> list[Draft]:
    """A run goes by its function's name, or by its module's if it is all that this does."""
    uses: dict[tuple[str, str], int] = {}
    for draft in drafts:
        if draft.kind:
            continue
        alone = draft.module and all(
            other.call.activation == draft.call.activation and other.call.settings.get("by_hand")
            for other in drafts
            if other.module == draft.module
        )
        kind = draft.owner if alone else f"{draft.call.activation}()"
        name = draft.module if alone else f"{draft.module}.{kind}".lstrip(".")
        use = uses[name, kind] = uses.get((name, kind), 0) + 1
        draft.name, draft.kind, draft.use = name if use == 1 else f"{name} (use {use})", kind, use
    return drafts


class _Merging:
    """What is left of the layers while runs of them become one."""

    def __init__(self, drafts: Sequence[Draft], outputs: Collection[int]) -> None:
        self._by_index = {draft.index: draft for draft in drafts}
        self._outputs = outputs
        self._readers: dict[int, set[int]] = {}
        for draft in drafts:
            self._join(draft)

    @property
    def left(self) -> list[Draft]:
        return list(self._by_index.values())

    def _join(self, draft: Draft) -> None:
        for source in draft.inputs:
            self._readers.setdefault(source, set()).add(draft.index)

    def normalizations(self, run: Sequence[Draft]) -> None:
        """What is divided by its own statistics, and all that leads there."""
        for end in self._present(run):
            if end.by_hand:
                self._swallow(end, run, stop=True)

    def activations(self, run: Sequence[Draft]) -> None:
        """The ends of a run, named by what they do."""
        members = {draft.index for draft in run}
        for end in self._present(run):
            readers = self._readers.get(end.index, set())
            inside = readers and readers <= members and end.index not in self._outputs
            if not inside and not end.by_hand:
                self._name(end, run)

    def statistics(self, run: Sequence[Draft]) -> None:
        """Statistics that only the tensor itself is brought together with are no layers."""
        members = {draft.index for draft in run}
        for draft in self._present(run):
            readers = self._readers.get(draft.index, set())
            expression = draft.expression
            is_one = expression is not None and expression.values is None
            smaller = expression is not None and draft.shape != tuple(expression.shape)
            if is_one and smaller and readers and readers <= members:
                self._drop([draft])

    def _name(self, end: Draft, run: Sequence[Draft]) -> None:
        """What the end of a run is: as a function of the root, or of the activation before it."""
        expression = end.expression
        if expression is None or expression.values is None:
            return
        if bool((expression.places == expression.places[0]).all()):
            return  # of one value any function may be
        behind = self._activation_before(end, run)
        before = behind.expression.values if behind is not None and behind.expression else None
        line = line_of(expression.places, expression.values)
        name = "" if line else function_of(expression.places, expression.values)
        if name == "selu" != (behind.call.activation if behind is not None else ""):
            self._become(end, run, name)
        elif _is_listed(end):
            return
        elif before is not None:
            line = line_of(before, expression.values)
            if line is None:
                self._become(end, [], function_of(before, expression.values))
        elif name:
            self._become(end, run, name)
        if line is not None and line[1] == 0 and end.call.role == "unknown":
            settings = {**end.call.settings, "by": "number", "factor": line[0]}
            end.call = replace(end.call, role="scale", settings=settings)

    def _become(self, end: Draft, run: Sequence[Draft], name: str) -> None:
        """An activation in place of the run that ends there."""
        names = [d.call.name for d in run if d is not end and d.index in self._before(end, run)]
        called = end.call.name if not names else "+".join(dict.fromkeys([*names, end.call.name]))
        settings = {**end.call.settings, "by_hand": True, "inplace": False, "keeps_output": False}
        activation = called if name == OWN else name
        end.call = replace(end.call, role="activation", activation=activation, settings=settings)
        if end.expression is not None and end.expression.values is not None:
            some = end.expression.values.cpu().double().numpy()
            end.sample = end.sample.with_saturated(saturated(some, activation))
        end.name = end.kind = ""
        self._swallow(end, run)

    def _activation_before(self, end: Draft, run: Sequence[Draft]) -> Draft | None:
        """The activation that all of an end's values have passed."""
        members = _indices(run)
        while len(end.inputs) == 1 and end.inputs[0] in members & self._by_index.keys():
            end = self._by_index[end.inputs[0]]
            if _is_listed(end):
                return end
        return None

    def _before(self, end: Draft, run: Sequence[Draft], *, stop: bool = False) -> set[int]:
        """The layers of a run that lead to its end; up to activations if `stop`."""
        members = _indices(run) & self._by_index.keys()
        found: set[int] = set()
        waiting = list(end.inputs)
        while waiting:
            index = waiting.pop()
            halts = stop and index in members and _is_listed(self._by_index[index])
            if index in members and index not in found and not halts:
                found.add(index)
                waiting += self._by_index[index].inputs
        return found

    def _swallow(self, end: Draft, run: Sequence[Draft], *, stop: bool = False) -> None:
        """The end reads what the run read; what nothing else reads is gone."""
        inside = self._before(end, run, stop=stop)
        outside = [
            source
            for index in sorted({*inside, end.index})
            for source in self._by_index[index].inputs
            if source not in inside
        ]
        self._read_instead(end, outside)
        for index in sorted(inside, reverse=True):
            if not self._readers.get(index) and index not in self._outputs:
                self._remove(self._by_index[index])

    def _drop(self, drafts: Iterable[Draft]) -> None:
        for draft in drafts:
            for reader in [self._by_index[k] for k in self._readers.get(draft.index, set())]:
                kept = [s for s in reader.inputs if s != draft.index]
                self._read_instead(reader, [*kept, *draft.inputs])
            self._remove(draft)

    def _read_instead(self, draft: Draft, sources: Sequence[int]) -> None:
        for source in draft.inputs:
            self._readers[source].discard(draft.index)
        draft.inputs = tuple(dict.fromkeys(sources))
        self._join(draft)

    def _remove(self, draft: Draft) -> None:
        for source in draft.inputs:
            self._readers[source].discard(draft.index)
        del self._by_index[draft.index]

    def _present(self, run: Sequence[Draft]) -> list[Draft]:
        return [draft for draft in run if draft.index in self._by_index]


def _indices(run: Sequence[Draft]) -> set[int]:
    return {draft.index for draft in run}


def _is_listed(draft: Draft) -> bool:
    return draft.call.role == "activation" and draft.call.name in ACTIVATIONS | {
        "selu_alpha_dropout"
    }
