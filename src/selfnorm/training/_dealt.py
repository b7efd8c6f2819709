"""Rows that are not all in memory, dealt to slices of mini-batches that processes share."""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import torch

from selfnorm.training._ahead import ahead
from selfnorm.training._batches import Rows, Slices
from selfnorm.training._streamed import Placed, order_of, pools, taken

_RAMP = 3  # times that the first pools are halved, as nobody has read ahead for them
_SEEDS = 2**63 - 1


@dataclass
class Dealt:
    """Rows as they are read, each slice of all mini-batches from readers of its own.

    A process reads the rows of its slices and no others. All slices have as many parts of an epoch
    as there are steps; of a slice that has more rows, each part has more.

    Args:
        reads: The rows of an epoch that are dealt to each slice, as `Streamed` has them.
        rows: How many each slice has.
        size: Most rows of a mini-batch, about.
        pool: Most rows of a pool of all slices, of which two are in memory.
        members: How many members are trained as one; None for a single network.
        device: Where mini-batches are.
        waited: Seconds for which the training had to wait for rows.

    Example:
        >>> rows = [Rows(torch.full((6, 1), float(k)), torch.zeros(6)) for k in range(2)]
        >>> reads = [lambda seed, k=k: iter([rows[k]]) for k in range(2)]
        >>> batches = Dealt(reads, rows=(6, 6), size=4, pool=8)
        >>> [[len(part) for part in batch.parts] for batch in batches.slices(None, range(2), 2)]
        [[2, 2], [2, 2], [2, 2]]
    """

    reads: Sequence[Callable[[int], Iterator[Rows] | Iterator[Placed]]]
    rows: Sequence[int]
    size: int
    pool: int
    members: int | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    waited: float = 0.0

    @property
    def steps(self) -> int:
        """How many mini-batches an epoch has; of each slice a row or more is in it."""
        return max(1, min(math.ceil(sum(self.rows) / self.size), *self.rows, sum(self.rows)))

    @property
    def largest(self) -> int:
        """Rows of the largest mini-batch."""
        return sum(math.ceil(rows / self.steps) for rows in self.rows)

    def epoch(self, generator: torch.Generator | None) -> Iterator[Rows]:
        """The mini-batches of one epoch, whole."""
        for batch in self.slices(generator, range(len(self.rows)), len(self.rows)):
            yield Rows(
                torch.cat([part.inputs for part in batch.parts]),
                torch.cat([part.targets for part in batch.parts]),
                None
                if any(part.weights is None for part in batch.parts)
                else torch.cat([part.weights for part in batch.parts if part.weights is not None]),
            )

    def slices(self, generator: torch.Generator | None, mine: range, of: int) -> Iterator[Slices]:
        """Some slices of each mini-batch, of as many as there are readers."""
        seed = int(torch.randint(_SEEDS, (), generator=generator, device="cpu"))
        if of != len(self.rows):
            raise ValueError(f"{len(self.rows)} readers have no {of} slices")
        with ExitStack() as stack:
            each = [stack.enter_context(closing(self._slice(one, seed))) for one in mine]
            for step in range(self.steps):
                parts = tuple(next(one) for one in each)
                rows = sum(self._begin(k, step + 1) - self._begin(k, step) for k in range(of))
                yield Slices(parts, rows)

    def _slice(self, number: int, seed: int) -> Generator[Rows]:
        """The parts of an epoch that are one slice's."""
        orders = torch.Generator().manual_seed((seed + number + 1) % _SEEDS)
        spans = self._spans()
        sizes = [self._begin(number, end) - self._begin(number, begin) for begin, end in spans]
        gathered = pools(self.reads[number](seed), sizes, self.members, self.device)
        read = (pool for pool, _ in gathered)
        everyone = None if self.members is None else range(self.members)
        with closing(ahead(read, waited=self._wait)) as made:
            empty: Rows | None = None
            for begin, end in spans:
                pool = next(made, empty)
                if pool is None:
                    raise RuntimeError("a slice has no rows, although some were counted")
                empty = pool.map(lambda one: one[:0])
                order = order_of(pool, orders, self.members).to(self.device)
                first = self._begin(number, begin)
                for step in range(begin, end):
                    at = (self._begin(number, step) - first, self._begin(number, step + 1) - first)
                    yield taken(pool, order[slice(*at)], everyone)

    def _wait(self, seconds: float) -> None:
        self.waited += seconds

    def _begin(self, number: int, step: int) -> int:
        """Which row of a slice is the first of a step."""
        return self.rows[number] * step // self.steps

    def _spans(self) -> list[tuple[int, int]]:
        """Which steps each pool is for: a few at first."""
        usual = max(1, self.pool // self.size)
        sizes = [max(1, usual >> halved) for halved in range(_RAMP, 0, -1)]
        spans, begin = list[tuple[int, int]](), 0
        while begin < self.steps:
            size = sizes[len(spans)] if len(spans) < len(sizes) else usual
            end = min(self.steps, begin + size)
            spans.append((begin, end))
            begin = end
        return spans
