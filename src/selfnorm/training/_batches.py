"""Where the rows to learn from come from: mini-batches, epoch after epoch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

_MOST_SHORT = 1 << 31


@dataclass(frozen=True)
class Rows:
    """Rows of inputs with their targets, on the device that trains.

    Attributes:
        inputs: What the model reads, (rows, ...).
        targets: What it is to say, (rows, ...).
        weights: How much each row counts, (rows,), or for each of several members, (rows, members);
            of mean 1 over all rows: a mini-batch of rows that count little then moves the model
            little. None where all count the same.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def known(self) -> tuple[Tensor, ...]:
        """What a loss is told besides outputs: targets, and weights if there are some."""
        return (self.targets,) if self.weights is None else (self.targets, self.weights)

    def map(self, function: Callable[[Tensor], Tensor]) -> "Rows":
        """The same function of inputs, of targets, and of weights if there are some."""
        return Rows(function(self.inputs), *(function(one) for one in self.known))


@dataclass(frozen=True)
class Slices:
    """Some slices of a mini-batch that processes share.

    Attributes:
        parts: The rows of each.
        rows: How many rows the whole mini-batch has.
    """

    parts: tuple[Rows, ...]
    rows: int

    def __len__(self) -> int:
        return self.rows


class Batches(Protocol):
    """Mini-batches of the same rows in a new order every epoch, on the device that trains."""

    @property
    def steps(self) -> int:
        """How many mini-batches an epoch has."""
        ...

    @property
    def largest(self) -> int:
        """Rows of the largest mini-batch."""
        ...

    def epoch(self, generator: torch.Generator | None) -> Iterator[Rows]:
        """The mini-batches of one epoch; the order comes from the generator (torch's if None)."""
        ...


@runtime_checkable
class Resumable(Batches, Protocol):
    """Batches that begin within an epoch without going through what came before."""

    @property
    def place(self) -> Any:
        """Where they are, as plain JSON; None if the number of mini-batches tells all."""
        ...

    def rest(self, generator: torch.Generator | None, steps: int, place: Any) -> Iterator[Rows]:
        """The mini-batches of an epoch behind the first so many; the generator as it began."""
        ...


def place_of(batches: Batches) -> Any:
    """Where batches are, as plain JSON; None of those that do not tell."""
    return batches.place if isinstance(batches, Resumable) else None


def rest_of(
    batches: Batches, generator: torch.Generator | None, steps: int, place: Any
) -> Iterator[Rows]:
    """The mini-batches of an epoch behind the first so many, of any batches."""
    if steps and isinstance(batches, Resumable):
        return batches.rest(generator, steps, place)
    return islice(batches.epoch(generator), steps, None)


@dataclass(frozen=True)
class Folded:
    """Rows in memory for members that are trained as one, each with an order of its own.

    Inputs of a mini-batch are (rows, members, ...), and so are targets and weights.

    Args:
        rows: The rows.
        left_out: Which members do not learn from each row, (rows, members), booleans; None if all
            learn from all. Where they learn from more or fewer rows, an epoch takes the fewest.
        members: How many there are.
        size: Most rows of a member's mini-batch.
        mine: Which of them are trained here; None for all. Orders are the same for all that.
    """

    rows: Rows
    left_out: Tensor | None
    members: int
    size: int
    mine: range | None = None

    @property
    def steps(self) -> int:
        """How many mini-batches an epoch has."""
        return math.ceil(self._count / self.size)

    @property
    def largest(self) -> int:
        """Rows of a member's largest mini-batch."""
        return math.ceil(self._count / self.steps)

    @property
    def _count(self) -> int:
        if self.left_out is None:
            return len(self.rows)
        # One member at a time: a sum of booleans makes whole numbers of all of them first.
        return len(self.rows) - max(int(one.count_nonzero()) for one in self.left_out.unbind(1))

    def epoch(self, generator: torch.Generator | None) -> Iterator[Rows]:
        """The mini-batches of one epoch."""
        yield from map(self._at, self._numbers(generator))

    def slices(self, generator: torch.Generator | None, mine: range, of: int) -> Iterator[Slices]:
        """Some slices of each mini-batch."""
        for numbers in self._numbers(generator):
            parts = numbers.tensor_split(of, dim=1)
            yield Slices(tuple(self._at(parts[one]) for one in mine), numbers.shape[1])

    def _numbers(self, generator: torch.Generator | None) -> tuple[Tensor, ...]:
        """The rows of each mini-batch, (members, rows)."""
        count, rows = self._count, len(self.rows)
        mine = range(self.members) if self.mine is None else self.mine
        kind = torch.int32 if rows < _MOST_SHORT else torch.int64  # half of the memory
        together = torch.empty((len(mine), count), dtype=kind, device="cpu")
        for member in range(self.members):
            order = torch.randperm(rows, generator=generator, device="cpu")
            if member not in mine:
                continue
            if self.left_out is not None:
                order = order[~self.left_out[order, member]]
            together[member - mine.start] = order[:count]
        return together.to(self.rows.inputs.device).tensor_split(self.steps, dim=1)

    def _at(self, short: Tensor) -> Rows:
        numbers = short.long()
        return self.rows.map(lambda one: one[numbers].transpose(0, 1))


@dataclass(frozen=True)
class Shuffled:
    """Rows in memory as `Batches`: all of them once an epoch, in mini-batches of even size.

    Args:
        rows: The rows.
        size: Most rows of a mini-batch. Even sizes mean that none is a single row if there are two
            or more.
    """

    rows: Rows
    size: int

    @property
    def steps(self) -> int:
        """How many mini-batches an epoch has."""
        return math.ceil(len(self.rows) / self.size)

    @property
    def largest(self) -> int:
        """Rows of the largest mini-batch."""
        return math.ceil(len(self.rows) / self.steps)

    def epoch(self, generator: torch.Generator | None) -> Iterator[Rows]:
        """The mini-batches of one epoch."""
        yield from map(self._at, self._numbers(generator))

    def slices(self, generator: torch.Generator | None, mine: range, of: int) -> Iterator[Slices]:
        """Some slices of each mini-batch."""
        for numbers in self._numbers(generator):
            parts = numbers.tensor_split(of)
            yield Slices(tuple(self._at(parts[one]) for one in mine), len(numbers))

    def _numbers(self, generator: torch.Generator | None) -> tuple[Tensor, ...]:
        """The rows of each mini-batch."""
        order = torch.randperm(len(self.rows), generator=generator, device="cpu")
        return order.to(self.rows.inputs.device).tensor_split(self.steps)

    def _at(self, numbers: Tensor) -> Rows:
        return self.rows.map(lambda one: one[numbers])
