# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Rows that stand in a table more than once, and not by chance."""

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.tabular.data._cells import is_text, is_usable, text
from selfnorm.tabular.data._provenance import provenance_of
from selfnorm.tabular.encoding._rows import row_number

_BY_CHANCE = 0.5  # a share of the pairs of equal rows
_MOSTLY_TEXT = 0.5  # of different texts to rows: they name rows
_MOST = 10  # copies of a row, in the mean
_FEW = 0.01  # a share of rows, which matters to nothing
_ASKED = 100_000  # rows that tell how often a value repeats
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def copies(table: pa.Table, ignore: Collection[str] = ()) -> np.ndarray | None:
    """A number for each row, the same for copies of one row; None if there are no copies.

    Rows of few columns of few values are equal by chance, and so will new ones be. Two rows are
    equal by chance no oftener than they are in any one column. Copies they are where a number with
    a fraction, a measurement, repeats so seldom among different rows that at most half of the equal
    pairs can be chance, and a row stands there ten times at the most, in the mean. Less than one in
    a hundred rows is none.

    Args:
        table: The columns to learn from; those that number the rows, and text that never repeats
            but by copies, do not count.
        ignore: Names of columns that do not count either.
    """
    least = (1 - _FEW) * table.num_rows
    key = np.zeros(table.num_rows, np.uint64)
    check = 1
    for asked, values in enumerate(_values(table, ignore), 1):
        key = (key ^ values.view(np.uint64)) * _FACTOR  # wraps around, and differs for each value
        key ^= key >> _HALF
        if asked == check:  # one column tells most tables' rows apart
            check *= 2
            if len(np.unique(key)) > least:
                return None
    _, first, label, counts = np.unique(
        key, return_index=True, return_inverse=True, return_counts=True
    )
    if len(first) > least or len(first) * _MOST < len(key):
        return None
    measured = [name for name, column in _counting(table, ignore) if _has_fractions(column)]
    different = table.select(measured).take(first[:: -(-len(first) // _ASKED)])
    chance = min((_repeats(_codes(column)) for column in different.columns), default=1.0)
    explained = _pairs(np.array([len(key)])) * chance
    return label if explained <= _BY_CHANCE * _pairs(counts) else None


def _counting(table: pa.Table, ignore: Collection[str]) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """The columns that can be learned from."""
    indexes = provenance_of(table).indexes
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name not in ignore and is_usable(column.type) and not row_number(name, column, indexes):
            yield name, column


def _values(table: pa.Table, ignore: Collection[str]) -> Iterator[np.ndarray]:
    """64 bits for each value of a column, for each that counts."""
    for _, column in _counting(table, ignore):
        if is_text(column.type) or pa.types.is_dictionary(column.type):
            codes = _codes(text(column))
            if codes.max(initial=-1) >= _MOSTLY_TEXT * len(codes):
                continue
        elif column.type in (pa.float64(), pa.int64()) and not column.null_count:
            codes = column.to_numpy()
        else:
            codes = _codes(column)
        yield codes if codes.dtype.itemsize == 8 else codes.astype(np.int64)


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """Its values as numbers from 0, none among them."""
    coded = pc.dictionary_encode(column, null_encoding="encode")
    return coded.combine_chunks().indices.to_numpy()


def _has_fractions(column: pa.ChunkedArray) -> bool:
    if not pa.types.is_floating(column.type):
        return False
    values = column.to_numpy()
    return bool((np.isfinite(values) & (values != np.floor(values))).any())


def _repeats(codes: np.ndarray) -> float:
    """The share of pairs of rows that have the same value."""
    return _pairs(np.bincount(codes)) / _pairs(np.array([len(codes)])) if len(codes) > 1 else 1.0


def _pairs(counts: np.ndarray) -> float:
    """How many pairs so many rows make, summed."""
    return float((counts * (counts - 1.0)).sum() / 2)
