"""Parquet and Arrow files, read: whole or block by block."""

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from selfnorm.tabular.data._csv import clean_names
from selfnorm.tabular.data._provenance import Provenance, with_provenance

_ROWS = 1 << 16  # of a block
_BUFFER = 1 << 20  # bytes of a column, packed
_COLUMNS = 4  # of a Parquet file that are read at once


def of_binary(reader: pa.NativeFile, found: str, *, blockwise: bool) -> Iterator[pa.Table]:
    """The table of a Parquet or Arrow file; there is one block at least."""
    if found == "Parquet":
        file = pq.ParquetFile(reader, buffer_size=_BUFFER, page_checksum_verification=True)
        if blockwise and file.metadata.num_rows > _ROWS:
            for batch in file.iter_batches(_ROWS):
                yield _of_frame(pa.Table.from_batches([batch]))
            return
        table = _of_frame(_some_by_some(file))
    else:
        table = _of_frame(feather.read_table(reader, memory_map=True))
    step = _ROWS if blockwise else max(1, table.num_rows)
    for at in range(0, max(1, table.num_rows), step):
        yield table.slice(at, step)


def _some_by_some(file: pq.ParquetFile) -> pa.Table:
    """All of a Parquet file, a few columns at a time: what is packed is not in memory as a whole.

    Where a column's name is also another's path, as Parquet calls parts of nested ones, it is read
    at once.
    """
    schema = file.schema_arrow
    if len(set(schema.names)) < len(schema.names) or any("." in name for name in schema.names):
        return file.read()
    some = (schema.names[at : at + _COLUMNS] for at in range(0, len(schema.names), _COLUMNS))
    columns = [column for names in some for column in file.read(names).columns]
    return pa.table(columns, schema=schema)


def _of_frame(table: pa.Table) -> pa.Table:
    """A table of typed columns; those that pandas wrote for its index are known as such."""
    written = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    indexes = [name for name in written.get("index_columns", ()) if isinstance(name, str)]
    return with_provenance(table, Provenance(indexes=tuple(clean_names(indexes))))
