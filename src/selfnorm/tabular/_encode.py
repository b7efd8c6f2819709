# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""From a table to a matrix whose columns have mean 0 and variance 1: what a SELU network needs."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import TableError
from selfnorm.tabular._columns import (
    CategoryColumn,
    Column,
    NumberColumn,
    first_text,
    is_text,
    looks_like_number,
)
from selfnorm.tabular._table import require_column

_KINDS: dict[str, type[Column]] = {"number": NumberColumn, "category": CategoryColumn}
_COUNTER_ROWS = 20  # 1, 2, ... in fewer rows can be a quantity
_MOSTLY = 0.9


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
    ) -> "Encoder":
        """Learn the encoding: the kinds of the columns from all rows, the moments from some.

        Args:
            table: The columns to learn from, without the target.
            rows: Numbers of the training rows; all rows if None.
            categories: Columns to take as categories although they hold numbers.
            ignore: Columns to leave out.

        Raises:
            TableError: no column can be used, a column mixes numbers and text, or a name in
                `categories` or `ignore` is not in the table.
        """
        rows = np.arange(table.num_rows) if rows is None else rows
        rare = _rare(len(rows))
        columns: list[Column] = []
        ignored: dict[str, str] = {}
        for name in (*categories, *ignore):
            require_column(name, table.column_names)
        for name, column in zip(table.column_names, table.columns, strict=True):
            reason = "as asked" if name in ignore else _useless(column.take(rows))
            if reason:
                ignored[name] = reason
            elif name not in categories and not _is_category(name, column):
                columns.append(NumberColumn.fit(name, column, rows, rare))
            else:
                fitted = CategoryColumn.fit(name, column, rows, rare)
                if len(fitted.levels) >= 2:
                    columns.append(fitted)
                else:
                    ignored[name] = f"no two values stand in {rare} rows or more each"
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

    def transform(self, table: pa.Table) -> np.ndarray:
        """The matrix of a table: float32, shape (rows, features).

        The order of the table's columns does not matter, and columns that are not in use may be
        there or not.

        Raises:
            TableError: a column that is in use is missing, or holds text where numbers were.
        """
        self.check(table)
        matrix = np.empty((table.num_rows, len(self.features)), np.float32)
        at = 0
        for column in self.columns:
            width = len(column.features)
            matrix[:, at : at + width] = column.encode(table[column.name])
            at += width
        return matrix

    def check(self, table: pa.Table) -> None:
        """Raise if a column that is in use is missing.

        Raises:
            TableError: with the names.
        """
        lacking = [column.name for column in self.columns if column.name not in table.column_names]
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
        for entry in saved["columns"]:
            fields = {key: value for key, value in entry.items() if key != "kind"}
            if entry["kind"] == CategoryColumn.kind:
                fields |= {"levels": tuple(entry["levels"]), "shares": tuple(entry["shares"])}
            columns.append(_KINDS[entry["kind"]](**fields))
        return cls(tuple(columns), dict(saved["ignored"]))


def _rare(rows: int) -> int:
    """In how many rows a level must stand: a feature that is 1 in 0.5 % of the rows reaches 14."""
    return max(2 if rows < 100 else 5, rows // 200)


def _useless(column: pa.ChunkedArray) -> str | None:
    """Why a column cannot be learned from; None if it can."""
    kind = column.type
    if column.null_count == len(column):
        return "no value in any row"
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        return f"its values are of type {kind}"
    if len(pc.unique(column)) == 1:
        return "one value in all rows"
    if pa.types.is_integer(kind) and column.null_count == 0 and _counts_rows(column):
        return "it counts the rows"
    return None


def _counts_rows(column: pa.ChunkedArray) -> bool:
    """Whether the values are 0, 1, 2, ... or the like, in any order: a row's number, no feature."""
    if len(column) < _COUNTER_ROWS:
        return False
    ends = pc.min_max(column).as_py()
    return ends["max"] - ends["min"] == len(column) - 1 and pc.count_distinct(
        column
    ).as_py() == len(column)


def _is_category(name: str, column: pa.ChunkedArray) -> bool:
    """Whether a column holds text; text that is nearly all numbers is a slip, and raises."""
    if pa.types.is_dictionary(column.type):
        return True
    if not is_text(column.type):
        return False
    found = first_text(column)
    levels = pc.unique(column.drop_null()).to_pylist()
    share = sum(map(looks_like_number, levels)) / len(levels)
    if found is None or share < _MOSTLY:
        return found is not None
    raise TableError(
        f"A column holds numbers or categories; '{name}' holds numbers but for text such as "
        f"'{found[1]}' in row {found[0]}. Mend the cells, leave them empty, or say that it is a "
        f"category (--category '{name}') or of no use (--ignore '{name}')."
    )
