# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""From a table to a matrix whose columns have mean 0 and variance 1: what a SELU network needs."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import TableError
from selfnorm.tabular.data._cells import decoded, first_text, is_text, is_usable, text
from selfnorm.tabular.data._table import require_column
from selfnorm.tabular.encoding._category import CategoryColumn
from selfnorm.tabular.encoding._columns import KINDS, Column
from selfnorm.tabular.encoding._number import NumberColumn
from selfnorm.tabular.encoding._records import require

_MOST_PIECES = 2048  # of all numbers together
_COUNTER_ROWS = 20  # 1, 2, ... in fewer rows can be a quantity
_MOSTLY = 0.9
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_NEARLY_NUMBER = r"^[+-]?\W?\s?\d[\d.,' ]*\W?$"


@dataclass(frozen=True)
class Encoder:
    """What was learned from a table's columns, and how to make the matrix of a new table.

    Attributes:
        columns: The columns in use, in the order of the matrix.
        ignored: Names of the columns left out, each with the reason.
    """

    columns: tuple[Column, ...]
    ignored: Mapping[str, str]

    @classmethod
    def fit(
        cls,
        table: pa.Table,
        rows: np.ndarray | None = None,
        *,
        categories: Collection[str] = (),
        ignore: Collection[str] = (),
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
            pieces: Into how many pieces the range of a number is divided, besides the number
                itself, at equal shares of the rows; fewer where there are hundreds of columns.

        Raises:
            TableError: no column can be used, a column mixes numbers and text, or a name in
                `categories` or `ignore` is not in the table.
        """
        rows = np.arange(table.num_rows) if rows is None else rows
        rare = _rare(len(rows))
        columns: list[Column] = []
        ignored: dict[str, str] = {}
        names = dict.fromkeys(table.column_names)  # looked up as in a set, in order as in a list
        for name in (*categories, *ignore):
            require_column(name, names)
        as_asked, as_category = set(ignore), set(categories)
        pieces = min(pieces, _MOST_PIECES // max(1, len(names)))
        for name, column in zip(names, table.columns, strict=True):
            reason = "as asked" if name in as_asked else _useless(column, rows)
            if reason:
                ignored[name] = reason
                continue
            is_category = name in as_category or _is_category(name, column)
            fitted = (
                CategoryColumn.fit(name, column, rows, rare)
                if is_category
                else NumberColumn.fit(name, column, rows, rare, pieces)
            )
            if fitted:
                columns.append(fitted)
            elif is_category:
                ignored[name] = _no_levels(column, rare)
            else:
                ignored[name] = "its numbers do not differ"
        if not columns:
            reasons = "; ".join(f"'{name}': {reason}" for name, reason in ignored.items())
            raise TableError(
                "A table needs a column to learn from besides the target; "
                + (f"none is usable ({reasons}). " if reasons else "there is none. ")
                + "Add a column that differs from row to row."
            )
        return cls(tuple(columns), ignored)

    @property
    def features(self) -> list[str]:
        """Names of the matrix's columns."""
        return [feature for column in self.columns for feature in column.features]

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

    def transform(self, table: pa.Table) -> np.ndarray:
        """The matrix of a table: float32, shape (rows, features).

        The order of the table's columns does not matter, and columns that are not in use may be
        there or not.

        Raises:
            TableError: a column that is in use is missing, holds something else than in training,
                or, in models of format 1, a number too far from those of training for float32.
        """
        self.check(table)
        by_name = dict(zip(table.column_names, table.columns, strict=True))
        matrix = np.empty((table.num_rows, len(self.features)), np.float32)
        at = 0
        for column in self.columns:
            width = len(column.features)
            column.encode(by_name[column.name], matrix[:, at : at + width])
            at += width
        return matrix

    def blocks(self, table: pa.Table, rows: int) -> Iterator[np.ndarray]:
        """The same matrix, so many rows at a time; one block of none where the table has none.

        Raises:
            TableError: as `transform`.
        """
        for at in range(0, max(1, table.num_rows), rows):
            try:
                block = self.transform(table.slice(at, rows))
            except TableError:
                self.transform(table)  # which tells the row's number in the whole table
                raise
            yield block

    def check(self, table: pa.Table) -> None:
        """Raise if a column that is in use is missing.

        Raises:
            TableError: with the names.
        """
        names = set(table.column_names)
        lacking = [column.name for column in self.columns if column.name not in names]
        if lacking:
            named = ", ".join(f"'{name}'" for name in lacking[:3])
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            raise TableError(
                f"The model needs every column that it was trained on; {named}{more} "
                f"{'is' if len(lacking) == 1 else 'are'} missing. Add the column, with empty "
                "cells where its values are unknown."
            )

    def notes(self, table: pa.Table) -> list[str]:
        """What a user should know of a new table: columns with values that training had not.

        Raises:
            TableError: a column that is in use is missing.
        """
        self.check(table)
        found = (
            column.unknown(table[column.name])
            for column in self.columns
            if isinstance(column, CategoryColumn)
        )
        return [note for note in found if note]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for a model file."""
        columns = [{"kind": column.kind, **asdict(column)} for column in self.columns]
        return {"columns": columns, "ignored": dict(self.ignored)}

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
        return cls(tuple(columns), dict(saved["ignored"]))


def _roles(column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Which of a column's features are no pieces, and which no number that has pieces."""
    smooth, piecewise = np.ones((2, len(column.features)), bool)
    if isinstance(column, NumberColumn) and column.pieces:
        smooth[-len(column.pieces) :] = False
        piecewise[0] = False
    return smooth, piecewise


def _rare(rows: int) -> int:
    """In how many rows a level must stand.

    A feature that is 1 in a share f of the rows reaches 1/sqrt(f), which is 32 at one row in a
    thousand: beyond that, a single row outweighs all others in its mini-batch.
    """
    return max(2 if rows < 100 else 5, rows // 1000)


def _useless(column: pa.ChunkedArray, rows: np.ndarray) -> str | None:
    """Why a column cannot be learned from; None if it can."""
    kind = column.type
    if not is_usable(kind):
        return f"its values are of type {kind}"
    learned = column.take(rows)
    row = "row" if len(rows) == len(column) else "training row"
    if learned.null_count == len(learned):
        return f"no value in any {row}"
    says_missing = is_text(decoded(column).type)  # where a category is missing is a category too
    if len(pc.unique(learned if says_missing else decoded(learned).drop_null())) == 1:
        return f"one value in all {row}s"
    # By all rows: without those held out the numbers have gaps, and nothing would tell them.
    if pa.types.is_integer(kind) and column.null_count == 0 and _counts_rows(column):
        return "it counts the rows"
    return None


def _no_levels(column: pa.ChunkedArray, rare: int) -> str:
    """Why a category is left out, with the mend if its text is nearly numbers."""
    values = pc.unique(text(column).drop_null())
    nearly = pc.match_substring_regex(values, _NEARLY_NUMBER)
    if is_text(decoded(column).type) and (pc.sum(nearly).as_py() or 0) >= _MOSTLY * len(values):
        sample = str(values.filter(nearly)[0])
        return f"text such as {sample!r} is no number; write digits and a decimal point alone"
    return f"no two values stand in {rare} rows or more each"


def _counts_rows(column: pa.ChunkedArray) -> bool:
    """Whether the values are 0, 1, 2, ... or the like, in any order: a row's number, no feature.

    A few may lack, for rows without a target have gone.
    """
    if len(column) < _COUNTER_ROWS:
        return False
    ends = pc.min_max(column).as_py()
    span = ends["max"] - ends["min"] + 1
    return span * _MOSTLY <= len(column) and len(pc.unique(column)) == len(column)


def _is_category(name: str, column: pa.ChunkedArray) -> bool:
    """Whether a column holds text; text that is nearly all numbers is a slip, and raises."""
    if pa.types.is_dictionary(column.type):
        return True
    if not is_text(column.type):
        return False
    found = first_text(column)
    if found is None:
        return False
    levels = pc.unique(text(column).drop_null())
    if pc.sum(pc.match_substring_regex(levels, _NUMBER)).as_py() < _MOSTLY * len(levels):
        return True
    raise TableError(
        f"A column holds numbers or categories; '{name}' holds numbers but for text such as "
        f"{found[1]!r} in row {found[0]}. Mend the cells, leave them empty, or say that it is a "
        f"category (--category '{name}') or of no use (--ignore '{name}')."
    )
