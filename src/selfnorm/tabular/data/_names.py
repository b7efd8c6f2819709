"""The names of a file's columns by its beginning, at once and without what is slow to import."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from selfnorm.errors import TableError
from selfnorm.tabular.data._bytes import STDIN, as_utf8, format_of
from selfnorm.tabular.data._csv import clean_names, read_csv
from selfnorm.tabular.data._datasets import NAMES
from selfnorm.tabular.data._remote import is_uri
from selfnorm.tabular.data._table import TableFile, read_table

_BEGINNING = 1 << 18  # bytes


def column_names(path: str, encoding: str | None, *, stop: bool = True) -> list[str] | None:
    """The names as `read_table` gives them; None where it takes the whole file to tell.

    Args:
        path: The file.
        encoding: Of a text.
        stop: Whether a file that is not there, or is small and cannot be read, is an error.

    Raises:
        TableError: then.
    """
    whole = stop and _is_small(path)
    try:
        if not whole and not Path(path).is_file():
            return None
        with pa.memory_map(path) as file:
            content = file.read_buffer()
        kind = format_of(content)
        if kind == "Parquet":
            return clean_names(pq.read_schema(pa.BufferReader(content)).names)
        if kind != "text" or bytes(content[:2]) in (b"\x1f\x8b", b"BZ", b"\xfd7"):
            return read_table(TableFile(path, encoding)).column_names if whole else None
        start = content
        if content.size > _BEGINNING:
            lines = content.slice(0, _BEGINNING).to_pybytes()
            start = pa.py_buffer(lines[: lines.rfind(b"\n") + 1])
        return clean_names(read_csv(as_utf8(start, encoding, path), (), path).column_names)
    except (TableError, pa.ArrowException, ValueError, OSError):
        if not whole:
            return None  # what is wrong is told by who reads all of it
        return read_table(TableFile(path, encoding)).column_names


def _is_small(path: str) -> bool:
    """Whether a file is looked at as a whole; one that is not there holds nothing."""
    if path == STDIN or is_uri(path) or path in NAMES:
        return False
    file = Path(path)
    return not file.exists() or (file.is_file() and file.stat().st_size <= _BEGINNING)
