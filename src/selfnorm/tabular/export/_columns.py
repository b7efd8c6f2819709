"""How each column becomes features inside a graph: the encoder's formulas as ONNX nodes."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from selfnorm.tabular.data._words import NULLS, numbers_of
from selfnorm.tabular.encoding._category import OTHER, CategoryColumn
from selfnorm.tabular.encoding._columns import Single
from selfnorm.tabular.encoding._cycles import Cycle
from selfnorm.tabular.encoding._number import BENT, FAR, NumberColumn
from selfnorm.tabular.encoding._presence import PresenceColumn
from selfnorm.tabular.encoding._records import MISSING, unit_of
from selfnorm.tabular.export._graph import Graph

_UNITS = {
    "numbers": "a number",
    "booleans": "0 or 1",
    "dates": "days since 1970-01-01, with their fraction",
    "times of day": "a fraction of a day",
    "durations": "days, with their fraction",
}
_SEEN_AS = "; nan if unknown"
_TEXT = "text without spaces around it; empty if unknown"


class Asked(NamedTuple):
    """What a graph asks for in place of a column.

    Attributes:
        column: Its name, and that of the input.
        told: What the input is.
        read: Whether reading the column, from dates or amounts, is left to who calls.
    """

    column: str
    told: str
    read: bool


def asked_for(column: Single) -> Asked:
    """What a graph asks for in place of a column."""
    if isinstance(column, CategoryColumn):
        return Asked(column.name, _TEXT, read=False)
    read = column.written is not None or column.holds not in ("numbers", "booleans")
    return Asked(column.name, _UNITS[column.holds] + _SEEN_AS, read)


def features_of(graph: Graph, column: Single, missing: Sequence[str] = ()) -> str:
    """The features of a column, (rows, features), float32; of words for missing cells those too."""
    kind = "string" if isinstance(column, CategoryColumn) else "double"
    given = graph.input(column.name, kind, asked_for(column).told)
    if isinstance(column, CategoryColumn):
        return _of_category(graph, column, given, missing)
    rows = graph.node("Unsqueeze", given, graph.array([1], np.int64))
    absent = graph.node("IsNaN", rows)
    if not asked_for(column).read:
        for word in numbers_of(missing).tolist():
            absent = graph.node("Or", absent, graph.node("Equal", rows, word))
    if isinstance(column, PresenceColumn):
        return graph.cast(_of_presence(graph, absent, column.missing), "float")
    return _of_number(graph, column, graph.node("Where", absent, 0.0, rows), absent)


def _of_category(graph: Graph, column: CategoryColumn, given: str, own: Sequence[str]) -> str:
    """A row of a table for each level; the last is for none of them."""
    levels, none = list(column.levels), len(column.levels)
    keys = {level: at for at, level in enumerate(levels)}
    missing = keys.get(MISSING, none)
    words = () if set(NULLS) & set(levels) else NULLS
    keys = dict.fromkeys(("", *words), missing) | keys | dict.fromkeys(own, missing)
    number = graph.node(
        "LabelEncoder",
        given,
        keys_strings=list(keys),
        values_int64s=list(keys.values()),
        default_int64=keys.get(OTHER, none),
    )
    return graph.node("Gather", graph.array(column.by_level, np.float32), number, axis=0)


def _of_presence(graph: Graph, absent: str, share: float) -> str:
    one = graph.node("Sub", graph.cast(absent, "double"), share)
    return graph.node("Div", one, math.sqrt(share * (1 - share)))


def _of_number(graph: Graph, column: NumberColumn, rows: str, absent: str) -> str:
    def known(values: str) -> str:
        return graph.cast(graph.node("Where", absent, 0.0, values), "float")

    scaled = rows
    if column.quartiles is not None:
        place = _position(graph, rows, *column.quartiles)
        u = graph.node("Clip", graph.node("Sub", place, 0.5), -FAR, FAR)
        third = graph.node("Div", u, BENT)
        square = graph.node("Add", graph.node("Mul", third, third), 1.0)
        scaled = graph.node("Div", u, graph.node("Sqrt", square))
    parts = [known(_standardized(graph, scaled, column.mean, column.deviation))]
    if column.missing:
        parts.append(graph.cast(_of_presence(graph, absent, column.missing), "float"))
    parts += [known(_of_cycle(graph, one, rows)) for one in column.cycles]
    if column.pieces:
        low, high, mean, deviation = (
            np.array([[getattr(piece, name) for piece in column.pieces]])
            for name in ("low", "high", "mean", "deviation")
        )
        place = _position(graph, rows, low, high)
        part = graph.node("Clip", place, 0.0, 1.0)
        parts.append(known(_standardized(graph, part, mean, deviation)))
    return graph.node("Concat", *parts, axis=1)


def _standardized(
    graph: Graph, values: str, mean: float | np.ndarray, deviation: float | np.ndarray
) -> str:
    return graph.node("Div", graph.node("Sub", values, mean), deviation)


def _position(graph: Graph, rows: str, low: float | np.ndarray, high: float | np.ndarray) -> str:
    """0 at `low`, 1 at `high`, as `encoding._records.position`."""
    unit = np.vectorize(unit_of)(low, high)
    from_low = graph.node("Sub", graph.node("Div", rows, unit), low / unit)
    return graph.node("Div", from_low, high / unit - low / unit)


def _of_cycle(graph: Graph, cycle: Cycle, days: str) -> str:
    whole = graph.node("Floor", days)
    if cycle.period == "day":
        place = graph.node("Sub", days, whole)
    elif cycle.period == "week":
        later = graph.node("Add", whole, 3.0)  # 1970-01-01 was a Thursday
        weeks = graph.node("Floor", graph.node("Div", later, 7.0))
        place = graph.node("Div", graph.node("Sub", later, graph.node("Mul", weeks, 7.0)), 7.0)
    else:
        place = _of_calendar(graph, whole, cycle.period)
    turn = graph.node("Mul", place, 2 * math.pi)
    if cycle.wave == "cos":  # runtimes know sines of float64, and not all of them cosines
        turn = graph.node("Add", turn, math.pi / 2)
    return _standardized(graph, graph.node("Sin", turn), cycle.mean, cycle.deviation)


_ERA = 146_097  # days in 400 years, after which the calendar repeats
_MARCH = 719_468  # days from March 1 of the year 0 to 1970-01-01
_LENGTHS = (31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28)  # from March on


def _of_calendar(graph: Graph, days: str, period: str) -> str:
    """How much of its year or month a day has behind it, by whole numbers.

    A year that begins in March has its leap day last: so the day of an era tells the year, and the
    day of the year the month, by divisions (Neri and Schneider 2022, arXiv 2102.06959).
    """

    def whole(number: int | tuple[int, ...]) -> str:
        return graph.array(number, np.int64)

    def by(value: str, number: int) -> str:
        return graph.node("Div", value, whole(number))

    def times(value: str, number: int) -> str:
        return graph.node("Mul", value, whole(number))

    def add(value: str, other: str) -> str:
        return graph.node("Add", value, other)

    def sub(value: str, other: str) -> str:
        return graph.node("Sub", value, other)

    shifted = add(graph.cast(days, "int64"), whole(_MARCH + 100 * _ERA))  # no sign to divide
    era_day = graph.node("Mod", shifted, whole(_ERA))
    leaps = add(sub(era_day, by(era_day, 1_460)), by(era_day, 36_524))
    year = by(sub(leaps, by(era_day, _ERA - 1)), 365)
    begin = sub(add(times(year, 365), by(year, 4)), by(year, 100))
    day = sub(era_day, begin)  # from March 1
    month = by(add(times(day, 5), whole(2)), 153)  # from March
    late = graph.node("Greater", month, whole(9))  # January, February: of the next year
    civil = add(year, graph.cast(late, "int64"))

    def divides(number: int) -> str:
        return graph.node("Equal", graph.node("Mod", civil, whole(number)), whole(0))

    centuries = graph.node("Or", graph.node("Not", divides(100)), divides(400))
    leap = graph.cast(graph.node("And", divides(4), centuries), "int64")
    if period == "year":
        since = graph.node("Where", late, sub(day, whole(306)), add(add(day, whole(59)), leap))
        length = add(leap, whole(365))
    else:
        since = sub(day, by(add(times(month, 153), whole(2)), 5))
        february = graph.node("Equal", month, whole(11))
        longer = graph.node("Where", february, leap, whole(0))
        length = add(graph.node("Gather", whole(_LENGTHS), month, axis=0), longer)
    return graph.node("Div", graph.cast(since, "double"), graph.cast(length, "double"))
