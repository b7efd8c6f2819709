"""Where the rows to learn from come from: mini-batches, epoch after epoch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Rows of inputs with their targets, on the device that trains."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)


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
        inputs, targets = self.rows.inputs, self.rows.targets
        order = torch.randperm(len(inputs), generator=generator, device="cpu").to(inputs.device)
        for numbers in order.tensor_split(self.steps):
            yield Rows(inputs[numbers], targets[numbers])
