# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Dates and times of day as people write them: told by a whole column, read by Arrow's `strptime`.

A way of writing is the `strptime` format of the day alone, such as `%d/%m/%Y`; a time of day and a
zone may follow in any of the usual forms. Zones are counted back to UTC.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import product

import pyarrow as pa
import pyarrow.compute as pc

ISO = "%Y-%m-%d"
COMPACT = "%Y%m%d"
_NUMBERED = tuple(
    day.replace("-", mark)
    for mark, day in product("-/.", (ISO, "%d-%m-%Y", "%m-%d-%Y", "%d-%m-%y", "%m-%d-%y"))
)
_NAMED = (
    *(day.replace(" ", mark) for day in ("%d %b %Y", "%d %b %y", "%b %d %Y") for mark in " -/."),
    *("%b %d, %Y", "%b %d, %y", "%d %b, %Y", "%d. %b %Y", "%Y-%b-%d", "%Y %b %d"),
    *("%a, %d %b %Y", "%a %d %b %Y", "%a, %b %d, %Y", "%a %b %d, %Y", "%a %b %d %Y"),
    *("%b %Y", "%b-%Y", "%b-%y", "%b/%Y", "%Y-%b"),
)
_MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y", "%m-%Y")
FORMATS = (*_NUMBERED, *_NAMED, *_MONTHS, COMPACT)
_TIMES = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
_ZONED = ("%H:%M:%S%z", "%H:%M%z")
_NAMES = (
    "(?:(?:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6})"
)
_DAY = (
    r"(?i)^(?:\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})|\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?"
    r"|\d{1,2}[-/]\d{4}|[12]\d{7}|"
    rf"(?:\d{{1,4}}(?:st|nd|rd|th)?[-/., ]{{0,2}})?(?:{_NAMES}[-/., ]{{0,2}}){{1,2}}"
    r"\d{1,4}(?:st|nd|rd|th)?(?:[-/., ]{1,2}\d{2,4})?)(?:$|[T, ])"
)
_TIME = r"(?i)^\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[ap]\.?m\.?)?$"
_LATE_DAY = r"(29|30|31)"
_FIRST_YEAR = 1000  # what is earlier are two digits that `%Y` has taken for a year
_FEW = 0.1
_FIRST, _SAMPLE = 10, 200
_STAMP = pa.timestamp("us")


@dataclass(frozen=True)
class Dates:
    """How a column writes dates.

    Attributes:
        written: The format of the day.
        other: The format with day and month exchanged, if it reads the whole column, too.
        misfit: A cell that is not written so; None if there is none.
    """

    written: str
    other: str | None = None
    misfit: str | None = None


def look_like_dates(values: pa.Array) -> bool:
    """Whether nearly all of some texts have the shape of dates, whatever their order."""
    return _mostly(values, _DAY)


def dates_of(values: pa.Array) -> Dates | None:
    """How distinct texts write dates; None if they do not, or not in one way.

    Where day before month and month before day are both possible, the first is taken with `.` and
    `-`, the second with `/`.
    """
    if not len(values) or not look_like_dates(values.slice(0, _SAMPLE)):
        return None
    plain = _plain(values)
    able = _able(plain.slice(0, _FIRST), FORMATS, most=_FIRST)
    for some in (_SAMPLE, len(values)):
        able = _able(plain.slice(0, some), able, most=int(_FEW * min(some, len(values))))
    if not able:
        return None
    best = min(able, key=lambda one: (able[one], not _is_usual(one)))
    other = exchanged(best)
    misfits = values.filter(pc.is_null(parse_dates(values, best)))
    return Dates(
        best,
        other if other != best and able.get(other) == able[best] else None,
        str(misfits[0]) if len(misfits) else None,
    )


def exchanged(written: str) -> str:
    """A format with day and month exchanged."""
    return written.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")


def day_first(written: str) -> bool | None:
    """Whether a format has the day before the month, both as numbers; None if it is neither."""
    if written not in _NUMBERED or written.startswith("%Y"):
        return None
    return written.startswith("%d")


def parse_dates(column: pa.ChunkedArray, written: str) -> pa.ChunkedArray:
    """Text as timestamps in microseconds, null where it is written neither so nor as ISO 8601."""
    parsed = _parsed(column, written)
    if parsed.null_count == column.null_count or written == ISO:
        return parsed
    return pc.coalesce(parsed, _parsed(column, ISO))


def are_times(values: pa.Array) -> bool:
    """Whether texts are times of day."""
    return len(values) > 0 and parse_times(values).null_count == 0


def parse_times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as times of day in microseconds, null where it is none."""
    shaped = pc.match_substring_regex(column, _TIME)
    return pc.cast(_first(_plain(pc.if_else(shaped, column, None)), _TIMES), pa.time64("us"))


def example(written: str) -> str:
    """The last day of January 2020 in a way of writing."""
    return datetime(2020, 1, 31).strftime(written)


def _able(plain: pa.Array, formats: Iterable[str], most: int) -> dict[str, tuple[int, int]]:
    """The formats that lose so many texts at the most; how many each loses, and leaves to ISO."""
    found: dict[str, tuple[int, int]] = {}
    iso = pc.is_valid(_first(plain, _timed(ISO)))
    for one in formats:
        alone = pc.is_valid(_first(plain, _timed(one)))
        read, together = (pc.sum(which).as_py() for which in (alone, pc.or_(alone, iso)))
        if read and len(plain) - together <= most:
            found[one] = len(plain) - together, len(plain) - read
    return found


def _parsed(column: pa.ChunkedArray, written: str) -> pa.ChunkedArray:
    if written == ISO:
        for kind in (_STAMP, pa.timestamp("us", "UTC")):
            with suppress(pa.ArrowInvalid):
                return pc.cast(pc.cast(column, kind), _STAMP)
    parsed = _first(column, _timed(written))
    if parsed.null_count == column.null_count:
        return parsed
    odd = pc.if_else(pc.is_null(parsed), column, None)
    return pc.coalesce(parsed, _first(_plain(odd), _timed(written)))


def _timed(written: str) -> tuple[str, ...]:
    """A day's format, alone and with each time behind it."""
    return written, *(f"{written} {time}" for time in (*_TIMES, *_ZONED))


def _first(column: pa.ChunkedArray, formats: tuple[str, ...]) -> pa.ChunkedArray:
    """What the first of some formats says that reads a cell."""
    parsed = _strptime(column, formats[0])
    for one in formats[1:]:
        if parsed.null_count == column.null_count:
            break
        parsed = pc.coalesce(parsed, _strptime(column, one))
    return parsed


def _strptime(column: pa.ChunkedArray, written: str) -> pa.ChunkedArray:
    """Arrow's `strptime`, but null where the month has no such day, or `%Y` is two digits."""
    read = pc.strptime(column, format=written, unit="us", error_is_null=True)
    if read.null_count == len(read):
        return pa.nulls(len(read), _STAMP)
    read = pc.cast(read, _STAMP)
    if "%Y" in written:
        read = pc.if_else(pc.less(pc.year(read), _FIRST_YEAR), None, read)
    # It takes the 31st of February for the 2nd of March, so both must be at hand.
    moved = pc.and_(pc.less_equal(pc.day(read), 3), pc.match_substring_regex(column, _LATE_DAY))
    if "%d" not in written or not pc.any(moved).as_py():
        return read
    late = pc.drop_null(pc.unique(column.filter(pc.fill_null(moved, False))))
    wrong = [cell for cell in late.to_pylist() if not _reads(cell, written)]
    return pc.if_else(pc.is_in(column, value_set=pa.array(wrong, column.type)), None, read)


def _reads(cell: str, written: str) -> bool:
    try:
        datetime.strptime(" ".join(cell.split()), written)
    except ValueError:
        return False
    return True


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without what `strptime` does not know: ordinals, fractions of seconds, the `T`."""
    for pattern, plain in (
        (r"(\d)(?:st|nd|rd|th)\b", r"\1"),
        (r"\bSept\b", "Sep"),
        (r"(\d),? ?(?:T|,| )+(\d{1,2}:)", r"\1 \2"),
        (r"(:\d{2})[.,]\d+", r"\1"),
        (r"(?i) ?([ap])\.?m\.?", r" \1m"),
        (r"(:\d{2}) ?(?:UTC|GMT|Z)$", r"\1+0000"),
        (r"(:\d{2}) ?([+-]\d{2}):?(\d{2})$", r"\1\2\3"),
        (r"(:\d{2}) ?([+-]\d{2})$", r"\1\200"),
    ):
        column = pc.replace_substring_regex(column, pattern, plain)
    return column


def _is_usual(written: str) -> bool:
    """Whether day and month are in the order that is more usual with their mark."""
    first = day_first(written)
    return first is None or first == ("/" not in written)


def _mostly(values: pa.Array, pattern: str) -> bool:
    """Whether nearly all texts, and at least one, match a pattern."""
    alike = pc.sum(pc.match_substring_regex(values, pattern)).as_py() or 0
    return alike > 0 and alike >= (1 - _FEW) * len(values)
