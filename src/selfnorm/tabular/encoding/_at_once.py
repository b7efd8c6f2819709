"""What columns have together: names of features, each once; and what is wrong, told at once."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from selfnorm.errors import TableError
from selfnorm.tabular.data._words import without_own_cells
from selfnorm.tabular.encoding._columns import Column

_TOLD = 3


def distinct(names: Sequence[str]) -> list[str]:
    """The names; one that stands before has a number behind it, as `a=b (2)`.

    A level `b` of the category `a` and a number that is called `a=b` have one name else.
    """
    if len(set(names)) == len(names):
        return list(names)
    found: list[str] = []
    taken, counts = set(names), Counter[str]()
    for name in names:
        counts[name] += 1
        own = name
        while counts[name] > 1 and own in taken:
            own = f"{name} ({counts[name]})"
            counts[name] += own in taken
        taken.add(own)
        found.append(own)
    return found


def encode_each(
    columns: Sequence[Column],
    table: pa.Table,
    rows: np.ndarray | None,
    matrix: np.ndarray,
    missing: Sequence[str] = (),
) -> None:
    """Write the features of each column into a matrix, one behind the other.

    Args:
        columns: How they are encoded.
        table: Their cells.
        rows: Which of its rows; None for all.
        matrix: (rows, features), float32.
        missing: Words of the user's own for missing cells.

    Raises:
        TableError: columns hold something else than in training.
    """
    at, wrong = 0, list[TableError]()
    for column in columns:
        cells, width = table[column.name], len(column.features)
        taken = without_own_cells(cells if rows is None else cells.take(rows), missing)
        try:
            column.encode(taken, matrix[:, at : at + width])
        except TableError as error:
            wrong.append(error)
        at += width
    if wrong:
        raise _all_of(wrong)


def _all_of(errors: Sequence[TableError]) -> TableError:
    """One error for those of several columns."""
    if len(errors) == 1:
        return errors[0]
    more = f" {len(errors) - _TOLD} more columns are so." if len(errors) > _TOLD else ""
    return TableError(" ".join(map(str, errors[:_TOLD])) + more)
