"""Tables in: a file, a built-in data set, or an object in memory, as `pyarrow.Table`."""

import gzip
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from selfnorm.errors import TableError, UnsupportedError
from selfnorm.tabular import _datasets

_DELIMITED = (".csv", ".tsv", ".txt")
_PARQUET = (".parquet", ".pq")
_NULLS = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "#N/A", "<NA>")
_DELIMITERS = ",;\t|"
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")


def read_table(source: str | Path, *, text_columns: Iterable[str] = ()) -> pa.Table:
    """Read a table with named columns from a file, or a built-in data set by its name.

    CSV files may be compressed (`.gz`), delimited by comma, semicolon, tab or bar, and may write
    decimals with a comma where that is not the delimiter. Empty cells, `?`, `NA`, `NaN`, `null`
    and the like are missing values.

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
    if not path.exists() and str(source) in _datasets.NAMES:
        return _datasets.load(str(source))
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
    try:
        table = pq.read_table(path) if suffix in _PARQUET else _read_csv(path, text_columns)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeError, EOFError, OSError) as error:
        raise TableError(f"'{path}' cannot be read: {_reason(error)}") from error
    return _with_names(table, f"'{path}'")


def as_table(data: Any, *, names: Sequence[str] | None = None) -> pa.Table:
    """A pandas, polars or Arrow table, or a 2-D array, as `pyarrow.Table`.

    Args:
        data: An Arrow table, a pandas DataFrame, anything with the Arrow PyCapsule interface
            (polars, DuckDB, ...), or an array of shape (rows, columns).
        names: Column names for an array; by default `x0`, `x1`, ...

    Raises:
        UnsupportedError: `data` is none of these.
        TableError: one column name stands twice, or a column mixes kinds of values.
    """
    if isinstance(data, pa.Table):
        return _with_names(data, "the table")
    try:
        if hasattr(data, "iloc") and hasattr(data, "columns"):  # pandas: names may be integers
            frame = data.set_axis([str(name) for name in data.columns], axis=1)
            return _with_names(pa.Table.from_pandas(frame, preserve_index=False), "the table")
        if hasattr(data, "__arrow_c_stream__"):
            return _with_names(pa.table(data), "the table")
        array = np.asarray(data)
        if array.ndim == 2:
            names = names or [f"x{number}" for number in range(array.shape[1])]
            return pa.table([_arrow(values) for values in array.T], names=list(names))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise TableError(f"Each column holds values of one kind: {_reason(error)}") from error
    raise UnsupportedError(
        "A table is a DataFrame, an Arrow table or an array of shape (rows, columns); an array of "
        f"shape {array.shape} came. Reshape it to two dimensions."
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


def _arrow(values: np.ndarray) -> pa.Array:
    if values.dtype == object and not any(isinstance(value, str) for value in values):
        values = values.astype(float)
    return pa.array(values, from_pandas=True)


def _with_names(table: pa.Table, where: str) -> pa.Table:
    """The table, once every column has one name of its own and there is a row."""
    names = [name.strip() or f"unnamed_{at}" for at, name in enumerate(table.column_names, 1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise TableError(
            f"Each column needs a name of its own; in {where} '{twice[0]}' stands "
            f"{names.count(twice[0])} times. Rename all but one."
        )
    if table.num_rows == 0:
        raise TableError(f"A table needs rows; {where} has {table.num_columns} columns and none.")
    columns = [_without_views(column) for column in table.columns]
    return pa.table(columns, names=names)


def _without_views(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as Arrow's functions take it; polars hands it over as views, which many do not."""
    return column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column


def _read_csv(path: Path, text_columns: Iterable[str]) -> pa.Table:
    header, *rows = _first_lines(path)
    delimiter = max(_DELIMITERS, key=header.count)
    cells = [cell.strip() for cell in header.split(delimiter)]
    if all(_is_number(cell) for cell in cells):
        raise TableError(
            f"The first row of '{path}' must name the columns; it holds numbers ({header[:40]}). "
            "Put a row of names above it."
        )
    comma = delimiter != "," and any(
        _DECIMAL_COMMA.fullmatch(cell) for row in rows for cell in row.split(delimiter)
    )
    parse = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = pacsv.ConvertOptions(
        null_values=[*_NULLS, *(f" {null}" for null in _NULLS)],
        strings_can_be_null=True,
        decimal_point="," if comma else ".",
        column_types=dict.fromkeys(text_columns, pa.string()),
    )
    try:
        return pacsv.read_csv(path, parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid:  # only a reader without threads can tell the row
        one = pacsv.ReadOptions(use_threads=False)
        return pacsv.read_csv(path, one, parse, convert)


def _first_lines(path: Path, count: int = 100) -> list[str]:
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig") as file:
        lines = [line.rstrip("\r\n") for line, _ in zip(file, range(count), strict=False)]
    if not lines or not lines[0].strip():
        raise TableError(
            f"A table needs a row of column names; '{path}' begins with an empty line."
        )
    return lines


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip('"'))
    except ValueError:
        return False
    return True


def _not_a_file(path: Path) -> str:
    built_in = f"Built-in data sets: {', '.join(_datasets.NAMES)}."
    if path.is_dir():
        return f"A table is one file; '{path}' is a folder. Name a file in it. {built_in}"
    return f"There is no file '{path}'. Check the path, or name a built-in data set. {built_in}"


def _reason(error: Exception) -> str:
    """Arrow's message in one line, with the mend where it is known."""
    message = str(error).splitlines()[0]
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
