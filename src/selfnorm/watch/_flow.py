"""Which tensor of a pass comes from which layers, for each tensor that is alive."""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from selfnorm._given import leaves

_What = TypeVar("_What")


@dataclass(frozen=True)
class Expression:
    """A tensor as a function of its root.

    Attributes:
        root: Tells one root from another.
        shape: The root's.
        places: Some of the root's values.
        values: The same ones of the tensor; None where it is not computed number by number, but by
            statistics of the root besides.
    """

    root: int
    shape: torch.Size
    places: Tensor
    values: Tensor | None


class Known(NamedTuple):
    """What is known of a tensor.

    Attributes:
        sources: The layers that it comes from.
        dim: Where its units lie.
        expression: What it is a function of.
    """

    sources: tuple[int, ...]
    dim: int | None
    expression: Expression | None = None


class Parameter(NamedTuple):
    """Which parameter a tensor is, or is computed from."""

    name: str
    shape: tuple[int, ...]
    drawn: bool = True  # by `selfnorm.init.initialize_`
    stored: Tensor | None = None  # the parameter itself


def moved(before: Tensor, dim: int | None, after: Tensor) -> int | None:
    """Where the units lie in a tensor that a function made by putting numbers in another order.

    Views keep the stride of each dimension, so that it is found again behind `permute`, `transpose`
    and `flatten`; None where it is not.
    """
    if dim is None or before.ndim < 2 or not _is_view(after, before):
        return dim if after.shape == before.shape else None
    own = before.shape[dim], before.stride(dim)
    found = [d for d in range(after.ndim) if (after.shape[d], after.stride(d)) == own]
    return found[0] if len(found) == 1 else None


def _is_view(after: Tensor, before: Tensor) -> bool:
    dense = after.layout == before.layout == torch.strided
    return dense and after.untyped_storage().data_ptr() == before.untyped_storage().data_ptr()


class Alive(Generic[_What]):
    """What is known of tensors, by which they are and not by their values. None is kept alive."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Tensor], _What]] = {}

    def clear(self) -> None:
        """Nothing is known any more."""
        self._known.clear()

    def put(self, value: Tensor, what: _What) -> None:
        """Know this of a tensor, as long as it is alive."""
        key, known = id(value), self._known

        def forget(ref: "weakref.ref[Tensor]") -> None:
            if key in known and known[key][0] is ref:
                del known[key]

        known[key] = (weakref.ref(value, forget), what)

    def get(self, value: Tensor) -> _What | None:
        """What is known of a tensor, if anything is."""
        entry = self._known.get(id(value))
        return entry[1] if entry is not None and entry[0]() is value else None


class Flow:
    """Tensors of one pass."""

    def __init__(self) -> None:
        self._known = Alive[Known]()
        self.clear, self.known = self._known.clear, self._known.get

    def remember(
        self,
        value: Tensor,
        sources: tuple[int, ...],
        dim: int | None,
        expression: Expression | None = None,
    ) -> None:
        """Where a tensor comes from."""
        self._known.put(value, Known(sources, dim, expression))

    def expression(self, value: Tensor) -> Expression | None:
        """What a tensor is a function of, if that is known."""
        known = self.known(value)
        return None if known is None else known.expression

    def express(self, value: Tensor, expression: Expression | None) -> None:
        """Note what a tensor that is known is a function of."""
        known = self.known(value)
        if known is not None:
            self._known.put(value, known._replace(expression=expression))

    def sources(self, values: object) -> tuple[int, ...]:
        """Indices of the layers that tensors come from, each once.

        Whole numbers beside others say where these go, as a graph's edges do, and do not count.
        """
        known = [(v, k) for v in leaves(values) if isinstance(v, Tensor) and (k := self.known(v))]
        moved = [k for v, k in known if v.is_floating_point() or v.is_complex()]
        found = moved or [k for _, k in known]
        return tuple(dict.fromkeys(source for one in found for source in one.sources))


def tensors(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """The tensors of a call, in order, each once."""
    found: dict[int, Tensor] = {}
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor):
            found[id(value)] = value
        elif isinstance(value, list | tuple):
            found |= {id(v): v for v in leaves(value) if isinstance(v, Tensor)}
    return list(found.values())
