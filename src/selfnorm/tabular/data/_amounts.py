# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Amounts as people write them: thousands in groups, decimal commas, currencies, percent, units.

A way of writing is a sample and the unit that goes with it: `1,234.5`, `1.234,5 EUR`, `1,234.5 kg`;
or, where letters stand for thousands and millions, `1,234.5 K`. One column has one way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

POINT, COMMA = "1,234.5", "1.234,5"
_THOUSANDS = "K"
_CODES = (
    "USD|EUR|GBP|CHF|JPY|CNY|RMB|INR|AUD|CAD|NZD|SEK|NOK|DKK|ISK|PLN|CZK|HUF|RON|BGN|RUB|UAH|TRY"
    "|BRL|MXN|ARS|CLP|COP|PEN|ZAR|NGN|KES|EGP|MAD|KRW|TWD|SGD|HKD|THB|IDR|MYR|PHP|VND|ILS|AED|SAR"
)
_SYMBOL = rf"(?:[A-Z]{{0,3}}\p{{Sc}}|(?i:{_CODES}|rs\.?|kr\.?|fr\.?))"
_FIGURES = r"(?:\d[\d.,' ’]*\d|\d[.,]?|[.,]\d+)(?:[eE][+-]?\d+)?"
_AMOUNT = (
    rf"^(?P<open>\()? ?(?P<minus>-)?\+? ?(?P<before>{_SYMBOL})? ?(?P<minus_too>-)?"
    rf"(?P<figures>{_FIGURES}) ?(?P<after>{_SYMBOL}|%|‰|[\p{{L}}°µ][\p{{L}}°µ²³/·^]{{0,11}})? ?"
    r"(?P<minus_last>-)?(?P<close>\))?$"
)
_SPACES = "[\u00a0\u2007\u2009\u202f]"
_GROUPS = {POINT: "[,' ’]", COMMA: "[.' ’]"}
_WHOLE = {
    style: rf"^(?:\d*|\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}})(?:[{mark}]\d*)?(?:[eE].+)?$"
    for (style, group), mark in zip(_GROUPS.items(), ".,", strict=True)
}
_POWERS = {
    **dict.fromkeys(("k", "thousand", "tsd"), 1e3),
    **dict.fromkeys(("m", "mn", "mm", "mio", "million"), 1e6),
    **dict.fromkeys(("b", "bn", "mrd", "billion"), 1e9),
}
_MOSTLY = 0.9


@dataclass(frozen=True)
class Amounts:
    """How a column writes amounts.

    Attributes:
        written: The sample and the unit.
        other: The other sample, if it reads the whole column, too, as another number.
        misfit: A cell that is not written so; None if there is none.
    """

    written: str
    other: str | None = None
    misfit: str | None = None


def amounts_of(values: pa.Array) -> Amounts | None:
    """How distinct texts write amounts; None if they are none, or in several units."""
    parts = _parts(values)
    figures = pc.struct_field(parts, "figures")
    least = _MOSTLY * len(values)
    if not len(values) or len(values) - figures.null_count < least:
        return None
    unit = _unit(parts)
    if unit is None:
        return None
    reads = {style: _count(figures, pattern) for style, pattern in _WHOLE.items()}
    style = max(reads, key=lambda one: reads[one])
    if reads[style] < least:
        return None
    other = None
    if reads[POINT] == reads[COMMA]:
        points, commas = (_count(figures, rf"^\d{{1,3}}[{mark}]\d{{3}}$") for mark in ".,")
        marked = _count(figures, "[.,]")
        money = pc.any(pc.match_substring_regex(pa.array([unit]), _SYMBOL)).as_py()
        style = COMMA if points and points == marked and money else POINT
        other = {POINT: COMMA, COMMA: POINT}[style] if marked and points + commas else None
    written = f"{style} {unit}".strip()
    misfits = values.filter(pc.is_null(parse_amounts(values, written)))
    return Amounts(written, other, str(misfits[0]) if len(misfits) else None)


def parse_amounts(column: pa.ChunkedArray, written: str) -> pa.ChunkedArray:
    """Text as float64, null where it is not written in a way, but for its unit, which may lack."""
    style, _, unit = written.partition(" ")
    parts = _parts(column)
    units = _behind(parts) if unit == _THOUSANDS else _units(parts)
    allowed = [*_POWERS, ""] if unit == _THOUSANDS else [unit, ""]
    figures = pc.struct_field(parts, "figures")
    fits = pc.and_(
        pc.match_substring_regex(figures, _WHOLE[style]),
        pc.is_in(units, value_set=pa.array(allowed, units.type)),
    )
    figures = pc.replace_substring_regex(pc.if_else(fits, figures, None), _GROUPS[style], "")
    numbers = pc.cast(pc.replace_substring(figures, ",", "."), pa.float64())
    if unit == _THOUSANDS:
        numbers = pc.multiply(numbers, _powers(units))
    return pc.if_else(_is_negative(parts), pc.negate(numbers), numbers)


def is_written(written: str) -> bool:
    """Whether a model's record may name a way of writing."""
    return written.partition(" ")[0] in _GROUPS


def _parts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What stands before, in and behind the figures; null where a text is no amount."""
    for pattern, plain in ((_SPACES, " "), ("−", "-"), (rf"^({_SYMBOL}) ?\(", r"(\1")):
        column = pc.replace_substring_regex(column, pattern, plain)
    return pc.extract_regex(column, _AMOUNT)


def _unit(parts: pa.ChunkedArray) -> str | None:
    """The unit of all amounts, or the sign for thousands and millions; None if they are several."""
    before, after, found = (
        {unit for unit in pc.unique(pc.drop_null(units)).to_pylist() if unit}
        for units in (pc.struct_field(parts, "before"), _behind(parts), _units(parts))
    )
    if after and after <= _POWERS.keys() and (len(after) > 1 or before):
        return _THOUSANDS
    return found.pop() if len(found) == 1 else None if found else ""


def _units(parts: pa.ChunkedArray) -> pa.ChunkedArray:
    """What stands behind, or else before, in small letters and without the plural's s."""
    after = _behind(parts)
    return pc.if_else(pc.equal(after, ""), pc.utf8_lower(pc.struct_field(parts, "before")), after)


def _behind(parts: pa.ChunkedArray) -> pa.ChunkedArray:
    after = pc.utf8_lower(pc.struct_field(parts, "after"))
    return pc.replace_substring_regex(after, r"(\pL\pL)s$", r"\1")


def _powers(units: pa.ChunkedArray) -> pa.ChunkedArray:
    """What a letter for thousands or millions multiplies by; 1 without."""
    names = list(_POWERS)
    found = pc.index_in(units, value_set=pa.array(names, units.type))
    return pc.coalesce(pc.take(pa.array([_POWERS[name] for name in names]), found), 1.0)


def _is_negative(parts: pa.ChunkedArray) -> pa.ChunkedArray:
    signs = ("minus", "minus_too", "minus_last", "open")
    either: Callable[..., pa.ChunkedArray] = pc.or_
    return reduce(either, (pc.not_equal(pc.struct_field(parts, sign), "") for sign in signs))


def _count(values: pa.Array, pattern: str) -> int:
    return pc.sum(pc.match_substring_regex(values, pattern)).as_py() or 0
