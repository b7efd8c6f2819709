# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Tables in: a file, a built-in data set, or an object in memory, as `pyarrow.Table`."""

import csv
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from selfnorm.errors import TableError, UnsupportedError
from selfnorm.tabular.data import _datasets
from selfnorm.tabular.data._cells import is_text, not_utf8
from selfnorm.tabular.data._csv import clean_names, read_csv

_DELIMITED = (".csv", ".tsv", ".txt")
_PARQUET = (".parquet", ".pq")


def read_table(source: str | Path, *, text_columns: Iterable[str] = ()) -> pa.Table:
    """Read a table with named columns from a file, or a built-in data set by its name.

    CSV files may be compressed (`.gz`), delimited by comma, semicolon, tab or bar, and may write
    decimals with a comma where that is not the delimiter. Empty cells, `?`, `NA`, `NaN`, `null`
    and the like are missing values.

    Wherever a table comes from, nan and text of nothing but spaces are missing values, text has no
    outer spaces, and a column's name stands on one line.

    Args:
        source: A path, or one of `digits`, `breast-cancer`, `wine`, `diabetes`; a file of that
            name comes first.
        text_columns: Columns to read as text even where they look like numbers, so that the
            category `007` stays `007`.

    Raises:
        TableError: the file is missing, empty, ragged, not UTF-8 or of an unknown format; it has
            no rows, or no usable column names.
    """
    path = Path(source)
    try:
        if not path.exists() and str(source) in _datasets.NAMES:
            return _datasets.load(str(source))
        table = _read_file(path, tuple(text_columns))
        return _with_names(table, f"'{path}'")
    except TableError:
        raise
    except (pa.ArrowException, ValueError, EOFError, OSError, zlib.error, csv.Error) as error:
        raise TableError(f"'{path}' cannot be read: {_reason(error)}") from error


def as_table(data: Any, *, names: Sequence[str] | None = None) -> pa.Table:
    """A pandas, polars or Arrow table, or a 2-D array, as `pyarrow.Table`.

    Args:
        data: An Arrow table, a pandas DataFrame, anything with the Arrow PyCapsule interface
            (polars, DuckDB, ...), or an array of shape (rows, columns).
        names: Column names for an array; by default `x0`, `x1`, ...

    Raises:
        UnsupportedError: `data` is none of these.
        TableError: one column name stands twice, a column mixes kinds of values, or text cannot be
            written in UTF-8.
    """
    try:
        if isinstance(data, pa.Table):
            return _with_names(data, "the table")
        if hasattr(data, "iloc") and hasattr(data, "columns"):  # pandas: names may be integers
            return _with_names(_of_pandas(data), "the table")
        if hasattr(data, "__arrow_c_stream__"):
            return _with_names(pa.table(data), "the table")
        array = _as_array(data)
        if array.ndim == 2:
            names = names or [f"x{number}" for number in range(array.shape[1])]
            columns = [_arrow(*named) for named in zip(names, array.T, strict=True)]
            return _with_names(pa.table(columns, names=list(names)), "the array")
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise TableError(f"Each column holds values of one kind: {_reason(error)}") from error
    came = f"an array of shape {array.shape}" if array.ndim else f"{type(data).__name__}"
    raise UnsupportedError(
        "A table is a DataFrame, an Arrow table or an array of shape (rows, columns); "
        f"{came} came. " + ("Reshape it to two dimensions." if array.ndim else "Pass one of these.")
    )


def require_column(name: str, names: Collection[str]) -> None:
    """Raise, with the nearest name, if a column is not in the table.

    Raises:
        TableError: `name` is not among `names`.
    """
    if name in names:
        return
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    listed = ", ".join(list(names)[:8]) + (", ..." if len(names) > 8 else "")
    hint = f"Did you mean '{near[0]}'?" if near else f"The columns are: {listed}."
    raise TableError(
        f"The table must have every column that is named; there is no '{name}'. {hint}"
    )


def _as_array(data: Any) -> np.ndarray:
    try:
        return np.asarray(data)
    except ValueError as error:
        raise TableError(
            f"Every row needs a cell for each column; the rows are of different length ({error}). "
            "Fill them up."
        ) from error


def _of_pandas(data: Any) -> pa.Table:
    try:
        frame = data.set_axis([str(name) for name in data.columns], axis=1)
        return pa.Table.from_pandas(frame, preserve_index=False)
    except UnicodeError:
        for name, values in data.items():
            _encoded(str(name), values)
        raise


def _arrow(name: str, values: np.ndarray) -> pa.Array:
    if values.dtype == object and not any(isinstance(value, str) for value in values):
        try:
            values = values.astype(float)
        except (TypeError, ValueError) as error:
            raise TableError(
                f"Columns of an array hold numbers or text; one holds something else ({error}). "
                "Convert it, or leave it out."
            ) from error
    return _encoded(name, values)


def _encoded(name: str, values: Any) -> pa.Array:
    try:
        name.encode()
        return pa.array(values, from_pandas=True)
    except UnicodeError as error:
        raise not_utf8(name) from error


def _read_file(path: Path, text_columns: Collection[str]) -> pa.Table:
    if not path.is_file():
        raise TableError(_not_a_file(path))
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in _DELIMITED + _PARQUET:
        raise TableError(
            f"A table is a CSV (.csv, .tsv, .csv.gz) or Parquet (.parquet) file; '{path}' ends in "
            f"'{path.suffix}'. Convert it, or rename it if it is one of these."
        )
    if path.stat().st_size == 0:
        raise TableError(f"A table needs a row of column names; '{path}' is an empty file.")
    return pq.read_table(path) if suffix in _PARQUET else read_csv(path, text_columns)


def _with_names(table: pa.Table, where: str) -> pa.Table:
    """The table, tidied, once every column has one name of its own and there is a row."""
    names = clean_names(table.column_names)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise TableError(
            f"Each column needs a name of its own; in {where} '{twice[0]}' stands "
            f"{names.count(twice[0])} times. Rename all but one."
        )
    if table.num_rows == 0:
        raise TableError(f"A table needs rows; {where} has {table.num_columns} columns and none.")
    for name, column in zip(names, table.columns, strict=True):
        _check_bytes(name, column)
    return pa.table([_tidy(column) for column in table.columns], names=names)


def _check_bytes(name: str, column: pa.ChunkedArray) -> None:
    """Raise if text that came as bytes is not UTF-8: Arrow looks only when it is asked."""
    if is_text(column.type) or pa.types.is_dictionary(column.type):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise not_utf8(name) from error


def _tidy(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with null for nan and blank text, without outer spaces, and no views of text.

    polars hands text over as views, which many of Arrow's functions do not take.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        tidied = [_tidy_levels(chunk) for chunk in column.chunks]
        return pc.dictionary_encode(pa.chunked_array(tidied))
    if pa.types.is_string_view(kind):
        return _tidy(pc.cast(column, pa.large_string()))
    if pa.types.is_float16(kind):
        return _tidy(pc.cast(column, pa.float32()))
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.utf8_trim_whitespace(column)
        return pc.if_else(pc.equal(column, ""), None, column)
    return column


def _tidy_levels(chunk: pa.DictionaryArray) -> pa.Array:
    """A dictionary's values, tidied before they are looked up, which views of text cannot be."""
    levels = _tidy(pa.chunked_array([chunk.dictionary])).combine_chunks()
    return levels.take(chunk.indices)


def _not_a_file(path: Path) -> str:
    built_in = f"Built-in data sets: {', '.join(_datasets.NAMES)}."
    if path.is_dir():
        return f"A table is one file; '{path}' is a folder. Name a file in it. {built_in}"
    return f"There is no file '{path}'. Check the path, or name a built-in data set. {built_in}"


def _reason(error: Exception) -> str:
    """Arrow's message in one line, with the mend where it is known."""
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    message = (told.splitlines() or [type(error).__name__])[0].rstrip(".")
    ragged = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", message)
    if ragged:
        row = f"row {ragged[1]}" if ragged[1] else "a row"
        return (
            f"every row needs one cell a column, and {row} has {ragged[3]} where the header has "
            f"{ragged[2]}. Mend that row, or quote cells that hold the delimiter."
        )
    if isinstance(error, UnicodeError) or "UTF8" in message:
        return "text must be UTF-8, and this file's is not. Save it as UTF-8."
    return f"{message}."
