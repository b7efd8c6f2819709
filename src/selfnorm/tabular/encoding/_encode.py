# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""From a table to a matrix whose columns have mean 0 and variance 1: what a SELU network needs."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import ArgumentError, TableError
from selfnorm.tabular.data._cells import numbers, text
from selfnorm.tabular.data._provenance import provenance_of
from selfnorm.tabular.data._sparse import width_of
from selfnorm.tabular.data._table import require_column
from selfnorm.tabular.data._words import without_own, without_own_cells, without_words
from selfnorm.tabular.encoding._at_once import distinct, encode_each
from selfnorm.tabular.encoding._category import CategoryColumn
from selfnorm.tabular.encoding._columns import KINDS, Column
from selfnorm.tabular.encoding._kinds import AS_ASKED, understood
from selfnorm.tabular.encoding._number import NumberColumn
from selfnorm.tabular.encoding._presence import PresenceColumn
from selfnorm.tabular.encoding._reasons import no_levels, no_value, one_value
from selfnorm.tabular.encoding._records import are_text, require
from selfnorm.tabular.encoding._sparse import SparseColumn
from selfnorm.tabular.encoding._strange import Strange
from selfnorm.tabular.encoding._understand import (
    Remark,
    Understood,
)

_MOST_PIECES = 2048  # of all numbers together
_MOST_DENSE = 1 << 22  # numbers of a block of a sparse table that is made dense
_SHOWN = 5


@dataclass(frozen=True)
class Encoder:
    """What was learned from a table's columns, and how to make the matrix of a new table.

    Attributes:
        columns: The columns in use, in the order of the matrix.
        ignored: Names of the columns left out, each with the reason.
        remarks: What a user should know of how the others were understood.
        missing: Words of the user's own for missing cells, besides those that are known.
    """

    columns: tuple[Column, ...]
    ignored: Mapping[str, str]
    remarks: tuple[Remark, ...] = ()
    missing: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        table: pa.Table,
        rows: np.ndarray | None = None,
        *,
        categories: Collection[str] = (),
        ignore: Collection[str] = (),
        missing: Sequence[str] = (),
        pieces: int = 0,
    ) -> "Encoder":
        """Learn the encoding: what each column is from all rows, its values from training rows.

        Whether a column holds numbers, text or a row's number is told by all rows. Means,
        deviations, levels and shares, and whether two values differ, are told by `rows` alone.

        Args:
            table: The columns to learn from, without the target.
            rows: Numbers of the training rows; all rows if None.
            categories: Columns to take as categories although they hold numbers.
            ignore: Columns to leave out.
            missing: Words for missing cells, besides those that are known.
            pieces: Into how many pieces the range of a number is divided, besides the number
                itself, at equal shares of the rows; fewer where there are hundreds of columns.

        Raises:
            TableError: no column can be used, a column mixes numbers and text, or a name in
                `categories` or `ignore` is not in the table.
        """
        rows = np.arange(table.num_rows) if rows is None else rows
        width = width_of(table)
        if width is not None:
            return cls.of(_sparse(table, width, rows, [*categories, *ignore]), {})
        table, known = without_own(table, missing), provenance_of(table)
        names = dict.fromkeys(table.column_names)  # looked up as in a set, in order as in a list
        for name in (*categories, *ignore):
            require_column(name, names | dict(known.left_out))
        reasons, found = understood(table, rows, set(categories), set(ignore))
        rare, pieces = rare_count(len(rows)), few_pieces(pieces, len(names))
        learned = {
            name: reasons.get(name) or _fitted(name, column, found[name], rows, rare, pieces)
            for name, column in zip(names, table.columns, strict=True)
        }
        return cls.of({**known.left_out, **learned}, found, known.notes, missing)

    @classmethod
    def of(
        cls,
        learned: Mapping[str, Column | str],
        found: Mapping[str, Understood],
        notes: Collection[str] = (),
        missing: Sequence[str] = (),
    ) -> "Encoder":
        """From what was learned of each column: how to encode it, or why it is left out.

        Args:
            learned: Of each column.
            found: What those are that may be used, with remarks.
            notes: What is to be told besides.
            missing: Words for missing cells, besides those that are known.

        Raises:
            TableError: no column can be used.
        """
        columns = tuple(one for one in learned.values() if not isinstance(one, str))
        ignored = {name: one for name, one in learned.items() if isinstance(one, str)}
        if not columns:
            listed = "; ".join(f"'{name}': {reason}" for name, reason in ignored.items())
            raise TableError(
                "A table needs a column to learn from besides the target; "
                + (f"none is usable ({listed}). " if listed else "there is none. ")
                + "Add a column that differs from row to row."
            )
        read = (Remark(note, doubtful=False) for note in notes)
        told = (remark for name in found if name not in ignored for remark in found[name].remarks)
        return cls(columns, ignored, (*read, *told), tuple(missing))

    @property
    def features(self) -> list[str]:
        """Names of the matrix's columns, each once."""
        return distinct([feature for column in self.columns for feature in column.features])

    @property
    def views(self) -> tuple[np.ndarray, ...]:
        """Two ways to read a row, each a choice of features: numbers as such, or in pieces.

        One where no number has pieces.
        """
        smooth, piecewise = (
            np.concatenate(roles)
            for roles in zip(*(_roles(column) for column in self.columns), strict=True)
        )
        return (smooth,) if piecewise.all() else (smooth, piecewise)

    @property
    def sparse(self) -> SparseColumn | None:
        """What encodes a sparse table, which has no other column; None of any other table."""
        only = self.columns[0]
        return only if isinstance(only, SparseColumn) else None

    def transform(self, table: pa.Table, rows: np.ndarray | None = None) -> np.ndarray:
        """The matrix of a table: float32, shape (rows, features); dense also of a sparse table.

        The order of the table's columns does not matter, and columns that are not in use may be
        there or not.

        Args:
            table: The table.
            rows: Which of its rows, taken a column at a time; None for all.

        Raises:
            TableError: a column that is in use is missing, holds something else than in training,
                or, in models of format 1, a number too far from those of training for float32.
        """
        self.check(table)
        shape = table.num_rows if rows is None else len(rows), len(self.features)
        matrix = np.empty(shape, np.float32)
        encode_each(self.columns, table, rows, matrix, self.missing)
        return matrix

    def blocks(self, table: pa.Table, rows: int) -> Iterator[np.ndarray]:
        """The same matrix, so many rows at a time; one block of none where the table has none.

        Raises:
            TableError: as `transform`.
        """
        if self.sparse is not None:
            rows = min(rows, max(1, _MOST_DENSE // len(self.sparse.places)))
        parts = (table.slice(at, rows) for at in range(0, max(1, table.num_rows), rows))
        return self._each(table, map(self.transform, parts))

    def each(
        self,
        table: pa.Table,
        rows: int,
        function: Callable[[Any], np.ndarray],
        mapped: Callable[..., Iterator[np.ndarray]] = map,
    ) -> Iterator[np.ndarray]:
        """What a function makes of each such block; by `map`, or what does the same in threads.

        Of a sparse table the function is given what `SparseColumn.product` says, which is sparse.

        Raises:
            TableError: as `transform`.
        """
        parts = (table.slice(at, rows) for at in range(0, max(1, table.num_rows), rows))
        return self._each(table, mapped(lambda part: function(self.encoded(part)), parts))

    def encoded(self, table: pa.Table, rows: np.ndarray | None = None) -> Any:
        """The matrix as the first layer reads it: as `transform`, or sparse of a sparse table."""
        if self.sparse is None:
            return self.transform(table, rows)
        self.check(table)
        cells = table[self.sparse.name]
        return self.sparse.product(cells if rows is None else cells.take(rows))

    def _each(self, table: pa.Table, found: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        try:
            yield from found
        except TableError:
            self.transform(table)  # which tells the row's number in the whole table
            raise

    def check(self, table: pa.Table) -> None:
        """Raise if a column that is in use is missing.

        Raises:
            TableError: with the names.
        """
        names = set(table.column_names)
        lacking = [column.name for column in self.columns if column.name not in names]
        if lacking:
            why = {n: f" ({reason})" for n, reason in provenance_of(table).left_out.items()}
            named = ", ".join(f"'{name}'{why.get(name, '')}" for name in lacking[:3])
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            raise TableError(
                f"The model needs every column that it was trained on; {named}{more} "
                f"{'is' if len(lacking) == 1 else 'are'} missing. Add the column, with empty "
                "cells where its values are unknown."
            )

    def notes(self, table: pa.Table) -> list[str]:
        """What a user should know of a new table: cells that training had nothing like.

        Raises:
            TableError: a column that is in use is missing.
        """
        return self.notes_of(self.strange(table))

    def strange(self, table: pa.Table) -> list[Strange]:
        """The counts behind the notes, of each column in use; those of blocks of rows add up."""
        self.check(table)
        return [
            column.strange(without_own_cells(table[column.name], self.missing))
            for column in self.columns
        ]

    def notes_of(self, strange: Sequence[Strange]) -> list[str]:
        """The notes that counts make."""
        pairs = zip(self.columns, strange, strict=True)
        return [note for column, found in pairs if (note := column.note(found))]

    @property
    def told(self) -> list[str]:
        """What a user should know of the table that was learned from, where nothing is shown.

        Columns that are left out, but those that were to be; and what may have been meant
        otherwise.
        """
        lost = [
            f"{_listed(names)} ({reason})"
            for reason, names in self.reasons.items()
            if reason != AS_ASKED
        ]
        found = [f"Columns are left out: {'; '.join(lost)}."] if lost else []
        return found + [remark.text for remark in self.remarks if remark.doubtful]

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Why columns are left out, each reason with their names."""
        found: dict[str, list[str]] = {}
        for name, reason in self.ignored.items():
            found.setdefault(reason, []).append(name)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for a model file."""
        columns = [{"kind": column.kind, **asdict(column)} for column in self.columns]
        remarks = [asdict(remark) for remark in self.remarks]
        found = {"columns": columns, "ignored": dict(self.ignored), "remarks": remarks}
        return found | ({"missing": list(self.missing)} if self.missing else {})

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "Encoder":
        """The inverse of `to_dict`."""
        columns: list[Column] = []
        require(isinstance(saved["columns"], list), "the columns are a list")
        for entry in saved["columns"]:
            fields = {key: value for key, value in entry.items() if key != "kind"}
            columns.append(KINDS[entry["kind"]].from_dict(fields))
        names = {column.name for column in columns}
        require(len(names) == len(columns) > 0, "each column has a name of its own")
        remarks = tuple(Remark(**remark) for remark in saved.get("remarks", ()))
        missing = saved.get("missing", [])
        require(
            isinstance(missing, list) and are_text(*missing), "missing words are a list of text"
        )
        return cls(tuple(columns), dict(saved["ignored"]), remarks, tuple(missing))


def _sparse(
    table: pa.Table, width: int, rows: np.ndarray, asked: Sequence[str]
) -> dict[str, Column | str]:
    """What a sparse table's columns are, or why none can be used."""
    if asked:
        raise ArgumentError(
            "The columns of a sparse table are numbers, and all are learned from; categories or "
            f"columns to ignore came: {_listed(asked)}. Leave them out of X."
        )
    (name,) = table.column_names
    least = rare_count(len(rows))
    found = SparseColumn.fit(name, table[name], width, rows, least)
    return {name: found or f"no column differs from 0 in {least} rows or more"}


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + more


def _roles(column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Which of a column's features are no pieces, and which no number that has pieces."""
    smooth, piecewise = np.ones((2, len(column.features)), bool)
    if isinstance(column, NumberColumn) and column.pieces:
        smooth[-len(column.pieces) :] = False
        piecewise[0] = False
    return smooth, piecewise


def few_pieces(pieces: int, columns: int) -> int:
    """Into how many pieces each of so many numbers is divided, where so many are asked for."""
    return min(pieces, _MOST_PIECES // max(1, columns))


def rare_count(rows: int) -> int:
    """In how many rows a level must stand.

    A feature that is 1 in a share f of the rows reaches 1/sqrt(f), which is 32 at one row in a
    thousand: beyond that, a single row outweighs all others in its mini-batch.
    """
    return max(2 if rows < 100 else 5, rows // 1000)


def _fitted(
    name: str, column: pa.ChunkedArray, found: Understood, rows: np.ndarray, rare: int, pieces: int
) -> Column | str:
    """A column, learned from its training rows; or why it cannot be."""
    holds, written = found.holds, found.written
    if holds is None:
        return CategoryColumn.fit(name, column, rows, rare) or no_levels(column, rows, rare)
    fitted = NumberColumn.fit(name, column, rows, rare, pieces, holds=holds, written=written)
    if fitted:
        return fitted
    absent = np.isnan(numbers(name, column, holds, written)[rows])
    if min(absent.sum(), (~absent).sum()) >= rare:
        return PresenceColumn(name, float(absent.mean()), holds, written)
    if absent.all():
        return no_value(column, rows)
    learned = without_words(text(column.take(rows)))
    if len(pc.unique(learned.drop_null())) > 1:
        return "its numbers do not differ"
    return one_value(column, rows) + (" that have one" if absent.any() else "")
