# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Columns that number the rows: they tell rows apart, and explain nothing."""

import re
from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_FEWEST = 20  # 1, 2, ... in fewer rows can be a quantity
_MOSTLY = 0.9
_INDEX = re.compile(r"Unnamed: \d+(\.\d+)*|__index_level_\d+__|unnamed_1")
_ID = re.compile(r"(?i:(^|[\W_])(id|uuid|guid|key)|^(row|index|rowname)s?)$|[a-z]I[Dd]$")
_SURE = 20.0  # the logarithm of how unlikely it is that chance repeats no value: 5e8 to 1


def row_number(name: str, column: pa.ChunkedArray, indexes: Collection[str] = ()) -> str | None:
    """Why a column is a number of the row and no feature; None if it is not known to be one.

    So many values of so wide a span repeat by chance: that none of `n` values does when there are
    `span` to choose from has a probability of at most `exp(-n (n - 1) / (2 span))`, whatever their
    distribution.

    Args:
        name: The column's name.
        column: All rows, so that numbers have no gaps where rows are held out.
        indexes: Columns that are known to be the saved index of a data frame.
    """
    if not pa.types.is_integer(column.type) or column.null_count:
        return None
    if name in indexes or _INDEX.fullmatch(name):
        return "a saved row index"
    rows = len(column)
    ends = pc.min_max(column).as_py() if rows >= _FEWEST else None
    if ends is None:
        return None
    span = ends["max"] - ends["min"] + 1
    dense, named = span * _MOSTLY <= rows, _ID.search(name) is not None
    unlikely = rows * (rows - 1) / (2 * span) > _SURE
    if not (dense or named or unlikely) or len(pc.unique(column)) < rows:
        return None
    if dense:
        return "it counts the rows"
    is_id = named or _stride(column) == 1
    return "it is another whole number in each row, as an id is" if is_id else None


def _stride(column: pa.ChunkedArray) -> int:
    """What all differences are a multiple of: more than 1 on a grid, such as of times."""
    values = column.to_numpy()
    return int(np.gcd.reduce(values - values.min()))
