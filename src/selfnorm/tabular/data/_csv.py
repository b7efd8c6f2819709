# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Delimited text as it is found: four delimiters, decimal commas, spaces, byte order marks."""

import csv
import gzip
import re
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from selfnorm.errors import TableError

_NULLS = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "#N/A", "<NA>")
_DELIMITERS = ",;\t|"
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_DECIMAL_COMMA = r"^\s*([+-]?\d+),(\d+)\s*$"
_NUMBER = r"^\s*[+-]?\d+([.,]\d+)?\s*$"
_MOSTLY = 0.9


def read_csv(path: Path, text_columns: Collection[str]) -> pa.Table:
    """The table of a CSV file, its names as they stand there.

    Raises:
        TableError: the first row names no columns, or text is not UTF-8.
        pyarrow.ArrowException, OSError, UnicodeError, csv.Error: it cannot be read.
    """
    delimiter, header = _header(path)
    compression = "gzip" if _is_compressed(path) else None  # Arrow tells by `.gz` alone
    if all(_is_number(cell) for cell in header):
        raise TableError(
            f"The first row of '{path}' must name the columns; it holds numbers "
            f"({delimiter.join(header)[:40]}). Put a row of names above it."
        )
    wanted = set(text_columns)
    as_text = {
        raw: pa.string()
        for raw, name in zip(header, clean_names(header), strict=True)
        if name in wanted
    }
    parse = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = pacsv.ConvertOptions(
        null_values=[*_NULLS, *(f" {null}" for null in _NULLS)],
        strings_can_be_null=True,
        column_types=as_text,
    )
    try:
        with pa.input_stream(str(path), compression) as file:
            table = pacsv.read_csv(file, parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid:  # only a reader without threads can tell the row
        one = pacsv.ReadOptions(use_threads=False)
        with pa.input_stream(str(path), compression) as file:
            table = pacsv.read_csv(file, one, parse, convert)
    if any(pa.types.is_binary(kind) for kind in table.schema.types):
        raise TableError(
            f"'{path}' cannot be read: text must be UTF-8, and this file's is not. Save it as "
            "UTF-8."
        )
    if delimiter == ",":
        return table
    columns = [
        column if name in as_text else _decimal_comma(column)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return pa.table(columns, names=table.column_names)


def clean_names(names: Sequence[str]) -> list[str]:
    """Column names that stand on one line, without outer spaces; an empty one gets a number."""
    stripped = (_CONTROL.sub(" ", name).strip() for name in names)
    return [name or f"unnamed_{at}" for at, name in enumerate(stripped, 1)]


def _header(path: Path) -> tuple[str, list[str]]:
    """The delimiter, which is the one that cuts the first row into most cells, and those cells."""
    opened: Any = gzip.open if _is_compressed(path) else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        lines = list(islice(file, 100))
    if not lines or not lines[0].strip():
        raise TableError(
            f"A table needs a row of column names; '{path}' begins with an empty line."
        )
    rows = {mark: next(csv.reader(lines, delimiter=mark)) for mark in _DELIMITERS}
    delimiter = max(_DELIMITERS, key=lambda mark: len(rows[mark]))
    return delimiter, rows[delimiter]


def _is_compressed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _decimal_comma(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The numbers of a text column that holds little else than numbers such as 1,5."""
    if not pa.types.is_string(column.type):
        return column
    values = pc.unique(column.drop_null())
    commas = pc.sum(pc.match_substring_regex(values, _DECIMAL_COMMA)).as_py() or 0
    alike = pc.sum(pc.match_substring_regex(values, _NUMBER)).as_py() or 0
    if not commas or alike < _MOSTLY * len(values):
        return column
    points = pc.replace_substring_regex(column, _DECIMAL_COMMA, r"\1.\2")
    try:
        return pc.cast(pc.utf8_trim_whitespace(points), pa.float64())
    except pa.ArrowInvalid:
        return points


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
