# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""The cells of a column as float64 or as text, whatever Arrow type they come in."""

from contextlib import suppress
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import TableError
from selfnorm.tabular.data._amounts import is_written as is_amount
from selfnorm.tabular.data._amounts import parse_amounts
from selfnorm.tabular.data._dates import COMPACT, FORMATS, ISO, example, parse_dates, parse_times
from selfnorm.tabular.data._words import without_words

Holds = Literal["numbers", "booleans", "dates", "times of day", "durations"]
_LOOKED_AT, _SHOWN = 1000, 3  # odd cells
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def numbers(
    name: str, column: pa.ChunkedArray, expected: Holds | None = None, written: str | None = None
) -> np.ndarray:
    """A column as float64 with nan for missing; dates, times and durations are counted in days.

    Args:
        name: The column's name, for messages.
        column: Numbers, booleans, dates, times, durations, or text that holds `expected`. Words
            such as `NA`, `-` or `Unknown` in text are missing values.
        expected: What the column must hold; None takes any of these, and text as numbers.
        written: How text writes it: a way of `_dates` or of `_amounts`; None for ISO 8601, and for
            digits and a decimal point alone.

    Raises:
        TableError: a cell is infinite or not what is expected.
    """
    column = decoded(column)
    if pa.types.is_integer(column.type) and (expected, written) == ("dates", COMPACT):
        column = pc.cast(column, pa.string())
    if is_text(column.type):
        column = _parsed(name, column, expected or "numbers", written)
    found = holds(column.type)
    if column.null_count == len(column):
        return np.full(len(column), np.nan)
    same = expected in (None, found) or {expected, found} == {"numbers", "booleans"}
    if found is None or not same:
        raise TableError(
            f"Column '{name}' must hold {expected or 'numbers'}; it holds {found or column.type}. "
            "Convert it, or leave its cells empty if they are unknown."
        )
    column = _days(column) if pa.types.is_temporal(column.type) else column
    # Not safe: whole numbers above 2**53 lose their last digits, which is all that can be done.
    array = pc.cast(column, pa.float64(), safe=False).to_numpy()
    if np.isinf(array).any():
        raise TableError(
            f"Numbers must be finite; column '{name}' is infinite in row "
            f"{int(np.isinf(array).argmax()) + 1}. Leave the cell empty if it is unknown."
        )
    strange = ~np.isnan(array) & ~np.isin(array, (0, 1)) if expected == "booleans" else None
    if strange is not None and strange.any():
        row = int(strange.argmax())
        raise TableError(
            f"Column '{name}' must hold booleans, or 0 and 1; row {row + 1} holds {array[row]:g}. "
            "Mend the cell, or leave it empty if it is unknown."
        )
    return array


def text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as text without outer spaces, null where nothing is left; the number 7.0 is `7`."""
    column = pc.utf8_trim_whitespace(pc.cast(decoded(column), pa.large_string()))
    return pc.if_else(pc.equal(column, ""), None, column)


def count_words(column: pa.ChunkedArray) -> int:
    """How many cells of a text column hold words such as `NA`; 0 for any other column."""
    if not is_text(decoded(column).type):
        return 0
    cells = text(column)
    return without_words(cells).null_count - cells.null_count


def not_utf8(name: str) -> TableError:
    """What to raise where a column, or its name, is no text that a model's record can hold."""
    return TableError(
        f"Names and values must be text that UTF-8 can write; column {name!r} has some that it "
        "cannot, such as half of a surrogate pair. Mend it by "
        "text.encode('utf-8', 'replace').decode()."
    )


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without dictionary coding."""
    kind = column.type
    return pc.cast(column, kind.value_type) if pa.types.is_dictionary(kind) else column


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is text, in any of its layouts."""
    types = pa.types
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def holds(kind: pa.DataType) -> Holds | None:
    """What a column of an Arrow type counts or measures; None for text, lists, bytes and others."""
    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "numbers"
    if types.is_boolean(kind):
        return "booleans"
    if types.is_date(kind) or types.is_timestamp(kind):
        return "dates"
    if types.is_time(kind):
        return "times of day"
    return "durations" if types.is_duration(kind) else None


def is_usable(kind: pa.DataType) -> bool:
    """Whether columns of an Arrow type can become numbers or text."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return is_text(kind) or pa.types.is_null(kind) or holds(kind) is not None


def is_way(expected: Holds, written: str) -> bool:
    """Whether a way of writing, as a model's record names it, is one."""
    if expected == "dates":
        return written in FORMATS
    return expected == "numbers" and is_amount(written)


def plain_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text of digits and a decimal point as float64, null where it is something else."""
    with suppress(pa.ArrowInvalid):
        return pc.cast(column, pa.float64())
    alike = pc.match_substring_regex(column, _NUMBER)
    return pc.cast(pc.if_else(alike, column, None), pa.float64())


def _parsed(
    name: str, column: pa.ChunkedArray, expected: Holds, written: str | None
) -> pa.ChunkedArray:
    """Text as what it is expected to say."""
    column = without_words(text(column))
    mend = "Mend the cell"
    if expected == "dates":
        written = written or ISO
        mend, parsed = f"Write it as {example(written)}", parse_dates(column, written)
    elif expected == "times of day":
        mend, parsed = "Write it as 12:30:00", parse_times(column)
    elif expected == "booleans":
        mend, parsed = "Write true or false", _booleans(column)
    elif expected == "durations":
        mend, parsed = "Give durations", pa.nulls(len(column), pa.duration("us"))
    elif written:
        mend, parsed = f"Write it as {written}", parse_amounts(column, written)
    else:
        parsed = plain_numbers(column)
    lost = pc.and_(pc.is_valid(column), pc.is_null(parsed)).to_numpy()
    if lost.any():
        raise TableError(
            f"Column '{name}' must hold {expected}; {_told(column, lost)}. {mend}, or "
            "leave it empty if it is unknown."
        )
    return parsed


def _told(column: pa.ChunkedArray, lost: np.ndarray) -> str:
    """Cells that are not what they should be: how many, and the first ones that differ."""
    first: dict[str, int] = {}
    for row in np.flatnonzero(lost)[:_LOOKED_AT].tolist():
        first.setdefault(str(column[row]), row)
    shown = [f"row {row + 1} holds {cell[:80]!r}" for cell, row in list(first.items())[:_SHOWN]]
    count = np.count_nonzero(lost)
    return shown[0] if count == 1 else f"{count:,} cells do not: {', '.join(shown)}"


def _booleans(column: pa.ChunkedArray) -> pa.ChunkedArray:
    alike = pc.match_substring_regex(column, "(?i)^(true|false|0|1)$")
    return pc.cast(pc.if_else(alike, column, None), pa.bool_())


def _days(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dates and times as days, counted from 1970-01-01; durations and times of day as days too."""
    if pa.types.is_date(column.type):
        return pc.cast(pc.cast(column, pa.date32()), pa.int32())
    per_day = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
    ticks = pc.cast(column, pa.int32() if pa.types.is_time32(column.type) else pa.int64())
    return pc.divide(pc.cast(ticks, pa.float64(), safe=False), float(per_day[column.type.unit]))
