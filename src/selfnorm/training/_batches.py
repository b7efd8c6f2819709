"""Where the rows to learn from come from: mini-batches, epoch after epoch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

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
    """

    rows: Rows
    left_out: Tensor | None
    members: int
    size: int

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
        return len(self.rows) - int(self.left_out.sum(0).max())

    def epoch(self, generator: torch.Generator | None) -> Iterator[Rows]:
        """The mini-batches of one epoch."""
        count, rows = self._count, len(self.rows)
        kind = torch.int32 if rows < _MOST_SHORT else torch.int64  # half of the memory
        together = torch.empty((self.members, count), dtype=kind, device="cpu")
        for member in range(self.members):
            order = torch.randperm(rows, generator=generator, device="cpu")
            if self.left_out is not None:
                order = order[~self.left_out[order, member]]
            together[member] = order[:count]
        for some in together.to(self.rows.inputs.device).tensor_split(self.steps, dim=1):
            numbers = some.long()
            yield self.rows.map(lambda one, at=numbers: one[at].transpose(0, 1))


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
        order = torch.randperm(len(self.rows), generator=generator, device="cpu")
        for numbers in order.to(self.rows.inputs.device).tensor_split(self.steps):
            yield self.rows.map(lambda one, at=numbers: one[at])
