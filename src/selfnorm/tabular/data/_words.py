# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Words that stand where a value is missing."""

import math
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NULLS = ("?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "#N/A", "<NA>")
"""What is missing in every column, also among categories."""
_AMONG_NUMBERS = (
    *("-", "--", "---", "–", "—", ".", "..", "...", "*", "**", "??", "???", "na", "n.a.", "n.a"),
    *("n.d.", "nd", "nil", "none", "not available", "not applicable", "not known", "no data"),
    *("unknown", "unk", "undefined", "unavailable", "missing", "blank", "empty", "tbd", "nat"),
    *("(null)", "(missing)", "(none)", "(unknown)", "(blank)", "(empty)", r"\n", "#div/0!"),
    *("#value!", "#ref!", "#name?", "#num!", "#null!", "0000-00-00", "00/00/0000", "00.00.0000"),
)
_STAMP = pa.timestamp("us")
_ALL = sorted({word.lower() for word in (*NULLS, *_AMONG_NUMBERS)})


def without_nulls(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A text column with null for `NA` and the like."""
    return _without(column, pc.is_in(column, value_set=pa.array(NULLS, column.type)))


def without_words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A text column with null for `NA`, `-`, `Unknown` and the like, where the rest is numbers."""
    found = pc.is_in(pc.utf8_lower(column), value_set=pa.array(_ALL, column.type))
    return _without(column, found)


def without_own(table: pa.Table, words: Sequence[str]) -> pa.Table:
    """The table with null for words of a user's own, in every column.

    A word that writes a number or a date, such as `-999` or `1900-01-01`, is that value in columns
    of numbers or dates, too.
    """
    if not words:
        return table
    columns = [without_own_cells(column, words) for column in table.columns]
    return pa.table(columns, names=table.column_names, metadata=table.schema.metadata)


def without_own_cells(column: pa.ChunkedArray, words: Sequence[str]) -> pa.ChunkedArray:
    """The same of one column."""
    types, kind, words = pa.types, column.type, [word.strip() for word in words]
    if not words or not len(column):
        return column
    if types.is_dictionary(kind):
        plain = without_own_cells(pc.cast(column, kind.value_type), words)
        return pc.dictionary_encode(plain)
    if types.is_string(kind) or types.is_large_string(kind):
        values, cells = pa.array(words, kind), pc.utf8_trim_whitespace(column)
    elif types.is_floating(kind):  # in their own precision, in which -99.9 is -99.9
        values, cells = pc.cast(pa.array(numbers_of(words)), kind, safe=False), column
    elif types.is_integer(kind) or types.is_decimal(kind):
        values, cells = pa.array(numbers_of(words)), pc.cast(column, pa.float64(), safe=False)
    elif types.is_date(kind) or (types.is_timestamp(kind) and kind.tz is None):
        values, cells = _dates_of(words), pc.cast(column, _STAMP, safe=False)
    else:
        return column
    found = pc.is_in(cells, value_set=values)
    return _without(column, found) if pc.any(found).as_py() else column


def numbers_of(words: Sequence[str]) -> np.ndarray:
    """The finite numbers that some of the words write."""
    found: list[float] = []
    for word in words:
        with suppress(ValueError):
            found.append(float(word))
    return np.array([value for value in found if math.isfinite(value)], np.float64)


def _dates_of(words: Sequence[str]) -> pa.Array:
    found: list[datetime] = []
    for word in words:
        with suppress(ValueError):
            found.append(datetime.fromisoformat(word).replace(tzinfo=None))
    return pa.array(found, _STAMP)


def _without(column: pa.ChunkedArray, found: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(found, None, column)
