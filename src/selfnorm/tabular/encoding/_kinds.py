# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""What each column of a table is, and which cannot be learned from, by all rows."""

from collections.abc import Callable, Collection, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import TableError
from selfnorm.tabular.data._cells import is_usable, text
from selfnorm.tabular.data._provenance import provenance_of
from selfnorm.tabular.encoding._reasons import no_value
from selfnorm.tabular.encoding._rows import row_number
from selfnorm.tabular.encoding._understand import CATEGORY, Understood, settle, settled, understand

AS_ASKED = "as asked"
_SHOWN = 5


def understood(
    table: pa.Table, rows: np.ndarray, categories: Collection[str], ignore: Collection[str]
) -> tuple[dict[str, str], dict[str, Understood]]:
    """Why columns cannot be learned from, and what the others are.

    Raises:
        TableError: cells of some columns are not what all their others are.
    """
    known = provenance_of(table)
    reasons: dict[str, str] = {}
    found: dict[str, Understood] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        reason = AS_ASKED if name in ignore else _useless(column, rows)
        # By all rows: without those held out the numbers have gaps, and nothing would tell them.
        reason = reason or row_number(name, column, known.indexes)
        if reason:
            reasons[name] = reason
        elif name in categories:
            found[name] = CATEGORY
        else:
            found[name] = understand(name, column, guessed=name in known.guessed)
    check_slips(found, lambda name, slip: pc.index(text(table[name]), slip).as_py() + 1)
    first = settle(found.values())
    return reasons, {name: settled(name, one, first) for name, one in found.items()}


def check_slips(
    found: Mapping[str, Understood], row_of: Callable[[str, str], int] | None = None
) -> None:
    """Raise for cells that are not what all others of their column are, of all columns at once.

    Args:
        found: What columns are.
        row_of: In which row of a column a cell stands first, from 1; None if that is not known.

    Raises:
        TableError: there are some.
    """
    slips = [
        f"'{name}' holds {one.holds} but {_odd(name, one, row_of)}"
        for name, one in found.items()
        if one.slip
    ]
    if slips:
        more = f", and {len(slips) - _SHOWN} more do so" if len(slips) > _SHOWN else ""
        raise TableError(
            f"A column holds numbers, dates or categories; {'; '.join(slips[:_SHOWN])}{more}. "
            "Mend the cells, leave them empty, name a word that stands for a missing value, or say "
            "that the column is a category or to be ignored.",
            options=("--missing WORD", "--category COLUMN", "--ignore COLUMN"),
        )


def _odd(name: str, one: Understood, row_of: Callable[[str, str], int] | None) -> str:
    """Which cells of a column are not what all others are."""
    named = dict.fromkeys(one.odd or (str(one.slip),))
    shown = ", ".join(
        f"{cell[:80]!r}" + ("" if row_of is None else f" in row {row_of(name, cell)}")
        for cell in named
    )
    return f"for {shown}" if one.odd_cells <= 1 else f"in {one.odd_cells:,} cells, such as {shown}"


def _useless(column: pa.ChunkedArray, rows: np.ndarray) -> str | None:
    """Why nothing can be learned from a column, whatever it is; None if something may."""
    if not is_usable(column.type):
        return f"its values are of type {column.type}"
    nothing = column.null_count and column.take(rows).null_count == len(rows)
    return no_value(column, rows) if nothing else None
