"""Rows that are not all in memory: read ahead into pools, which are shuffled."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from selfnorm.training._ahead import ahead
from selfnorm.training._batches import Rows

_FEWEST = 2  # rows of a mini-batch
_RAMP = 3  # times that the first pool is halved, as nobody has read ahead for it


class Placed(NamedTuple):
    """Rows that were read, and where.

    Attributes:
        rows: The rows.
        place: Where reading goes on behind them, as plain JSON; what is true.
    """

    rows: Rows
    place: Any


@dataclass
class Streamed:
    """Rows as they are read, as `Batches`: all of them once an epoch, mixed within pools.

    While one pool is learned from, the next is read and encoded in a thread. The first pools of an
    epoch are smaller, so that it begins at once. What is in which pool depends on how `read` orders
    rows in an epoch.

    Args:
        read: The rows of an epoch, some at a time, in an order that a seed tells. Of several
            members, weights may be (rows, members): 0 where a member does not learn from a row.
            Who gives them as `Placed` is called with a place as well, to go on from there.
        rows: How many there are.
        size: Most rows of a mini-batch.
        pool: Most rows of a pool, of which two are in memory.
        members: How many members are trained as one, each with an order of its own within pools;
            None for a single network.
        device: Where mini-batches are.
        mine: Which members are trained here; None for all. Orders are the same for all that.
        left_out: Of all pairs of a row and a member, the share of which the weight is 0. A member
            does not go through such rows; where some have more of a pool's than others, all take
            the fewest.
        waited: Seconds for which the training had to wait for rows.
        place: Where the pool of the last mini-batch began, as plain JSON; None if nobody tells.

    Example:
        >>> rows = Rows(torch.arange(10.0)[:, None], torch.arange(10.0))
        >>> batches = Streamed(lambda seed: iter([rows]), rows=10, size=4, pool=8)
        >>> epoch = list(batches.epoch(torch.Generator().manual_seed(0)))
        >>> len(epoch) == batches.steps
        True
        >>> sorted(torch.cat([batch.targets for batch in epoch]).tolist()) == list(range(10))
        True
    """

    read: Callable[..., Iterator[Rows] | Iterator[Placed]]
    rows: int
    size: int
    pool: int
    members: int | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    mine: range | None = None
    left_out: float = 0.0
    waited: float = 0.0
    place: Any = None

    @property
    def steps(self) -> int:
        """How many mini-batches an epoch has."""
        return sum(map(self._steps, self._sizes()))

    @property
    def largest(self) -> int:
        """Rows of the largest mini-batch."""
        return max(math.ceil(rows / self._steps(rows)) for rows in self._sizes())

    def epoch(self, generator: torch.Generator | None) -> Iterator[Rows]:
        """The mini-batches of one epoch."""
        return self.rest(generator, 0, None)

    def rest(self, generator: torch.Generator | None, steps: int, place: Any) -> Iterator[Rows]:
        """Those behind the first so many; nothing before the place is read again."""
        seed = int(torch.randint(2**63 - 1, (), generator=generator, device="cpu"))
        orders, done = torch.Generator().manual_seed(seed), 0
        if place is not None:
            done = int(place["steps"])
            orders.set_state(torch.tensor(place["orders"], dtype=torch.uint8))
        for pool, begin in ahead(self._pools(seed, place and place["pool"]), waited=self._wait):
            drawn = orders.get_state().tolist()
            self.place = begin and {"pool": begin, "steps": done, "orders": drawn}
            for batch in self._batches(pool, orders):
                done += 1
                if done > steps:
                    yield batch

    def _wait(self, seconds: float) -> None:
        self.waited += seconds

    def _steps(self, rows: int) -> int:
        """How many mini-batches a pool of so many rows has."""
        return max(1, math.ceil(rows * (1 - self.left_out) / self.size))

    def _sizes(self) -> list[int]:
        """The rows of each pool: of a few short ones, then of even ones, in whole mini-batches."""
        each = self.size / (1 - self.left_out)  # rows of a pool that make a mini-batch
        whole = max(1, int(self.pool / each))
        sizes: list[int] = []
        left = self.rows
        for halved in range(_RAMP, 0, -1):
            short = min(left, int(each * -(-whole // 2**halved)))
            if short == left:  # no pool of a few rows comes last
                break
            sizes.append(short)
            left -= short
        steps = max(1, math.ceil(left / each))
        pools = math.ceil(steps / whole)
        ends = [left * (steps * at // pools) // steps for at in range(pools + 1)]
        return sizes + [end - begin for begin, end in pairwise(ends)]

    def _pools(self, seed: int, begin: Any = None) -> Iterator[tuple[Rows, Any]]:
        """The rows of an epoch, gathered into pools on the device, and where each begins."""
        blocks = self.read(seed) if begin is None else self.read(seed, begin["behind"])
        return pools(blocks, self._sizes(), self.members, self.device, begin)

    def _batches(self, pool: Rows, orders: torch.Generator) -> Iterator[Rows]:
        steps = self._steps(len(pool))
        if self.members is None:
            order = torch.randperm(len(pool), generator=orders)
            for at in order.to(self.device).tensor_split(steps):
                yield taken(pool, at, None)
            return
        drawn = order_of(pool, orders, self.members)
        if self.left_out and pool.weights is not None:
            drawn = _learned(drawn, pool.weights.cpu(), _FEWEST * steps)
        mine = self.mine or range(self.members)
        for at in drawn[:, mine.start : mine.stop].to(self.device).tensor_split(steps):
            yield taken(pool, at, mine)


def pools(
    blocks: Iterable[Rows | Placed],
    sizes: Sequence[int],
    members: int | None,
    device: torch.device,
    begin: Any = None,
) -> Iterator[tuple[Rows, Any]]:
    """Blocks gathered into pools of these sizes, on a device, and where each begins.

    That is behind which block it is read on, and how many rows of the next belong to the pool
    before. Of too few rows the last pool is short.
    """
    pool, used, behind = 0, 0, None
    if begin is not None:
        pool, used, behind = begin["number"], begin["used"], begin["behind"]
    wanted = iter(sizes[pool:])
    size, held = next(wanted), list[Rows]()
    for one in blocks:
        block, after = one if isinstance(one, Placed) else (one, None)
        rest = block.map(lambda one, at=used: one[at:]) if used else block
        while sum(map(len, held)) + len(rest) >= size:
            cut = size - sum(map(len, held))
            mixed = [*held, rest.map(lambda one, at=cut: one[:at])]
            yield _gathered(mixed, members, device), begin
            held, rest = [], rest.map(lambda one, at=cut: one[at:])
            if (size := next(wanted, 0)) == 0:
                return
            pool += 1
            used = len(block) - len(rest)
            begin = after and {"number": pool, "used": used, "behind": behind}
        used, behind = 0, after
        if len(rest):
            held.append(rest)
    if held:
        yield _gathered(held, members, device), begin


def order_of(pool: Rows, orders: torch.Generator, members: int | None) -> Tensor:
    """A new order of a pool's rows, (rows,); or one for each member, (rows, members)."""
    if members is None:
        return torch.randperm(len(pool), generator=orders)
    drawn = [torch.randperm(len(pool), generator=orders) for _ in range(members)]
    return torch.stack(drawn, dim=1)


def _learned(order: Tensor, weights: Tensor, least: int) -> Tensor:
    """Orders of rows, (rows, members), without those that weigh nothing; the fewest of all.

    Where that leaves fewer than so many, all rows: weights of 0 are worth more than no mini-batch.
    """
    each = [one[weights[one, at] > 0] for at, one in enumerate(order.unbind(1))]
    fewest = min(map(len, each))
    return order if fewest < least else torch.stack([one[:fewest] for one in each], dim=1)


def taken(pool: Rows, at: Tensor, mine: range | None) -> Rows:
    """Rows of a pool, for a single network or for members of these numbers."""
    if mine is None:
        return pool.map(lambda one: one[at])
    weights = None
    if pool.weights is not None:
        each = torch.arange(mine.start, mine.stop, device=at.device)
        own = pool.weights.ndim == 2
        weights = pool.weights[at, each] if own else pool.weights[at]
    return Rows(pool.inputs[at], pool.targets[at], weights)


def _gathered(blocks: list[Rows], members: int | None, device: torch.device) -> Rows:
    """Blocks as one, on the device; those without weights beside others weigh 1."""
    weights: Tensor | None = None
    if any(block.weights is not None for block in blocks):
        weights = torch.cat([_weights(block, members) for block in blocks])
    found = Rows(
        torch.cat([block.inputs for block in blocks]),
        torch.cat([block.targets for block in blocks]),
        weights,
    )
    return found.map(lambda one: one.to(device))


def _weights(block: Rows, members: int | None) -> Tensor:
    """A block's weights, one for each member if there are several."""
    if block.weights is None:
        shape = (len(block),) if members is None else (len(block), members)
        return torch.ones(shape)
    if members is None or block.weights.ndim == 2:
        return block.weights
    return block.weights[:, None].expand(-1, members)
