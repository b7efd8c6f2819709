"""Who reads what of a table in parts: row groups dealt to as many readers as share it."""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from selfnorm.errors import ArgumentError, SelfNormWarning
from selfnorm.tabular.stream._parts import MOST_ROWS, Block, Part

_EVEN = 1.25  # times the mean is what one reader may have
Key = tuple[int, int]
"""A row group: its part's place and its number in it."""


@dataclass(frozen=True)
class Unit:
    """A row group, or one of some pieces of it, that one reader reads.

    Attributes:
        part: The part that it is of.
        group: Which of its groups, from 0.
        piece: Which piece of it, from 0.
        pieces: Of how many; a row is in the one that its number tells, modulo this.
    """

    part: Part
    group: int
    piece: int = 0
    pieces: int = 1

    @property
    def key(self) -> Key:
        """The row group."""
        return self.part.place, self.group

    def blocks(self, rows: int, columns: set[str]) -> Iterator[Block]:
        """Its rows, in blocks; whoever reads a piece of a group passes over the others."""
        for block in self.part.blocks(self.group, rows, columns):
            if self.pieces == 1:
                yield block
            elif block.table.num_rows:
                begin = (self.piece - int(block.numbers[0] % self.pieces)) % self.pieces
                at = np.arange(begin, block.table.num_rows, self.pieces)
                yield Block(self.part, block.first + begin, block.table.take(at), self.pieces)


def units_of(parts: Sequence[Part]) -> list[Unit]:
    """All row groups, in their order."""
    return [Unit(part, group) for part in parts for group in range(part.groups)]


def deal(
    units: Sequence[Unit], counts: Mapping[Key, np.ndarray], readers: int
) -> tuple[list[list[Unit]], list[int]]:
    """What each reader reads, and how many rows that are: the largest group to who has least.

    Where groups are too few, or too uneven, each is read by all, a piece by each.

    Args:
        units: The row groups.
        counts: How many rows of each are in each of so many pieces.
        readers: How many there are.
    """
    dealt: list[list[Unit]] = [[] for _ in range(readers)]
    rows = [0] * readers
    order = sorted(units, key=lambda unit: -int(counts[unit.key].sum()))  # stable: same for all
    for unit in order:
        least = rows.index(min(rows))
        dealt[least].append(unit)
        rows[least] += int(counts[unit.key].sum())
    if max(rows) <= _EVEN * sum(rows) / readers:
        return dealt, rows
    pieces = [[Unit(one.part, one.group, at, readers) for one in units] for at in range(readers)]
    return pieces, [sum(int(counts[one.key][at]) for one in units) for at in range(readers)]


def deal_to_learn(
    parts: Sequence[Part], counts: Mapping[Key, np.ndarray], readers: int
) -> tuple[list[list[Unit]], list[int]]:
    """The same for a training; that groups are split is told.

    Raises:
        ArgumentError: there are fewer rows than readers.
    """
    units = units_of(parts)
    dealt, rows = deal(units, counts, readers)
    if min(rows) == 0:
        raise ArgumentError(
            f"Rows that processes share are {readers} or more; the table has {sum(rows)} to train "
            "with. Train in one process."
        )
    if any(unit.pieces > 1 for unit in dealt[0]):
        warnings.warn(
            f"Processes share a table by its row groups; its {len(units)} make no {readers} even "
            "shares, so each group is read by all, who take rows of it in turns. Write more row "
            "groups, of even size, and reading is shared, too.",
            SelfNormWarning,
            stacklevel=2,
        )
    return dealt, rows


def counts_of(parts: Sequence[Part], readers: int) -> dict[Key, np.ndarray]:
    """About how many rows the groups have before anything is read, as `deal` takes them."""
    return {
        (part.place, group): np.full(readers, -(-rows // readers))
        for part in parts
        for group, rows in enumerate(part.sizes)
    }


def without(
    counts: Mapping[Key, np.ndarray], parts: Sequence[Part], numbers: np.ndarray, readers: int
) -> dict[Key, np.ndarray]:
    """The counts without rows of these numbers."""
    starts = {part.place: np.cumsum([0, *part.sizes]) for part in parts}
    left = {key: count.copy() for key, count in counts.items()}
    for place in np.unique(numbers // np.uint64(MOST_ROWS)).tolist():
        here = numbers[numbers // np.uint64(MOST_ROWS) == place]
        at = (here % np.uint64(MOST_ROWS)).astype(np.int64)
        groups = np.zeros(len(at), np.int64)
        if len(starts[place]) > 2:
            groups = np.searchsorted(starts[place], at, side="right") - 1
        pieces = (here % np.uint64(readers)).astype(np.int64)
        each = Counter(zip(groups.tolist(), pieces.tolist(), strict=True))
        for (group, piece), count in each.items():
            left[place, group][piece] -= count
    return left
