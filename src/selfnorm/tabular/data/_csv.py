# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Delimited text as it is found: delimiters, decimal commas, spaces, comments, byte order marks."""

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from selfnorm.errors import TableError
from selfnorm.tabular.data._bytes import not_in_utf8
from selfnorm.tabular.data._layout import Layout, cells_of, layout_of
from selfnorm.tabular.data._provenance import Provenance, with_provenance
from selfnorm.tabular.data._words import NULLS

OPEN_QUOTE = "a quote is not closed"
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_DECIMAL_COMMA = r"^\s*([+-]?\d+),(\d+)\s*$"
_NUMBER = r"^\s*[+-]?\d+([.,]\d+)?\s*$"
_CODE = r"^\s*0\d+\s*$"
_MOSTLY = 0.9
_START = 1 << 18  # bytes that show the layout
_BLOCK = 1 << 24  # bytes
_TAIL = 1 << 20


def read_csv(content: pa.Buffer, text_columns: Collection[str], where: str) -> pa.Table:
    """The table of a delimited text in UTF-8, with clean names.

    What nobody chose a type for is a number if all cells are; whole numbers of which one begins
    with 0 are codes, and stay text.

    Raises:
        TableError: the first row names no columns, or text is not UTF-8.
        pyarrow.ArrowException, UnicodeError, csv.Error: it cannot be read.
    """
    if content.slice(0, 3).to_pybytes() == codecs.BOM_UTF8:
        content = content.slice(3)
    layout = layout_of(_first_lines(content), where)
    content = _rows_of(content, layout)
    return _typed(content, layout, clean_names(layout.names), set(text_columns), where)


def _typed(
    content: pa.Buffer, layout: Layout, names: list[str], wanted: set[str], where: str
) -> pa.Table:
    """The table of a text that begins with its names."""
    as_text = {name: pa.string() for name in names if name in wanted}
    table = _read(content, layout, names, as_text)
    if again := _count_names(table, layout.names):
        content = _without_names(content)
        table = _read(content, layout, names, as_text)
    if any(pa.types.is_binary(kind) for kind in table.schema.types):
        raise not_in_utf8(where)
    if _has_open_quote(content, table):
        raise TableError(
            f"A quote that opens a cell must be closed; in {where} one is not, and its cell holds "
            "lines that follow. Close it, or double it where it is part of the cell."
        )
    whole = [
        name
        for name, kind in zip(names, table.schema.types, strict=True)
        if pa.types.is_integer(kind)
    ]
    if whole and _has_codes(content, _mark(layout)):
        table = _with_codes(table, _read(content, layout, names, dict.fromkeys(whole, pa.string())))
    if layout.delimiter != ",":
        columns = [
            column if name in as_text else _decimal_comma(column)
            for name, column in zip(names, table.columns, strict=True)
        ]
        table = pa.table(columns, names=names)
    guessed = (
        name
        for name, kind in zip(names, table.schema.types, strict=True)
        if pa.types.is_string(kind) and name not in wanted
    )
    lines = "line is" if layout.begin == 1 else f"{layout.begin} lines are"
    passed = f"{where}: the first {lines} passed over, as the names stand below."
    notes = (passed,) if layout.begin else ()
    if again:
        rows = "a row holds" if again == 1 else f"{again:,} rows hold"
        notes += (f"{where}: {rows} the names again, as in files put together; passed over.",)
    return with_provenance(table, Provenance(guessed=tuple(guessed), notes=notes))


def read_csv_blocks(
    content: pa.Buffer, text_columns: Collection[str], where: str
) -> Iterator[pa.Table]:
    """The same table, some MiB of the text at a time; what a number is, each block tells anew.

    A model knows what its columns hold, so it takes numbers also where one block has them as text.

    Raises:
        TableError, pyarrow.ArrowException, UnicodeError, csv.Error: as `read_csv`.
    """
    if content.size <= _BLOCK:
        yield read_csv(content, text_columns, where)
        return
    if content.slice(0, 3).to_pybytes() == codecs.BOM_UTF8:
        content = content.slice(3)
    layout = layout_of(_first_lines(content), where)
    content = _rows_of(content, layout)
    names = clean_names(layout.names)
    header = content.slice(0, _end_of_row(content, 0, 1024, first=True)).to_pybytes()
    begin = len(header)
    while begin < content.size:
        end = _end_of_row(content, begin, _BLOCK)
        block = pa.py_buffer(b"".join((header, memoryview(content)[begin:end])))
        yield _typed(block, replace(layout, begin=0), names, set(text_columns), where)
        begin = end


def _end_of_row(content: pa.Buffer, begin: int, size: int, *, first: bool = False) -> int:
    """Where the last, or the first, row ends that is whole in so many bytes, or in more.

    A line does not end where quotes before it are not in pairs: a cell goes on there.
    """
    letters = np.frombuffer(content, np.uint8)
    while begin + size < len(letters) or first:
        part = letters[begin : begin + size]
        tail = part[-_TAIL:]
        before = np.count_nonzero(part[: len(part) - len(tail)] == ord('"'))
        paired = (before + np.cumsum(tail == ord('"'))) % 2 == 0
        ends = np.flatnonzero((tail == ord("\n")) & paired)
        if len(ends):
            return begin + len(part) - len(tail) + int(ends[0 if first else -1]) + 1
        if begin + size >= len(letters):
            break
        size *= 2
    return len(letters)


def clean_names(names: Sequence[str]) -> list[str]:
    """Column names that stand on one line, without outer spaces; an empty one gets a number."""
    stripped = (_CONTROL.sub(" ", name).strip() for name in names)
    return [name or f"unnamed_{at}" for at, name in enumerate(stripped, 1)]


def _first_lines(content: pa.Buffer) -> str:
    """The text's first lines, whole ones if there are more.

    Raises:
        UnicodeError: they are not UTF-8.
    """
    start = content.slice(0, min(content.size, _START)).to_pybytes()
    end = len(start) if len(start) < _START else start.rfind(b"\n") + 1 or len(start)
    return start[:end].decode()


def _rows_of(content: pa.Buffer, layout: Layout) -> pa.Buffer:
    """The text from the row of names on, with commas in place of spaces between cells."""
    start = content.slice(0, min(content.size, _START)).to_pybytes()
    before = start.decode(errors="replace").splitlines(keepends=True)[: layout.begin]
    content = content.slice(sum(len(line.encode()) for line in before))
    if layout.delimiter != " ":
        return content
    written = io.StringIO()
    rows = cells_of(content.to_pybytes().decode().splitlines(), " ")
    csv.writer(written).writerows(row for row in rows if row)
    return pa.py_buffer(written.getvalue().encode())


def _read(
    content: pa.Buffer, layout: Layout, names: Sequence[str], types: Mapping[str, pa.DataType]
) -> pa.Table:
    parse = pacsv.ParseOptions(
        delimiter=_mark(layout),
        newlines_in_values=True,
        invalid_row_handler=_skip_comments,
    )
    convert = pacsv.ConvertOptions(
        null_values=["", *NULLS, *(f" {null}" for null in NULLS)],
        strings_can_be_null=True,
        column_types=types,
    )
    read: dict[str, Any] = {"column_names": list(names), "skip_rows_after_names": 1}
    try:
        return pacsv.read_csv(pa.BufferReader(content), pacsv.ReadOptions(**read), parse, convert)
    except pa.ArrowInvalid:  # only a reader without threads can tell the row
        one = pacsv.ReadOptions(**read, use_threads=False)
        try:
            return pacsv.read_csv(pa.BufferReader(content), one, parse, convert)
        except pa.ArrowInvalid as error:
            if not _has_odd_quotes(content):
                raise
            raise pa.ArrowInvalid(f"{str(error).splitlines()[0]}; {OPEN_QUOTE}") from error


def _count_names(table: pa.Table, names: Sequence[str]) -> int:
    """How many rows hold the names of the columns, as where files were put behind each other."""
    if len(names) < 2 or not all(map(pa.types.is_string, table.schema.types)):
        return 0
    again: Any = None
    for column, name in zip(table.columns, names, strict=True):
        same = pc.equal(pc.utf8_trim_whitespace(column), name.strip()).fill_null(not name.strip())
        again = same if again is None else pc.and_(again, same)
        if not pc.any(again).as_py():
            return 0
    return pc.sum(again).as_py()


def _without_names(content: pa.Buffer) -> pa.Buffer:
    """The text without lines that are its first line again."""
    first, end, rest = content.to_pybytes().partition(b"\n")
    again = re.compile(rb"(?m)^" + re.escape(first.rstrip(b"\r")) + rb"\r?(\n|\Z)")
    return pa.py_buffer(first + end + again.sub(b"", rest))


def _mark(layout: Layout) -> str:
    return "," if layout.delimiter == " " else layout.delimiter


def _skip_comments(row: Any) -> str:
    return "skip" if row.text.startswith("#") else "error"


def _has_open_quote(content: pa.Buffer, table: pa.Table) -> bool:
    """Whether a cell goes over lines although quotes are not in pairs."""
    texts = [column for column in table.columns if pa.types.is_string(column.type)]
    if not texts or not _has_odd_quotes(content):
        return False
    return any(pc.any(pc.match_substring(column, "\n")).as_py() for column in texts)


def _has_odd_quotes(content: pa.Buffer) -> bool:
    """Whether quotes are not in pairs."""
    return np.count_nonzero(np.frombuffer(content, np.uint8) == ord('"')) % 2 == 1


def _has_codes(content: pa.Buffer, delimiter: str) -> bool:
    """Whether a cell of a text may be a number that begins with 0: one pass over the bytes."""
    letters = np.frombuffer(content, np.uint8)
    before = np.zeros(256, bool)
    before[list(b'\n\r" ' + delimiter.encode())] = True
    for at in range(0, len(letters), _BLOCK):
        part = letters[max(at - 1, 0) : at + _BLOCK + 1]
        digit = (part[2:] >= ord("0")) & (part[2:] <= ord("9"))
        if ((part[1:-1] == ord("0")) & digit & before[part[:-2]]).any():
            return True
    return False


def _with_codes(table: pa.Table, as_text: pa.Table) -> pa.Table:
    """The table, with those columns as text in which a number begins with 0."""
    columns = [
        cells
        if pa.types.is_integer(column.type)
        and pc.any(pc.match_substring_regex(cells, _CODE)).as_py()
        else column
        for column, cells in zip(table.columns, as_text.columns, strict=True)
    ]
    return pa.table(columns, names=table.column_names)


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
