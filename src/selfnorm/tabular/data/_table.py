# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Tables in: a file, a built-in data set, or an object in memory, as `pyarrow.Table`."""

import csv
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import TableError, UnsupportedError
from selfnorm.tabular.data import _datasets
from selfnorm.tabular.data._archive import of_archive
from selfnorm.tabular.data._binary import of_binary
from selfnorm.tabular.data._bytes import (
    STDIN,
    as_utf8,
    format_of,
    not_in_utf8,
    read_bytes,
    reader_of,
)
from selfnorm.tabular.data._cells import is_text, not_utf8
from selfnorm.tabular.data._csv import OPEN_QUOTE, clean_names, read_csv, read_csv_blocks
from selfnorm.tabular.data._files import PACKED, PARQUET, is_table
from selfnorm.tabular.data._frames import array_column, as_array, of_pandas
from selfnorm.tabular.data._provenance import provenance_of, with_provenance
from selfnorm.tabular.data._remote import path_of
from selfnorm.tabular.data._sparse import as_column, is_matrix, width_of
from selfnorm.tabular.data._workbook import WORKBOOKS, as_text

UNREADABLE = (
    pa.ArrowException,
    *(ValueError, EOFError, OSError, zlib.error, lzma.LZMAError, csv.Error),
)


@dataclass(frozen=True)
class TableFile:
    """A file that holds a table, in an encoding that has to be said.

    Attributes:
        path: The file; `-` for standard input. A folder, a pattern such as `parts/*.csv` or several
            paths are the parts of one table. A URI such as `s3://bucket/parts` names one elsewhere.
        encoding: That of a text, as Python calls it: `cp1252`, `latin-1`, `utf-16`, ...; None for
            UTF-8, and for UTF-16 that begins with its mark.

    Example:
        >>> TableFile("patients.csv", encoding="cp1252").path
        'patients.csv'
    """

    path: str | Path | Sequence[str | Path]
    encoding: str | None = None


def read_table(
    source: str | Path | TableFile, *, text_columns: Iterable[str] = (), empty: bool = False
) -> pa.Table:
    """Read a table with named columns from a file, or a built-in data set by its name.

    What a file is, is told by how it begins and not by its name: Parquet, Arrow, or text that may
    be packed (gzip, bzip2, xz, or a zip archive of one table). Text is delimited by comma,
    semicolon, tab, bar or spaces, and may write decimals with a comma where that is not the
    delimiter. Titles above the names and lines that begin with `#` are passed over. Empty cells,
    `?`, `NA`, `NaN`, `null` and the like are missing values.

    Wherever a table comes from, nan and text of nothing but spaces are missing values, text has no
    outer spaces, and a column's name stands on one line. Columns of one name are left out.

    Args:
        source: A path, `-` for standard input, or one of `digits`, `breast-cancer`, `wine`,
            `diabetes`; a file of that name comes first.
        text_columns: Columns to read as text even where they look like numbers, so that the
            category `007` stays `007`.
        empty: Whether it may have no rows.

    Raises:
        TableError: the file is missing, empty, ragged, not in the encoding or of an unknown format;
            it has no rows, or no usable column names.
    """
    blocks = list(_read(source, tuple(text_columns), blockwise=False))
    if not empty:
        require_rows(blocks[0], _where(source))
    return blocks[0]


def read_blocks(
    source: str | Path | TableFile, *, text_columns: Iterable[str] = ()
) -> Iterator[pa.Table]:
    """The same for a model, some of the rows at a time, so that a file may exceed the memory.

    What is packed or comes from standard input is in memory as it is. A block's columns may hold
    numbers where another's hold text: a model knows what they are. A table without rows is one
    block without rows.

    Raises:
        TableError: as `read_table`; rows are counted from the beginning of a block, which is told.
    """
    rows = 0
    try:
        for block in _read(source, tuple(text_columns), blockwise=True):
            yield block
            rows += block.num_rows
    except TableError as error:
        raise behind(rows, error) from error


def behind(rows: int, error: TableError) -> TableError:
    """An error that counts rows from behind so many others."""
    if not rows:
        return error
    return TableError(f"In the rows from {rows + 1:,} on, of which that is the first: {error}")


def _read(
    source: str | Path | TableFile, text_columns: tuple[str, ...], *, blockwise: bool
) -> Iterator[pa.Table]:
    file = source if isinstance(source, TableFile) else TableFile(source)
    path, where = path_of(str(file.path)), _where(source)
    try:
        if str(path) != STDIN and not path.exists() and str(path) in _datasets.NAMES:
            yield _datasets.load(str(path))
            return
        for block in _read_file(path, file.encoding, text_columns, where, blockwise=blockwise):
            yield _with_names(block, where)
    except TableError:
        raise
    except UnicodeError as error:
        raise not_in_utf8(where) from error
    except UNREADABLE as error:
        raise TableError(f"{where} cannot be read: {reason(error)}") from error


def _where(source: str | Path | TableFile) -> str:
    path = path_of(str(source.path if isinstance(source, TableFile) else source))
    return "standard input" if str(path) == STDIN else f"'{path}'"


def require_rows(table: pa.Table, where: str) -> None:
    """Raise if a table has no rows.

    Raises:
        TableError: it has none.
    """
    if table.num_rows == 0:
        raise TableError(
            f"A table needs rows; {where} has {table.num_columns} columns and none. Add rows."
        )


def as_table(data: Any, *, names: Sequence[str] | None = None, empty: bool = False) -> pa.Table:
    """A pandas, polars or Arrow table, or a 2-D array, as `pyarrow.Table`.

    Args:
        data: An Arrow table, a pandas DataFrame, anything with the Arrow PyCapsule interface
            (polars, DuckDB, ...), an array of shape (rows, columns), or a matrix of scipy.sparse,
            which is a table of one column, `X`.
        names: Column names for an array; by default `x0`, `x1`, ...
        empty: Whether it may have no rows.

    Raises:
        UnsupportedError: `data` is none of these.
        TableError: there are no rows, one column name stands twice, a column mixes kinds of
            values, or text cannot be written in UTF-8.
    """
    table = _as_table(data, names)
    if not empty:
        require_rows(table, "the table")
    return table


def _as_table(data: Any, names: Sequence[str] | None) -> pa.Table:
    try:
        if isinstance(data, pa.Table):
            return data if width_of(data) is not None else _with_names(data, "the table")
        if hasattr(data, "iloc") and hasattr(data, "columns"):  # pandas: names may be integers
            return _with_names(of_pandas(data), "the table")
        if hasattr(data, "__arrow_c_stream__"):
            return _with_names(pa.table(data), "the table")
        if is_matrix(data):
            return as_column(data)
        array = as_array(data)
        if array.ndim == 2:
            names = names or [f"x{number}" for number in range(array.shape[1])]
            columns = [array_column(*named) for named in zip(names, array.T, strict=True)]
            return _with_names(pa.table(columns, names=list(names)), "the array")
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise TableError(f"Each column holds values of one kind: {reason(error)}") from error
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


def _read_file(
    path: Path,
    encoding: str | None,
    text_columns: Collection[str],
    where: str,
    *,
    blockwise: bool,
) -> Iterator[pa.Table]:
    if str(path) != STDIN:
        _check_file(path)
    content, notes = of_archive(read_bytes(path), where)
    if content.size == 0:
        raise TableError(f"A table needs a row of column names; {where} is an empty file.")
    found = format_of(content)
    if found in ("Parquet", "Arrow"):
        yield from of_binary(reader_of(path, content), found, blockwise=blockwise)
        return
    for endings, called in ((PARQUET, "Parquet"), (WORKBOOKS, "a workbook")):
        if found == "text" and path.name.lower().endswith(endings):
            raise TableError(f"{where} cannot be read: it does not begin as {called} does.")
    if found == "workbook":
        content, told = as_text(content, where)
        notes = (*notes, *told)
    else:
        content = as_utf8(content, encoding, where)
    if blockwise:
        yield from read_csv_blocks(content, text_columns, where)
    else:
        table = read_csv(content, text_columns, where)
        known = provenance_of(table)
        yield with_provenance(table, replace(known, notes=(*notes, *known.notes)))


def _check_file(path: Path) -> None:
    """Raise unless a path is of a file whose name is that of a table."""
    if not path.is_file():
        raise TableError(_not_a_file(path))
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    if not is_table(path) and Path(name).suffix not in ("", ".zip", *WORKBOOKS):
        raise TableError(
            f"A table is a CSV (.csv, .tsv, .csv.gz, .zip), Parquet (.parquet) or Excel (.xlsx) "
            f"file; '{path}' ends in '{path.suffix}'. Convert it, or rename it if it is one of "
            "these."
        )


def _with_names(table: pa.Table, where: str) -> pa.Table:
    """The table, tidied, with each column under a name of its own.

    Columns that share a name are left out: nothing tells which is meant.
    """
    names = clean_names(table.column_names)
    twice = {name: count for name, count in Counter(names).items() if count > 1}
    if twice and len(twice) == len(set(names)):
        name, count = next(iter(twice.items()))
        raise TableError(
            f"Each column needs a name of its own; in {where} '{name}' stands {count} times. "
            "Rename all but one."
        )
    kept = [at for at, name in enumerate(names) if name not in twice]
    columns = [table.column(at) for at in kept]
    names = [names[at] for at in kept]
    for name, column in zip(names, columns, strict=True):
        _check_bytes(name, column)
    known = provenance_of(table)
    left_out = {name: f"{count} columns have this name" for name, count in twice.items()}
    return with_provenance(
        pa.table([tidy(column) for column in columns], names=names),
        replace(known, left_out={**known.left_out, **left_out}),
    )


def _check_bytes(name: str, column: pa.ChunkedArray) -> None:
    """Raise if text that came as bytes is not UTF-8: Arrow looks only when it is asked."""
    if is_text(column.type) or pa.types.is_dictionary(column.type):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise not_utf8(name) from error


def tidy(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with null for nan and blank text, without outer spaces, and no views of text.

    polars hands text over as views, which many of Arrow's functions do not take.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        tidied = [_tidy_levels(chunk) for chunk in column.chunks]
        return pc.dictionary_encode(pa.chunked_array(tidied))
    if pa.types.is_string_view(kind):
        return tidy(pc.cast(column, pa.large_string()))
    if pa.types.is_float16(kind):
        return tidy(pc.cast(column, pa.float32()))
    if pa.types.is_floating(kind):
        found = pc.is_nan(column)  # mostly there is none, and a copy would be of no use
        return pc.if_else(found, None, column) if pc.any(found).as_py() else column
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.utf8_trim_whitespace(column)
        return pc.if_else(pc.equal(column, ""), None, column)
    return column


def _tidy_levels(chunk: pa.DictionaryArray) -> pa.Array:
    """A dictionary's values, tidied before they are looked up, which views of text cannot be."""
    levels = tidy(pa.chunked_array([chunk.dictionary])).combine_chunks()
    return levels.take(chunk.indices)


def _not_a_file(path: Path) -> str:
    built_in = f"Built-in data sets: {', '.join(_datasets.NAMES)}."
    if path.is_dir():
        return f"A table is one file; '{path}' is a folder. Name a file in it. {built_in}"
    return f"There is no file '{path}'. Check the path, or name a built-in data set. {built_in}"


def reason(error: Exception) -> str:
    """Arrow's message in one line, with the mend where it is known."""
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    message = (told.splitlines() or [type(error).__name__])[0].rstrip(".")
    ragged = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", message)
    if ragged:
        row = f"row {ragged[1]}" if ragged[1] else "a row"
        return (
            f"every row needs one cell a column, and {row} has {ragged[3]} where the header has "
            f"{ragged[2]}. Mend that row, or quote cells that hold the delimiter."
            + (" A quote that opens a cell is not closed, too." if OPEN_QUOTE in told else "")
        )
    return f"{message}."
