# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Words that stand where a value is missing."""

import pyarrow as pa
import pyarrow.compute as pc

NULLS = ("?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "#N/A", "<NA>")
"""What is missing in every column, also among categories."""
_AMONG_NUMBERS = (
    *("-", "--", "---", "–", "—", ".", "..", "...", "*", "**", "??", "???", "na", "n.a.", "n.a"),
    *("n.d.", "nd", "nil", "none", "not available", "not applicable", "not known", "no data"),
    *("unknown", "unk", "undefined", "unavailable", "missing", "blank", "empty", "tbd", "nat"),
    *("(null)", "(missing)", "(none)", "(unknown)", "(blank)", "(empty)", r"\n", "#div/0!"),
    *("#value!", "#ref!", "#name?", "#num!", "#null!", "0000-00-00", "00/00/0000", "00.00.0000"),
)
_ALL = sorted({word.lower() for word in (*NULLS, *_AMONG_NUMBERS)})


def without_nulls(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A text column with null for `NA` and the like."""
    return _without(column, pc.is_in(column, value_set=pa.array(NULLS, column.type)))


def without_words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A text column with null for `NA`, `-`, `Unknown` and the like, where the rest is numbers."""
    found = pc.is_in(pc.utf8_lower(column), value_set=pa.array(_ALL, column.type))
    return _without(column, found)


def _without(column: pa.ChunkedArray, found: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(found, None, column)
