# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""One pass over a table in parts: what is to be known of its columns before a training."""

from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import TableError
from selfnorm.tabular._settings import OnError
from selfnorm.tabular.data._cells import is_usable
from selfnorm.tabular.data._together import skipped
from selfnorm.tabular.stream._columns import Column, TargetColumn
from selfnorm.tabular.stream._parts import MOST_ROWS, Part
from selfnorm.tabular.stream._reading import Known, Reading
from selfnorm.tabular.stream._sample import Sample


@dataclass
class Statistics:
    """What the rows of a table that came so far tell. Those of two sets of rows merge.

    Attributes:
        columns: The columns to learn from, by their names; rows to train with alone.
        target: The target of these rows.
        sample: Some of these rows, with the target and the weights, by the hash of their numbers.
        test: Some of the rows that are held out.
        held_out: How many are held out.
        dropped: How many rows are left out as their target is missing.
        weightless: How many as their weight is 0.
        weights: The least, the largest, and the sum of all weights of rows to train with.
    """

    columns: dict[str, Column]
    target: TargetColumn
    sample: Sample
    test: Sample
    held_out: int = 0
    dropped: int = 0
    weightless: int = 0
    weights: tuple[float, float, float] = field(default=(np.inf, -np.inf, 0.0))

    def add(self, known: Known, reading: Reading, test: float) -> None:
        """Some rows come."""
        self.dropped += known.dropped
        self.weightless += known.weightless
        held = known.places >= 1 - test
        out, learned = known.take(held), known.take(~held)
        self.held_out += len(out.numbers)
        for name, column in self.columns.items():
            with _finite(name, learned):
                column.add(learned.table[name])
        if len(learned.numbers):
            with _finite(reading.target, learned):
                self.target.add(learned.target, learned.weights)
        if learned.weights is not None and len(learned.weights):
            low, high, total = self.weights
            self.weights = (
                min(low, float(learned.weights.min())),
                max(high, float(learned.weights.max())),
                total + float(learned.weights.sum()),
            )
        self.sample.add(learned.places, learned.numbers, _whole(learned, reading))
        self.test.add(out.places - (1 - test), out.numbers, _whole(out, reading))

    def merge(self, other: "Statistics") -> None:
        """Those of other rows come."""
        for name, column in self.columns.items():
            column.merge(other.columns[name])
        self.target.merge(other.target)
        self.sample.merge(other.sample)
        self.test.merge(other.test)
        self.held_out += other.held_out
        self.dropped += other.dropped
        self.weightless += other.weightless
        one, two = self.weights, other.weights
        self.weights = (min(one[0], two[0]), max(one[1], two[1]), one[2] + two[2])


@dataclass(frozen=True)
class Pass:
    """A pass over a table in parts.

    Attributes:
        reading: How its rows are read.
        test: The share of rows to hold out.
        categories: Columns that are categories although they hold numbers.
        ignore: Columns to leave out.
        rows: Most rows of a sample.
        size: Most bytes of one.
    """

    reading: Reading
    test: float
    categories: Collection[str]
    ignore: Collection[str]
    rows: int
    size: int

    def run(self, on_error: OnError) -> tuple[Statistics, tuple[Part, ...]]:
        """What all parts tell, and which could be read to their ends.

        Raises:
            TableError: a part cannot be read and `on_error` is `stop`, or none can.
        """
        together, read = self.empty(), list[Part]()
        for part in self.reading.parts:
            found = self.empty()
            try:
                for known in self.reading.of_part(part, found.columns):
                    found.add(known, self.reading, self.test)
            except TableError as error:
                if on_error == "stop":
                    raise TableError(str(error), options=("--on-error",)) from error
                skipped(error)
                continue
            together.merge(found)
            read.append(part)
        if not read:
            raise TableError("A table needs a part that can be read; none can. Mend one.")
        return together, tuple(read)

    def empty(self) -> Statistics:
        """What no row tells."""
        schema, reading = self.reading.parts[0].schema, self.reading
        used = {reading.target, reading.weight, *self.ignore}
        columns = {
            name: Column(name, _kind(kind), category=self._is_category(name, kind))
            for name, kind in zip(schema.names, schema.types, strict=True)
            if name not in used and is_usable(kind)
        }
        kind = _kind(schema.field(reading.target).type)
        target = TargetColumn(reading.target, kind, category=reading.target in self.categories)
        return Statistics(
            columns, target, Sample(self.rows, self.size), Sample(self.rows, self.size)
        )

    def _is_category(self, name: str, kind: pa.DataType) -> bool:
        return name in self.categories or pa.types.is_dictionary(kind)


@contextmanager
def _finite(name: str, known: Known) -> Generator[None]:
    """Inside, a number that is infinite is told with its place in the part.

    Raises:
        TableError: then.
    """
    try:
        yield
    except TableError as error:
        column = known.target if name not in known.table.column_names else known.table[name]
        if not pa.types.is_floating(column.type):
            raise
        wrong = np.flatnonzero(pc.is_inf(column).fill_null(False).to_numpy())
        raise TableError(
            f"Numbers must be finite; column '{name}' is infinite in row "
            f"{int(known.numbers[wrong[0]] % MOST_ROWS) + 1:,} of '{known.path}'. Leave the cell "
            "empty if it is unknown."
        ) from error


def _kind(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _whole(known: Known, reading: Reading) -> pa.Table:
    """The rows with the target, and the weights if there are some."""
    table = known.table.append_column(reading.target, known.target)
    if reading.weight is None:
        return table
    return table.append_column(reading.weight, pa.array(known.weights))
