# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Rows of a table in parts as a training wants them: with a target, and with what they are for."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import TableError
from selfnorm.tabular.data._cells import numbers
from selfnorm.tabular.data._split import uniform
from selfnorm.tabular.stream._deal import Unit, units_of
from selfnorm.tabular.stream._parts import MOST_ROWS, Block, Part


class Known(NamedTuple):
    """Rows whose target is known and that count for something.

    Attributes:
        path: The part that they are of.
        places: What a hash of each row's number says, in [0, 1): from `1 - test` on it is held out.
        numbers: The rows' numbers.
        table: The columns to learn from.
        target: The target's cells.
        weights: How much each row counts; None if all count the same.
        dropped: How many rows were left out as their target is missing.
        weightless: How many as their weight is 0.
    """

    path: Path
    places: np.ndarray
    numbers: np.ndarray
    table: pa.Table
    target: pa.ChunkedArray
    weights: np.ndarray | None
    dropped: int
    weightless: int

    def take(self, rows: np.ndarray) -> "Known":
        """Some of the rows: their numbers here, or a boolean for each."""
        at = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Known(
            self.path,
            self.places[at],
            self.numbers[at],
            self.table.take(at),
            self.target.take(pa.array(at)),
            None if self.weights is None else self.weights[at],
            0,
            0,
        )


class Place(TypedDict):
    """Where reading goes on.

    Attributes:
        drawn: The state of the generator.
        opened: How many row groups were begun.
        reading: Of each that is open its number, and how many blocks of it were read.
    """

    drawn: dict[str, Any]
    opened: int
    reading: list[tuple[int, int]]


@dataclass
class _Open:
    """A row group that is being read."""

    number: int
    read: int
    blocks: Iterator[Block]

    @classmethod
    def at(
        cls,
        groups: Sequence[Unit],
        number: int,
        read: int,
        rows: int,
        wanted: set[str],
    ) -> "_Open":
        """One of some groups, behind so many of its blocks."""
        return cls(number, read, islice(groups[number].blocks(rows, wanted), read, None))


@dataclass(frozen=True)
class Reading:
    """How the rows of a table in parts are read.

    Attributes:
        parts: The parts.
        target: The target's column.
        weight: The column of weights; None if there is none.
        seed: Another seed holds out other rows.
        rows: Most rows of a block.
        readers: How many row groups are read side by side, so that what is sorted gets mixed.
    """

    parts: tuple[Part, ...]
    target: str
    weight: str | None
    seed: int
    rows: int
    readers: int

    def of_part(self, part: Part, columns: Collection[str]) -> Iterator[Known]:
        """The rows of a part, in their order."""
        for unit in units_of([part]):
            yield from self.of_unit(unit, columns)

    def of_unit(self, unit: Unit, columns: Collection[str]) -> Iterator[Known]:
        """The rows of a row group, or of a piece of one, in their order."""
        for block in unit.blocks(self.rows, self._wanted(columns)):
            yield self._known(block)

    def shuffled(
        self,
        seed: int,
        columns: Collection[str],
        units: Sequence[Unit] = (),
        sharing: int = 1,
        place: Place | None = None,
    ) -> Iterator[tuple[Known, Place]]:
        """All rows: row groups in an order that the seed tells, several of them side by side.

        Args:
            seed: It tells the order.
            columns: Which to read.
            units: Those to read; all if there are none.
            sharing: How many read at the same time, and so share the number of groups.
            place: Where to go on; None from the start.

        Yields:
            Rows, and where reading goes on behind them.
        """
        drawn, wanted = np.random.default_rng(seed), self._wanted(columns)
        groups = units or units_of(self.parts)
        order = drawn.permutation(len(groups)).tolist()
        opened, reading = 0, list[_Open]()
        readers = max(1, self.readers // sharing)
        if place is not None:
            opened = place["opened"]
            drawn.bit_generator.state = place["drawn"]
            reading = [_Open.at(groups, *one, self.rows, wanted) for one in place["reading"]]
        while True:
            while len(reading) < readers and opened < len(order):
                reading.append(_Open.at(groups, order[opened], 0, self.rows, wanted))
                opened += 1
            if not reading:
                return
            at = int(drawn.integers(len(reading)))
            if (block := next(reading[at].blocks, None)) is None:
                del reading[at]
                continue
            reading[at].read += 1
            known = self._known(block)
            yield known, _place(drawn, opened, reading)

    def _wanted(self, columns: Collection[str]) -> set[str]:
        return {*columns, self.target} | ({self.weight} if self.weight else set())

    def _known(self, block: Block) -> Known:
        table = block.table
        valid = pc.is_valid(table[self.target]).to_numpy()
        dropped, weightless, weights = int((~valid).sum()), 0, None
        if self.weight is not None:
            weights = np.nan_to_num(placed(block, self.weight))
            if (weights < 0).any():
                row = int(block.numbers[(weights < 0).argmax()] % MOST_ROWS) + 1
                raise TableError(
                    f"Weights of rows are 0 or more; '{self.weight}' has {weights.min():g} in row "
                    f"{row} of '{block.part.path}'. Give 0 to leave a row out."
                )
            weightless = int((valid & (weights == 0)).sum())
            valid &= weights > 0
        known = Known(
            block.part.path,
            uniform(block.numbers, self.seed),
            block.numbers,
            table.drop_columns([self.target, *([self.weight] if self.weight else [])]),
            table[self.target],
            weights,
            0,
            0,
        )
        if not valid.all():
            known = known.take(valid)
        return known._replace(dropped=dropped, weightless=weightless)


def _place(drawn: np.random.Generator, opened: int, reading: Sequence[_Open]) -> Place:
    state = dict(drawn.bit_generator.state)  # plain numbers, as PCG64 has them
    return Place(drawn=state, opened=opened, reading=[(one.number, one.read) for one in reading])


def placed(block: Block, name: str) -> np.ndarray:
    """A block's column as numbers; what is none is told with its place.

    Raises:
        TableError: a cell is infinite, or no number.
    """
    try:
        return numbers(name, block.table[name])
    except TableError as error:
        raise TableError(
            f"{error} (Row 1 is row {block.first + 1:,} of '{block.part.path}'.)"
        ) from error
