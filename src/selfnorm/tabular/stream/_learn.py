# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""From what a pass over a table has counted to the same encoder as in memory."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from selfnorm.errors import TableError
from selfnorm.tabular.data._cells import holds, numbers, text
from selfnorm.tabular.data._dates import COMPACT
from selfnorm.tabular.data._table import require_column
from selfnorm.tabular.data._words import NULLS
from selfnorm.tabular.encoding._category import CategoryColumn
from selfnorm.tabular.encoding._columns import Column as Encoded
from selfnorm.tabular.encoding._encode import Encoder, few_pieces, rare_count
from selfnorm.tabular.encoding._kinds import AS_ASKED, check_slips
from selfnorm.tabular.encoding._number import NumberColumn
from selfnorm.tabular.encoding._presence import PresenceColumn
from selfnorm.tabular.encoding._reasons import no_levels
from selfnorm.tabular.encoding._rows import row_number
from selfnorm.tabular.encoding._understand import (
    CATEGORY,
    Understood,
    settle,
    settled,
    understand,
    understand_text,
)
from selfnorm.tabular.stream._columns import Column
from selfnorm.tabular.stream._parts import Part

_MOSTLY = 0.9


def learn_encoder(
    parts: Collection[Part],
    columns: Mapping[str, Column],
    sample: pa.Table,
    *,
    categories: Collection[str],
    ignore: Collection[str],
    used: Collection[str],
    pieces: int,
) -> Encoder:
    """The encoder of a table in parts: shares, moments and quantiles of all rows to train with.

    What a column is, is told by all its texts, as long as there are some thousands of them, else by
    those of the sample.

    Args:
        parts: The parts.
        columns: What was counted of each column.
        sample: Some of the rows, with all columns.
        categories: Columns to take as categories although they hold numbers.
        ignore: Columns to leave out.
        used: Columns that say something else of the rows, as the target does.
        pieces: Into how many pieces the range of a number is divided.

    Raises:
        TableError: no column can be used, a column mixes numbers and text, or a name is not in the
            table.
    """
    first = next(iter(parts))
    names = [name for name in first.schema.names if name not in used]
    for name in (*categories, *ignore):
        require_column(name, names)
    guessed = first.kind == "text"
    learned: dict[str, Encoded | str] = {}
    found: dict[str, Understood] = {}
    for name in names:
        if name in ignore:
            learned[name] = AS_ASKED
        elif name not in columns:
            learned[name] = f"its values are of type {first.schema.field(name).type}"
        elif columns[name].absent == columns[name].rows:
            learned[name] = "no value in any row"
        elif (reason := row_number(name, sample[name])) is not None:
            learned[name] = reason
        elif name in categories or pa.types.is_dictionary(first.schema.field(name).type):
            found[name] = CATEGORY
        else:
            found[name] = _understood(columns[name], sample[name], guessed=guessed)
    check_slips(found)
    order = settle(found.values())
    found = {name: settled(name, one, order) for name, one in found.items()}
    pieces = few_pieces(pieces, len(names))
    for name, one in found.items():
        learned[name] = _fitted(columns[name], one, sample[name], pieces)
    return Encoder.of({name: learned[name] for name in names}, found, missing=first.missing)


def _understood(column: Column, sample: pa.ChunkedArray, *, guessed: bool) -> Understood:
    """What a column is."""
    if column.levels is None or column.levels.lost or not column.levels.counts:
        found = understand(column.name, sample, guessed=guessed)
        plain = found.holds == "numbers" and found.written is None
        if not (plain and column.slip):
            return found
        return replace(found, slip=column.slip, odd=(), odd_cells=column.strange)
    cells = pa.array(list(column.levels.counts), pa.large_string())
    counts = np.array(list(column.levels.counts.values()))
    return understand_text(column.name, cells, counts, column.rows, guessed=guessed)


def _fitted(
    column: Column, found: Understood, sample: pa.ChunkedArray, pieces: int
) -> Encoded | str:
    """A column as it is encoded; or why it cannot be."""
    name, rows, rare = column.name, column.rows, rare_count(column.rows)
    if found.holds is None:
        counts, absent = _levels(column, sample)
        fitted = CategoryColumn.of(name, counts, rows, absent, rare)
        return fitted or no_levels(sample, np.arange(len(sample)), rare)
    known, counts, rows = _values(column, found, sample)
    if not len(known):
        return "no value in any row"
    written = found.written
    fitted = NumberColumn.of(
        name, known, rows, rare_count(rows), pieces, counts, holds=found.holds, written=written
    )
    if fitted is not None:
        return fitted
    present = len(known) if counts is None else int(counts.sum())
    if min(present, rows - present) >= rare_count(rows):
        return PresenceColumn(name, 1 - present / rows, found.holds, written)
    if known.min() < known.max():
        return "its numbers do not differ"
    return "one value in all rows" + (" that have one" if present < rows else "")


def _levels(column: Column, sample: pa.ChunkedArray) -> tuple[dict[str, int], int]:
    """How often each level stands in a column, and how many rows have none."""
    counted = {} if column.levels is None else column.levels.counts
    if column.levels is None:  # codes: numbers so far, of which one begins with 0
        counted = {one["values"]: one["counts"] for one in text(sample).value_counts().to_pylist()}
        share = column.rows / max(1, len(sample))
        counted = {value: round(count * share) for value, count in counted.items() if value}
    counts = {str(level): count for level, count in counted.items() if level not in NULLS}
    words = sum(count for level, count in counted.items() if level in NULLS)
    return counts, column.absent + words


def _values(
    column: Column, found: Understood, sample: pa.ChunkedArray
) -> tuple[np.ndarray, np.ndarray | None, int]:
    """The known values of so many rows, and how many rows each stands for."""
    name, expected, written = column.name, found.holds, found.written
    if column.quantiles is not None and written is None and _is_plain(column):
        return *column.quantiles.points(), column.rows
    if column.quantiles is not None and written == COMPACT and holds(column.kind) == "numbers":
        points, counts = column.quantiles.points()
        days = pa.chunked_array([pa.array(points.astype(np.int64))])
        return numbers(name, days, expected, written), counts, column.rows
    if column.complete and column.levels is not None:
        cells = pa.chunked_array([pa.array(list(column.levels.counts), pa.large_string())])
        counts = np.array(list(column.levels.counts.values()))
        values = numbers(name, cells, expected, written)
        known = ~np.isnan(values)
        return values[known], counts[known], column.rows
    values = numbers(name, sample, expected, written)
    return values[~np.isnan(values)], None, len(values)


def _is_plain(column: Column) -> bool:
    """Whether a column's quantiles are of what it holds: its type says so, or its texts do."""
    return holds(column.kind) is not None or column.slip is None


def check_target(name: str, names: Collection[str]) -> None:
    """Raise if a target is not in the table.

    Raises:
        TableError: it is not.
    """
    require_column(name, names)
    if len(names) < 2:
        raise TableError(
            "A table needs a column to learn from besides the target; there is none. Add a column "
            "that differs from row to row."
        )
