"""Values first, then writes: what fails, fails before a weight has changed, or is undone."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from torch import Tensor

from selfnorm.init._distributions import Draw
from selfnorm.init._parametrized import holds, tensors_for
from selfnorm.init._places import Place, Slot
from selfnorm.init._tensors import as_stored, blank, check_writable


@dataclass(frozen=True)
class Writing:
    """What to write for one place: tensors, each with its values.

    `pairs` is None where the place's parametrization does not keep what it is given.
    """

    place: Place
    pairs: list[tuple[Tensor, Tensor]] | None
    wanted: Tensor | None = None

    def holds(self) -> bool:
        """Whether the layer now computes with what was wanted."""
        parametrization = self.place.parametrization
        return parametrization is None or self.wanted is None or holds(parametrization, self.wanted)


def computed(slot: Slot, draw: Draw) -> Writing:
    """Draw what goes into a place.

    Raises:
        UnsupportedError: a tensor cannot take it.
    """
    place = slot.place
    if any(tensor.is_meta for tensor in place.stored):
        return Writing(place, [])
    (first, *_), parametrization = place.stored, place.parametrization
    values = blank(place.outline, first.device)
    slot.entry.write_(values, draw)
    if parametrization is None:
        return Writing(place, [(first, as_stored(values, first, str(place)))])
    pairs = tensors_for(parametrization, values, str(place))
    for tensor, _ in pairs or ():
        check_writable(tensor, str(place))
    return Writing(place, pairs, values)


def write_all(writings: Sequence[Writing]) -> list[Place]:
    """Write in order; the places whose parametrization did not keep what it got are as before.

    If anything raises, all are.
    """
    undo: list[tuple[Tensor, Tensor]] = []
    refused: list[Place] = []
    try:
        for writing in writings:
            before = len(undo)
            if writing.pairs is None:
                refused.append(writing.place)
                continue
            while writing.pairs:  # what is written needs its memory no more
                tensor, values = writing.pairs.pop()
                undo.append((tensor, tensor.clone()))
                tensor.copy_(values)
            if not writing.holds():
                refused.append(writing.place)
                _restore(undo[before:])
                del undo[before:]
    except BaseException:
        _restore(undo)
        raise
    return refused


def _restore(undo: Sequence[tuple[Tensor, Tensor]]) -> None:
    for tensor, values in reversed(undo):
        with suppress(Exception):  # the first error is the one to tell
            tensor.copy_(values)
