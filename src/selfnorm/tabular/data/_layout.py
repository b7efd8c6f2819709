"""How a delimited text is laid out: what parts its cells, and where the names stand."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from selfnorm.errors import TableError

_DELIMITERS = ",;\t|"
_COMMENT = "#"
_LINES = 200
_MOSTLY = 0.8
_YEARS = range(1800, 2200)
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Layout:
    """Where cells and names stand in a text.

    Attributes:
        delimiter: What stands between two cells; a space stands for any number of them.
        names: The names of the columns, as they stand there.
        begin: The number of the line that holds the names, from 0.
        row_names: Whether the first column has none, as R writes the names of rows.
    """

    delimiter: str
    names: list[str]
    begin: int
    row_names: bool = False


def layout_of(text: str, where: str) -> Layout:
    """The layout of a text that begins like this.

    The names are the first row. Cells are parted by what cuts it into most; where most other rows
    have another number of cells, it is a title, and the names follow. Lines that begin with `#` are
    comments, unless the last of them has as many cells as the rows below.

    Raises:
        TableError: there is no row, or the first one holds values and no names.
    """
    lines = text.splitlines(keepends=True)[:_LINES]
    first = _first_row(lines)
    if first is None:
        raise TableError(f"A table needs a row of column names; {where} holds none.")
    found = max((_by_first_row(lines, first, mark) for mark in _DELIMITERS), key=_cells)
    if not _is_alike(lines, found):
        found = _below_a_title(lines, first) or found
    if _cells(found) == 1:
        found = _by_spaces(lines, first) or found
    if not found.row_names and _are_values(found.names, _rows(lines[found.begin + 1 :], found)):
        shown = found.delimiter.join(found.names)[:40]
        raise TableError(
            f"The first row of {where} must name the columns; it holds values ({shown}). Put a row "
            "of names above it."
        )
    return found


def _first_row(lines: Sequence[str]) -> int | None:
    """The number of the first line that is neither blank nor a comment."""
    used = [at for at, line in enumerate(lines) if line.strip()]
    plain = [at for at in used if not lines[at].startswith(_COMMENT)]
    if not plain:
        return None
    above = max((at for at in used if at < plain[0]), default=None)
    if above is None:
        return plain[0]
    for mark in _DELIMITERS:
        names, cells = (next(csv.reader([lines[at]], delimiter=mark)) for at in (above, plain[0]))
        if len(names) == len(cells) > 1:
            return above
    return plain[0]


def _by_first_row(lines: Sequence[str], first: int, mark: str) -> Layout:
    return Layout(mark, next(csv.reader(lines[first:], delimiter=mark)), first)


def _cells(found: Layout) -> int:
    return len(found.names)


def _rows(lines: Sequence[str], found: Layout) -> list[list[str]]:
    """The cells of the rows that are no comment."""
    used = [line for line in lines if not line.startswith(_COMMENT)]
    return [cells for cells in cells_of(used, found.delimiter) if cells]


def cells_of(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """The cells of each row; those that spaces part have none around them."""
    if delimiter == " ":
        return csv.reader((line.strip() for line in lines), delimiter=" ", skipinitialspace=True)
    return csv.reader(lines, delimiter=delimiter)


def _usual(rows: Sequence[list[str]]) -> int:
    """How many cells nearly all rows have; 0 if they differ, or there are none."""
    if not rows:
        return 0
    (cells, count), *_ = Counter(map(len, rows)).most_common(1)
    return cells if count >= _MOSTLY * len(rows) else 0


def _is_alike(lines: Sequence[str], found: Layout) -> bool:
    """Whether the names are as many as most rows have cells, or nothing tells how many that is."""
    usual = _usual(_rows(lines[found.begin + 1 :], found))
    return usual == _cells(found) or (usual == 0 and _cells(found) > 1)


def _below_a_title(lines: Sequence[str], first: int) -> Layout | None:
    """The layout where the names are not in the first row, or lack one that R does not write."""
    for mark in _DELIMITERS:
        found = _by_first_row(lines, first, mark)
        rows = _rows(lines[first + 1 :], found)
        usual = _usual([row for row in rows if len(row) > 1])
        if usual < 2:
            continue
        below = (_by_first_row(lines, at, mark) for at in range(first + 1, len(lines)))
        names = next(one for one in below if _cells(one) == usual)
        values = _rows(lines[names.begin + 1 :], names)
        if not _numbers(names.names) and any(map(_numbers, values)):
            return names
        if _cells(found) == usual - 1 > 1:
            return Layout(mark, ["", *found.names], first, row_names=True)
    return None


def _numbers(cells: Sequence[str]) -> list[str]:
    """The cells that are numbers."""
    return [cell for cell in map(str.strip, cells) if _NUMBER.fullmatch(cell)]


def _by_spaces(lines: Sequence[str], first: int) -> Layout | None:
    """The layout of a text whose cells are parted by spaces, if all rows have as many."""
    found = Layout(" ", next(cells_of(lines[first:], " ")), first)
    usual = _usual(_rows(lines[first + 1 :], found))
    if usual > 1 and usual == _cells(found):
        return found
    if usual > 1 and usual - 1 == _cells(found) > 1:
        return Layout(" ", ["", *found.names], first, row_names=True)
    return None


def _are_values(names: Sequence[str], rows: Sequence[list[str]]) -> bool:
    """Whether a first row holds values: numbers that name nothing, or what stands below it, too."""
    cells = [name.strip() for name in names]
    numbers = _numbers(cells)
    if len(numbers) == len(cells) or (numbers and not _can_name(numbers)):
        return True
    others = (row for row in rows if len(row) == len(cells) and row != list(names))
    columns = list(zip(*others, strict=True))  # files put together have their names again
    below = [{value.strip() for value in column} for column in columns]
    again = sum(cell in values for cell, values in zip(cells, below, strict=False))
    return len(cells) > 1 and again * 2 > len(cells)


def _can_name(numbers: Sequence[str]) -> bool:
    """Whether numbers may be names: years, or one after the other."""
    if not all(number.isdecimal() for number in numbers):
        return False
    values = [int(number) for number in numbers]
    one_by_one = all(after - before == 1 for before, after in pairwise(values))
    return one_by_one or all(value in _YEARS for value in values)
