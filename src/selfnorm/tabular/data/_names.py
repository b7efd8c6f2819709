"""The names of a file's columns by its beginning, at once and without what is slow to import."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from selfnorm.errors import TableError
from selfnorm.tabular.data._bytes import as_utf8, format_of
from selfnorm.tabular.data._csv import clean_names, read_csv

_BEGINNING = 1 << 18  # bytes


def column_names(path: str, encoding: str | None) -> list[str] | None:
    """The names as `read_table` gives them; None where it takes the whole file to tell."""
    try:
        if not Path(path).is_file():
            return None
        with pa.memory_map(path) as file:
            content = file.read_buffer()
        kind = format_of(content)
        if kind == "Parquet":
            return clean_names(pq.read_schema(pa.BufferReader(content)).names)
        if kind != "text" or bytes(content[:2]) in (b"\x1f\x8b", b"BZ", b"\xfd7"):
            return None
        start = content
        if content.size > _BEGINNING:
            lines = content.slice(0, _BEGINNING).to_pybytes()
            start = pa.py_buffer(lines[: lines.rfind(b"\n") + 1])
        return clean_names(read_csv(as_utf8(start, encoding, path), (), path).column_names)
    except (TableError, pa.ArrowException, ValueError, OSError):
        return None  # what is wrong is told by who reads all of it
