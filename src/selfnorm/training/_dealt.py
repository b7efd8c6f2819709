"""Rows that are not all in memory, dealt to slices of mini-batches that processes share."""

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

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
        places: Of each slice that was read here, by its number: where the pool of its last rows
            began, as plain JSON. None if nobody tells.

    Example:
        >>> rows = [Rows(torch.full((6, 1), float(k)), torch.zeros(6)) for k in range(2)]
        >>> reads = [lambda seed, k=k: iter([rows[k]]) for k in range(2)]
        >>> batches = Dealt(reads, rows=(6, 6), size=4, pool=8)
        >>> [[len(part) for part in batch.parts] for batch in batches.slices(None, range(2), 2)]
        [[2, 2], [2, 2], [2, 2]]
    """

    reads: Sequence[Callable[..., Iterator[Rows] | Iterator[Placed]]]
    rows: Sequence[int]
    size: int
    pool: int
    members: int | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    waited: float = 0.0
    places: dict[str, Any] = field(default_factory=dict[str, Any])

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
        return self.rest_of_slices(generator, mine, of, 0, None)

    def rest_of_slices(
        self,
        generator: torch.Generator | None,
        mine: range,
        of: int,
        steps: int,
        places: Mapping[str, Any] | None,
    ) -> Iterator[Slices]:
        """Those behind the first so many mini-batches; what is before the places is not read."""
        seed = int(torch.randint(_SEEDS, (), generator=generator, device="cpu"))
        if of != len(self.rows):
            raise ValueError(f"{len(self.rows)} readers have no {of} slices")
        self.places = {}
        known = places or {}
        with ExitStack() as stack:
            each = [
                stack.enter_context(closing(self._slice(one, seed, steps, known.get(str(one)))))
                for one in mine
            ]
            for step in range(steps, self.steps):
                parts = tuple(next(one) for one in each)
                rows = sum(self._begin(k, step + 1) - self._begin(k, step) for k in range(of))
                yield Slices(parts, rows)

    def _slice(self, number: int, seed: int, done: int, place: Any) -> Generator[Rows]:
        """The parts of an epoch that are one slice's, behind the first so many.

        Args:
            number: Which slice.
            seed: The epoch's.
            done: How many parts are passed over.
            place: Where to go on with reading; None from the start.
        """
        orders = torch.Generator().manual_seed((seed + number + 1) % _SEEDS)
        spans = self._spans()
        sizes = [self._begin(number, end) - self._begin(number, begin) for begin, end in spans]
        behind, first = None, 0
        if place is not None:
            behind, first = place["pool"], int(place["pool"]["number"])
            orders.set_state(torch.tensor(place["orders"], dtype=torch.uint8))
        read = self.reads[number]
        blocks = read(seed) if behind is None else read(seed, behind["behind"])
        gathered = pools(blocks, sizes, self.members, self.device, behind)
        with closing(ahead(gathered, waited=self._wait)) as made:
            empty: tuple[Rows, Any] | None = None
            for begin, end in spans[first:]:
                found = next(made, empty)
                if found is None:
                    raise RuntimeError("a slice has no rows, although some were counted")
                pool, pool_place = found
                empty = pool.map(lambda one: one[:0]), None
                drawn = orders.get_state().tolist()
                self.places[str(number)] = pool_place and {"pool": pool_place, "orders": drawn}
                yield from islice(
                    self._parts(number, pool, begin, end, orders), max(0, done - begin), None
                )

    def _parts(
        self, number: int, pool: Rows, begin: int, end: int, orders: torch.Generator
    ) -> Iterator[Rows]:
        """A slice's part of each of some steps, of the pool that is for them."""
        everyone = None if self.members is None else range(self.members)
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
