# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Why a column that may be used teaches nothing, in words."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.tabular.data._cells import decoded, is_text, text
from selfnorm.tabular.data._dates import look_like_dates
from selfnorm.tabular.data._words import without_nulls

_MOSTLY = 0.9
_NEARLY_NUMBER = r"^[+-]?\W{0,2}\d[\d.,' ]*\s?\S{0,12}$"


def no_value(column: pa.ChunkedArray, rows: np.ndarray) -> str:
    return f"no value in any {_of(column, rows)}"


def one_value(column: pa.ChunkedArray, rows: np.ndarray) -> str:
    return f"one value in all {_of(column, rows)}s"


def _of(column: pa.ChunkedArray, rows: np.ndarray) -> str:
    return "row" if len(rows) == len(column) else "training row"


def no_levels(column: pa.ChunkedArray, rows: np.ndarray, rare: int) -> str:
    """Why a category is left out, with the mend if its text is nearly numbers or dates."""
    cells = without_nulls(text(column.take(rows)))
    values = pc.unique(cells)
    if len(values) == 1:
        return one_value(column, rows) if values[0].is_valid else no_value(column, rows)
    values = pc.drop_null(values)
    if not is_text(decoded(column).type):
        return f"no two values stand in {rare} rows or more each"
    if look_like_dates(values):
        return f"dates such as {str(values[0])!r} are not written in one way; write 2015-01-31"
    nearly = values.filter(pc.match_substring_regex(values, _NEARLY_NUMBER))
    if len(nearly) >= _MOSTLY * len(values):
        return (
            f"text such as {str(nearly[0])!r} is a category, no two of which stand in {rare} rows "
            "or more each; convert it if it counts something"
        )
    if len(values) >= _MOSTLY * (len(cells) - cells.null_count):
        return "nearly every row has a text of its own, as an id or a remark is"
    return f"no two values stand in {rare} rows or more each"
