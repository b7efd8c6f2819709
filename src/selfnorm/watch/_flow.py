"""Which tensor of a pass comes from which layers, for each tensor that is alive."""

import weakref
from typing import NamedTuple

from torch import Tensor

from selfnorm._given import leaves


class Known(NamedTuple):
    """What is known of a tensor: the layers that it comes from, and where its units lie."""

    sources: tuple[int, ...]
    dim: int | None


class Flow:
    """Tensors of one pass. None is kept alive."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Tensor], Known]] = {}

    def clear(self) -> None:
        """A new pass begins."""
        self._known.clear()

    def remember(self, value: Tensor, sources: tuple[int, ...], dim: int | None) -> None:
        """Where a tensor comes from, as long as it is alive."""
        key, known = id(value), self._known

        def forget(ref: "weakref.ref[Tensor]") -> None:
            if key in known and known[key][0] is ref:
                del known[key]

        known[key] = (weakref.ref(value, forget), Known(sources, dim))

    def known(self, value: Tensor) -> Known | None:
        """What is known of a tensor; None of one that no layer gave."""
        entry = self._known.get(id(value))
        return entry[1] if entry is not None and entry[0]() is value else None

    def sources(self, values: object) -> tuple[int, ...]:
        """Indices of the layers that tensors come from, each once."""
        found: dict[int, None] = {}
        for value in leaves(values):
            known = self.known(value) if isinstance(value, Tensor) else None
            if known is not None:
                found |= dict.fromkeys(known.sources)
        return tuple(found)
