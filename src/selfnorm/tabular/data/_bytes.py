"""The bytes of a file that is to be a table: unpacked, as UTF-8, and known by how they begin."""

import bz2
import codecs
import gzip
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from selfnorm.errors import TableError
from selfnorm.tabular.data._remote import Remote, opened

STDIN = "-"
_PACKED: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
}
_BINARY = {
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"PK\x03\x04": "workbook",
    b"\xd0\xcf\x11\xe0": "workbook",
}
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NO_TABLE = {
    b"%PDF": "a PDF document. Save its table as CSV",
    b"SQLite format 3": "a database. Save its table as CSV",
    b"<": "HTML or XML. Save its table as CSV",
    b"{": "JSON. Save it as CSV",
    b"[{": "JSON. Save it as CSV",
    b"[[": "JSON. Save it as CSV",
}
_LOOKED_AT = 1 << 16


def read_bytes(path: Path) -> pa.Buffer:
    """A file's content, unpacked if it is packed, or that of standard input for `-`."""
    if str(path) == STDIN:
        content = pa.py_buffer(sys.stdin.buffer.read())
    else:
        with opened(path) as file:
            content = file.read_buffer()
    return unpacked(content)


def unpacked(content: pa.Buffer) -> pa.Buffer:
    """A content, unpacked if it begins as what gzip, bzip2 or xz have packed."""
    start = _start(content)
    unpack = next((one for magic, one in _PACKED.items() if start.startswith(magic)), None)
    return content if unpack is None else pa.py_buffer(unpack(content.to_pybytes()))


def format_of(content: pa.Buffer) -> str:
    """What a content is, whatever its file is called: `Parquet`, `Arrow`, `workbook` or `text`."""
    start = _start(content)
    return next((name for magic, name in _BINARY.items() if start.startswith(magic)), "text")


def reader_of(path: Path, content: pa.Buffer) -> pa.NativeFile:
    """What reads a content: of a Parquet file that is not packed the file, so that it stays there.

    Pages of a file that is mapped count as the process's own until it is unmapped.
    """
    if str(path) == STDIN or isinstance(path, Remote):
        return pa.BufferReader(content)
    file = pa.OSFile(str(path))
    if file.read(4) != b"PAR1":
        return pa.BufferReader(content)
    file.seek(0)
    return file


def as_utf8(content: pa.Buffer, encoding: str | None, where: str) -> pa.Buffer:
    """A text in UTF-8. UTF-16 is known by its first two bytes; another encoding has to be named.

    Raises:
        TableError: it is no text, the encoding is unknown, or the text is not in it.
    """
    start = _start(content)
    for magic, what in _NO_TABLE.items():
        if start.lstrip().startswith(magic):
            raise TableError(f"A table is delimited text or Parquet; {where} is {what}.")
    if encoding is None and start.startswith(_UTF16):
        encoding = "utf-16"
    if encoding is not None:
        try:
            return pa.py_buffer(content.to_pybytes().decode(encoding).encode())
        except LookupError as error:
            raise TableError(
                f"An encoding is one that Python knows, such as utf-16, cp1252 or latin-1; "
                f"{encoding!r} came for {where}. Name another."
            ) from error
        except UnicodeError as error:
            raise TableError(
                f"Text must be in the encoding that is named; {where} is not in {encoding}. Name "
                "another."
            ) from error
    if b"\0" in start:
        raise TableError(
            f"A table is delimited text or Parquet; {where} holds bytes that are zero. Save it as "
            "UTF-8, or say that it is utf-16-le or utf-16-be.",
            options=("--encoding",),
        )
    return content


def not_in_utf8(where: str) -> TableError:
    """What to raise where a text is not in UTF-8, and nobody said what it is in."""
    return TableError(
        f"{where} cannot be read: text must be UTF-8, and this file's is not. Save it as UTF-8, or "
        "say what it is, such as cp1252 or latin-1.",
        options=("--encoding",),
    )


def _start(content: pa.Buffer) -> bytes:
    return content.slice(0, min(content.size, _LOOKED_AT)).to_pybytes()
