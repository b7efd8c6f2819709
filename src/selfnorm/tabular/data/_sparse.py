"""A sparse matrix as a table: one column, whose cells are lists of places and values.

So rows are taken, cut and handed on as those of any table, and nothing is ever made dense.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from selfnorm.errors import TableError

# SciPy is imported where a sparse matrix is: a prediction of another table need not wait for it.
# ruff: noqa: PLC0415
if TYPE_CHECKING:
    from scipy import sparse

NAME = "X"
_PLACE, _VALUE, _WIDTH = "place", "value", b"columns"


def is_matrix(data: Any) -> bool:
    """Whether an object is a scipy.sparse matrix or array, without importing SciPy."""
    return hasattr(data, "tocsr") and hasattr(data, "nnz")


def as_column(matrix: Any) -> pa.Table:
    """A table of one column that holds a sparse matrix's rows.

    Args:
        matrix: Of scipy.sparse, in any of its forms, with real numbers.

    Raises:
        TableError: it has more columns than 32 bits count, or values that are no finite numbers.
    """
    from scipy import sparse

    found: Any = sparse.csr_array(matrix)
    if found.dtype.kind not in "buif" or not np.isfinite(found.data).all():
        raise TableError(
            "A sparse table holds finite real numbers; X holds others. Mend or leave out its cells."
        )
    if found.shape[1] > np.iinfo(np.int32).max:
        raise TableError(
            "A sparse table has at most 2,147,483,647 columns; X has "
            f"{found.shape[1]:,}. Hash them into fewer."
        )
    if not found.has_canonical_format:
        found = found.copy()
        found.sum_duplicates()
    values = found.data if found.dtype == np.float32 else found.data.astype(np.float64)
    cells = pa.StructArray.from_arrays(
        [pa.array(found.indices.astype(np.int32, copy=False)), pa.array(values)], [_PLACE, _VALUE]
    )
    column = pa.LargeListArray.from_arrays(pa.array(found.indptr.astype(np.int64)), cells)
    own = {_WIDTH: str(found.shape[1]).encode()}
    return pa.table([column], schema=pa.schema([pa.field(NAME, column.type, metadata=own)]))


def width_of(table: pa.Table) -> int | None:
    """How many columns the sparse matrix has that a table is; None if it is another table."""
    known = table.schema.field(0).metadata if table.num_columns == 1 else None
    return int(known[_WIDTH]) if known and _WIDTH in known else None


def is_sparse(kind: pa.DataType) -> bool:
    """Whether an Arrow type is that of a sparse matrix's rows."""
    if not pa.types.is_large_list(kind) or not pa.types.is_struct(kind.value_type):
        return False
    return [field.name for field in kind.value_type] == [_PLACE, _VALUE]


def matrix_of(column: pa.ChunkedArray, width: int) -> "sparse.csr_array":
    """The matrix that a column holds, (rows, width), in memory of its own."""
    from scipy import sparse

    parts = [_matrix(chunk, width) for chunk in column.chunks]
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return sparse.csr_array((0, width), dtype=np.float64)
    return sparse.csr_array(sparse.vstack(parts, format="csr"))


def _matrix(rows: pa.LargeListArray, width: int) -> "sparse.csr_array":
    from scipy import sparse

    offsets = rows.offsets.to_numpy()
    begin, end = offsets[0], offsets[-1]
    cells = rows.values.slice(begin, end - begin)
    places, values = (cells.field(at).to_numpy() for at in range(2))
    made = sparse.csr_array((len(rows), width), dtype=values.dtype)
    made.data, made.indices, made.indptr = values, places, offsets - begin
    return made
