"""The parts of a table that is not read as a whole: Parquet, Arrow or delimited text, in blocks."""

import codecs
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from selfnorm.errors import TableError
from selfnorm.tabular._settings import OnError
from selfnorm.tabular.data._bytes import format_of, not_in_utf8
from selfnorm.tabular.data._cells import decoded
from selfnorm.tabular.data._csv import clean_names
from selfnorm.tabular.data._layout import Layout, layout_of
from selfnorm.tabular.data._remote import Remote, opened, streamed
from selfnorm.tabular.data._table import UNREADABLE, reason, tidy
from selfnorm.tabular.data._together import check_alike, skipped
from selfnorm.tabular.data._words import NULLS, without_own

_START = 1 << 18  # bytes that show what a file is, and its layout
_BUFFER = 1 << 18  # bytes of a column that are read at once
_TEXT_BLOCK = 1 << 20
_COLUMN = 2_800_000  # bytes of one that is read; measured on 50 of a million float32 each
_CHECKED: Any = {"pre_buffer": False, "page_checksum_verification": True}
MOST_ROWS = 2**40  # of a part


@dataclass(frozen=True)
class Block:
    """Some rows, one behind the other, of one part.

    Attributes:
        part: Which part it is.
        first: The number of the first row in the part, from 0.
        table: Their cells, tidied, in the columns that were asked for.
        step: From one row's number to the next one's.
    """

    part: "Part"
    first: int
    table: pa.Table
    step: int = 1

    @property
    def numbers(self) -> np.ndarray:
        """The rows' numbers in the whole table, uint64: the part's place, then that in the part.

        They do not depend on which other parts can be read.
        """
        start = self.part.place * MOST_ROWS + self.first
        end = start + self.step * self.table.num_rows
        return np.arange(start, end, self.step, dtype=np.uint64)


@dataclass(frozen=True)
class Part:
    """A file that holds some of a table's rows, in groups that can be read one by one.

    Attributes:
        path: The file.
        place: Its place among all files of the table.
        kind: `Parquet`, `Arrow` or `text`.
        schema: Names, as they are known in selfnorm, and types; of text all are text.
        groups: How many row groups there are; of text, which is read from its start, one.
        rows: How many rows there are; of text about.
        layout: That of text.
        encoding: That of text.
        held: About how many bytes whoever reads a group holds, besides the rows that it gives.
        missing: Words for missing cells, besides those that are known.
    """

    path: Path
    place: int
    kind: str
    schema: pa.Schema
    groups: int
    rows: int
    layout: Layout | None = None
    encoding: str = "utf-8"
    held: int = 4 * _TEXT_BLOCK
    missing: tuple[str, ...] = ()

    def blocks(
        self, group: int, rows: int, columns: Collection[str] | None = None
    ) -> Iterator[Block]:
        """The rows of a group in blocks of so many at the most.

        Args:
            group: Which, from 0.
            rows: Most rows of a block.
            columns: Which columns to read; all if None.

        Raises:
            TableError: it cannot be read.
        """
        names = [name for name in self.schema.names if columns is None or name in columns]
        at = self._starts[group]
        try:
            for table in self._read(group, rows, names):
                for begin in range(0, table.num_rows, rows):
                    part = table.slice(begin, rows)
                    tidied = [tidy(decoded(column)) for column in part.columns]
                    known = without_own(pa.table(tidied, names=names), self.missing)
                    yield Block(self, at, known)
                    at += part.num_rows
        except UnicodeError as error:
            raise not_in_utf8(f"'{self.path}'") from error
        except UNREADABLE as error:
            if isinstance(error, TableError):
                raise
            raise TableError(f"'{self.path}' cannot be read: {reason(error)}") from error

    @property
    def sizes(self) -> list[int]:
        """How many rows each group has; of text about."""
        return np.diff(self._starts).tolist() if self.kind != "text" else [self.rows]

    @cached_property
    def _starts(self) -> Sequence[int]:
        """The number of each group's first row."""
        if self.kind == "Parquet":
            with opened(self.path) as file:
                metadata = pq.read_metadata(file)
            sizes = [metadata.row_group(at).num_rows for at in range(self.groups)]
        elif self.kind == "Arrow":
            with opened(self.path) as file:
                reader = pa.ipc.open_file(file)
                sizes = [reader.get_batch(at).num_rows for at in range(self.groups)]
        else:
            sizes = [0]
        return [0, *np.cumsum(sizes).tolist()]

    def _read(self, group: int, rows: int, names: Sequence[str]) -> Iterator[pa.Table]:
        places = [self.schema.get_field_index(name) for name in names]
        if self.kind == "Parquet":
            # A data set decodes whole row groups, which can be as large as a table.
            with (
                _unmapped(self.path) as source,
                pq.ParquetFile(source, buffer_size=_BUFFER, **_CHECKED) as file,
            ):
                own = [file.schema_arrow.names[at] for at in places]
                for batch in file.iter_batches(rows, row_groups=[group], columns=own):
                    yield pa.Table.from_batches([batch]).select(own).rename_columns(names)
        elif self.kind == "Arrow":
            with opened(self.path) as file:
                batch = pa.ipc.open_file(file).get_batch(group)
                yield pa.Table.from_batches([batch]).select(places).rename_columns(names)
        elif self.layout is not None:
            with _open_text(self.path, self.layout, self.encoding, self.schema.names) as reader:
                for batch in reader:
                    yield pa.Table.from_batches([batch]).select(places)


def open_parts(
    files: Sequence[Path],
    encoding: str | None = None,
    on_error: OnError = "stop",
    missing: Sequence[str] = (),
) -> tuple[Part, ...]:
    """What can be read of the files of one table, all with the same columns.

    Raises:
        TableError: one cannot be read and `on_error` is `stop`, or none can; or columns or their
            kinds differ.
    """
    found: list[Part] = []
    failed: TableError | None = None
    for place, path in enumerate(files):
        try:
            part = replace(_with_rows(_opened(path, place, encoding)), missing=tuple(missing))
        except TableError as error:
            if on_error == "stop":
                raise TableError(str(error), options=(*error.options, "--on-error")) from error
            skipped(failed := error)
            continue
        if found:
            check_alike(found[0].schema, found[0].path, part.schema, path)
        found.append(part)
    if not found:
        raise TableError(
            f"A table needs a part that can be read; none of {len(files)} can. The last: {failed}"
        )
    return tuple(found)


def _with_rows(part: Part) -> Part:
    """A part, if it has rows, as is known of all but long texts.

    Raises:
        TableError: it has none.
    """
    if part.rows == 0:
        raise TableError(
            f"A table needs rows; '{part.path}' has {len(part.schema.names)} columns and none."
        )
    return part


def _opened(path: Path, place: int, encoding: str | None) -> Part:
    where = f"'{path}'"
    try:
        if path.stat().st_size == 0:
            raise TableError(f"A table needs a row of column names; {where} is an empty file.")
        with path.open("rb") as file:
            kind = format_of(pa.py_buffer(file.read(_START)))
        if kind == "Parquet":
            return _of_parquet(path, place)
        if kind == "Arrow":
            with opened(path) as file:
                reader = pa.ipc.open_file(file)
                schema = _named(reader.schema, where)
                groups = reader.num_record_batches
                batches = [reader.get_batch(at) for at in range(groups)]
                rows = sum(batch.num_rows for batch in batches)
                held = max((batch.nbytes for batch in batches), default=0)
                return Part(path, place, kind, schema, groups, rows, held=held)
        if kind == "workbook":
            raise TableError(
                f"A table that is read in parts is Parquet, Arrow or delimited text; {where} is a "
                "workbook or an archive. Unpack it, or save it as one of these."
            )
        return _of_text(path, place, encoding or "utf-8", where)
    except UnicodeError as error:
        raise not_in_utf8(where) from error
    except UNREADABLE as error:
        if isinstance(error, TableError):
            raise
        raise TableError(f"{where} cannot be read: {reason(error)}") from error


def _of_parquet(path: Path, place: int) -> Part:
    with opened(path) as source, pq.ParquetFile(source) as file:
        metadata = file.metadata
        schema = _named(file.schema_arrow, f"'{path}'")
        groups, rows = metadata.num_row_groups, metadata.num_rows
        held = _held(metadata)
        return Part(path, place, "Parquet", schema, groups, rows, held=held)


def _held(metadata: Any) -> int:
    """What a reader of the largest row group holds of its columns.

    Those are a dictionary and a page, packed and not, of each; of a few rows less.
    """
    groups = (metadata.row_group(at) for at in range(metadata.num_row_groups))
    if (largest := max(groups, key=lambda group: group.total_byte_size, default=None)) is None:
        return 0
    sizes = (largest.column(at).total_uncompressed_size for at in range(largest.num_columns))
    return sum(min(_COLUMN, 2 * size + _BUFFER // 8) for size in sizes)


def _of_text(path: Path, place: int, encoding: str, where: str) -> Part:
    with streamed(path) as file:
        start = file.read(_START)
    whole, lines = len(start) < _START, max(1, start.count(b"\n"))
    rows = lines * max(1, path.stat().st_size // len(start))
    if start[:3] == codecs.BOM_UTF8:
        start = start[3:]
    end = len(start) if whole else start.rfind(b"\n") + 1 or len(start)
    layout = layout_of(start[:end].decode(encoding), where)
    if whole and not any(map(str.strip, start.decode(encoding).splitlines()[layout.begin + 1 :])):
        rows = 0
    if layout.delimiter == " ":
        raise TableError(
            f"A text that is read in blocks has its cells parted by comma, semicolon, tab or bar; "
            f"{where} parts them by spaces. Convert it to CSV or Parquet."
        )
    names = clean_names(layout.names)
    schema = pa.schema([pa.field(name, pa.string()) for name in names])
    _check_names(schema, where)
    return Part(path, place, "text", schema, 1, rows, layout, encoding)


def _unmapped(path: Path) -> Any:
    """A file whose pages are not mapped, as those would count as the process's own."""
    return opened(path) if isinstance(path, Remote) else pa.OSFile(str(path))


def _named(schema: pa.Schema, where: str) -> pa.Schema:
    """A schema with clean names."""
    names = clean_names(schema.names)
    fields = [pa.field(name, kind) for name, kind in zip(names, schema.types, strict=True)]
    found = pa.schema(fields)
    _check_names(found, where)
    return found


def _check_names(schema: pa.Schema, where: str) -> None:
    twice = [name for name in schema.names if schema.names.count(name) > 1]
    if twice:
        raise TableError(
            f"Each column needs a name of its own; in {where} '{twice[0]}' stands "
            f"{schema.names.count(twice[0])} times. Rename all but one."
        )


def _open_text(path: Path, layout: Layout, encoding: str, names: Sequence[str]) -> Any:
    """A reader of delimited text, block by block, of which all columns are text."""
    return pacsv.open_csv(
        streamed(path),
        pacsv.ReadOptions(
            column_names=list(names),
            skip_rows=layout.begin,
            skip_rows_after_names=1,
            block_size=_TEXT_BLOCK,
            encoding=encoding,
        ),
        pacsv.ParseOptions(
            delimiter=layout.delimiter,
            newlines_in_values=True,
            invalid_row_handler=lambda row: "skip" if row.text.startswith("#") else "error",
        ),
        pacsv.ConvertOptions(
            null_values=["", *NULLS, *(f" {null}" for null in NULLS)],
            strings_can_be_null=True,
            column_types=dict.fromkeys(names, pa.string()),
        ),
    )
