# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""What a column of a table is: a number, a date, an amount or a category, told by all its cells."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.tabular.data._amounts import Amounts, amounts_of, parse_amounts
from selfnorm.tabular.data._cells import Holds, holds, is_text, plain_numbers, text
from selfnorm.tabular.data._dates import (
    COMPACT,
    are_times,
    dates_of,
    day_first,
    look_like_dates,
    parse_dates,
)
from selfnorm.tabular.data._words import without_words

_MOSTLY = 0.9
_MANY = 100  # different numbers as text, beyond which they hardly are codes
_SHOWN = 3  # odd cells
_FEWEST_DATES = 4  # of eight digits each
_FIRST_DAY, _LAST_DAY = 1900_01_01, 2100_12_31


@dataclass(frozen=True)
class Remark:
    """What a user should know of how a column was understood.

    Attributes:
        text: The sentence.
        doubtful: Whether it may be another thing than the user meant, so that it is a warning.
    """

    text: str
    doubtful: bool = True


@dataclass(frozen=True)
class Understood:
    """What a column is.

    Attributes:
        holds: What its numbers count or measure; None for a category.
        written: How its text writes them, if another way than Arrow's own.
        remarks: What a user should know of that.
        slip: A cell that is none, where nearly all others are; None if there is none.
        odd: The first of those that are so, each once.
        odd_cells: How many there are.
        exchanged: The other order of day and month, if nothing in the column tells which it is.
    """

    holds: Holds | None
    written: str | None = None
    remarks: tuple[Remark, ...] = ()
    slip: str | None = None
    odd: tuple[str, ...] = ()
    odd_cells: int = 0
    exchanged: str | None = None

    @property
    def day_first(self) -> bool | None:
        """Whether a date's day is known to stand before its month; None where that is open."""
        known = self.holds == "dates" and self.written and not self.exchanged
        return day_first(self.written) if known and self.written else None


CATEGORY = Understood(None)


def understand(name: str, column: pa.ChunkedArray, *, guessed: bool) -> Understood:
    """What a column with values is.

    A type that is no text says it. So does a dictionary: it is a category. Of text in which nobody
    chose a type, as in a CSV file, digits are a number unless one begins with 0; of other text
    they are a category.

    Args:
        name: The column's name, for the remarks.
        column: A number, date, boolean, text or dictionary of any length.
        guessed: Whether nobody chose that it is text.
    """
    if pa.types.is_dictionary(column.type):
        return CATEGORY
    if not is_text(column.type):
        compact = pa.types.is_integer(column.type) and _are_days(column)
        return Understood("dates", COMPACT) if compact else Understood(holds(column.type))
    counted = pc.value_counts(pc.drop_null(text(column)))
    cells, counts = counted.field("values"), counted.field("counts").to_numpy()
    return understand_text(name, cells, counts, len(column), guessed=guessed)


def understand_text(
    name: str, cells: pa.Array, counts: np.ndarray, rows: int, *, guessed: bool
) -> Understood:
    """The same of text, by its distinct cells and in how many of so many rows each stands."""
    known = without_words(cells)
    values = pc.unique(pc.drop_null(known))
    if not len(values):
        return CATEGORY
    found = _of_text(name, values, guessed=guessed)
    if found.slip is not None:
        return _with_odd(found, known, counts)
    worded = pc.is_null(known)
    missing = int(counts[worded.to_numpy(zero_copy_only=False)].sum())
    if found.holds is None or not missing:
        return found
    shown = ", ".join(repr(str(word)) for word in cells.filter(worded)[:3])
    remark = Remark(
        f"Column '{name}': {missing:,} of {rows:,} cells hold {shown}; taken as missing."
    )
    return replace(found, remarks=(*found.remarks, remark))


def _with_odd(found: Understood, known: pa.Array, counts: np.ndarray) -> Understood:
    """What a column is, with its cells that are none, by its distinct ones and how many are so."""
    written = found.written
    if found.holds == "dates" and written is not None:
        parsed = parse_dates(known, written)
    else:
        parsed = plain_numbers(known) if written is None else parse_amounts(known, written)
    odd = pc.and_(pc.is_valid(known), pc.is_null(parsed))
    cells = int(counts[odd.to_numpy(zero_copy_only=False)].sum())
    return replace(found, odd=tuple(known.filter(odd)[:_SHOWN].to_pylist()), odd_cells=cells)


def _are_days(column: pa.ChunkedArray) -> bool:
    """Whether whole numbers are dates such as 20150131; by chance one in thirty is."""
    ends = pc.min_max(column).as_py()
    if ends["min"] is None or not _FIRST_DAY <= ends["min"] <= ends["max"] <= _LAST_DAY:
        return False
    values = pc.cast(pc.unique(column).drop_null(), pa.string())
    return len(values) >= _FEWEST_DATES and parse_dates(values, COMPACT).null_count == 0


def settle(found: Collection[Understood]) -> bool | None:
    """Whether the day comes first in a table's dates, if at least one tells and none differs."""
    orders = {one.day_first for one in found} - {None}
    return orders.pop() if len(orders) == 1 else None


def settled(name: str, found: Understood, first: bool | None) -> Understood:
    """A column of dates whose own cells leave the order of day and month open.

    It is that of the table's other dates, or else the usual one, and then a remark says so.
    """
    if found.exchanged is None or found.written is None:
        return found
    if first is not None:
        right = found.written if day_first(found.written) == first else found.exchanged
        return replace(found, written=right, exchanged=None)
    order = "day before month" if day_first(found.written) else "month before day"
    remark = Remark(
        f"Column '{name}': its dates do not tell day from month; read as {order} "
        f"({found.written}). Write them as 2015-01-31 if that is wrong."
    )
    return replace(found, remarks=(remark, *found.remarks))


def _of_text(name: str, values: pa.Array, *, guessed: bool) -> Understood:
    """What distinct texts are."""
    strange = pc.is_null(plain_numbers(values))
    lost = pc.sum(strange).as_py() or 0
    if not lost:
        return _of_numbers(name, values, guessed=guessed)
    if (dates := dates_of(values)) is not None:
        other = dates.other
        return Understood("dates", dates.written, (), dates.misfit, exchanged=other)
    if lost > (1 - _MOSTLY) * len(values):
        return Understood("times of day") if are_times(values) else _of_words(name, values)
    if not guessed and _digits(values.filter(pc.invert(strange))):
        return CATEGORY
    return Understood("numbers", None, (), str(values.filter(strange)[0]))


def _of_words(name: str, values: pa.Array) -> Understood:
    """What distinct texts are that are neither plain numbers nor dates."""
    if (amounts := amounts_of(values)) is not None:
        remarks = () if amounts.misfit else (_of_amounts(name, values, amounts),)
        return Understood("numbers", amounts.written, remarks, amounts.misfit)
    if not look_like_dates(values):
        return CATEGORY
    remark = Remark(
        f"Column '{name}': text such as {str(values[0])!r} looks like dates, but not written in "
        "one way that is known, so each is a category. Write them as 2015-01-31."
    )
    return Understood(None, None, (remark,))


def _of_numbers(name: str, values: pa.Array, *, guessed: bool) -> Understood:
    """What distinct texts are that are all plain numbers."""
    if not _digits(values):
        return Understood("numbers")
    if len(values) >= _FEWEST_DATES and (dates := dates_of(values)) and dates.misfit is None:
        return Understood("dates", dates.written)
    sample = str(values[0])
    if guessed:
        coded = values.filter(pc.match_substring_regex(values, r"^0\d"))
        if not len(coded):
            return Understood("numbers")
        text = f"Column '{name}' is a category, since numbers do not begin with 0: {coded[0]}."
        return Understood(None, None, (Remark(text, doubtful=False),))
    if len(values) <= _MANY:
        return CATEGORY
    remark = Remark(
        f"Column '{name}' is text, so numbers such as {sample!r} are categories. Convert it to "
        "numbers if it counts or measures something."
    )
    return Understood(None, None, (remark,))


def _of_amounts(name: str, values: pa.Array, amounts: Amounts) -> Remark:
    odd = values.filter(pc.is_null(plain_numbers(values)))[:1]
    number = parse_amounts(odd, amounts.written)[0].as_py()
    mark = "comma" if "," in str(odd[0]) else "point"
    doubt = f"; nothing tells whether its {mark} parts thousands or decimals"
    return Remark(
        f"Column '{name}': {str(odd[0])!r} is read as the number {number:.15g}"
        f"{doubt if amounts.other else ''}."
    )


def _digits(values: pa.Array) -> bool:
    """Whether texts are whole numbers without sign, as codes are."""
    return bool(pc.all(pc.match_substring_regex(values, r"^\d+$")).as_py())
