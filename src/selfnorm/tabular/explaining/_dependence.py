# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""How a prediction goes with one column, in the mean over rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.report._numbers import digits
from selfnorm.tabular.data._cells import numbers, text
from selfnorm.tabular.encoding._columns import Column
from selfnorm.tabular.encoding._number import NumberColumn

_MOST_LEVELS = 8
_LEVELS = 9  # of a number


@dataclass(frozen=True)
class Dependence:
    """What is predicted in the mean if a column has one value in all rows.

    Attributes:
        column: Its name.
        cells: The values, as text.
        at: The values as numbers; None of a category.
        means: The mean prediction at each, (values, outputs).
        units: What differences of each output are counted in, (outputs,); None if all alike.
    """

    column: str
    cells: tuple[str, ...]
    at: tuple[float, ...] | None
    means: np.ndarray
    units: np.ndarray | None = None

    @property
    def output(self) -> int:
        """The output that goes with the column most."""
        units = 1.0 if self.units is None else self.units
        return int((np.ptp(self.means, axis=0) / units).round(9).argmax())


def dependence(
    say: Callable[[np.ndarray], np.ndarray],
    matrix: np.ndarray,
    table: pa.Table,
    column: Column,
    features: slice,
    units: np.ndarray | None = None,
) -> Dependence | None:
    """How predictions go with a column; None if no two values are known.

    Values are those of rows: of numbers at equal shares of them, of categories the most frequent.
    All else stays as it is in each row, also where that goes with the column (Friedman 2001).

    Args:
        say: From encoded rows to predictions, (rows, outputs).
        matrix: The rows, encoded.
        table: The same rows, as they came.
        column: The column.
        features: Its features in the matrix.
        units: What differences of each output are counted in, (outputs,); None if all alike.
    """
    rows, at, cells = _places(table, column)
    if len(rows) < 2:
        return None
    changed = matrix.copy()
    means: list[np.ndarray] = []
    for row in rows:
        changed[:, features] = matrix[row, features]
        means.append(say(changed).mean(0))
    return Dependence(column.name, cells, at, np.stack(means), units)


def cell(table: pa.Table, name: str, row: int) -> str:
    """A cell as text; `(missing)` if it is empty."""
    value = table[name][row].as_py()
    if value is None:
        return "(missing)"
    return digits(value, 6) if isinstance(value, float) else " ".join(str(value).split())


def _places(
    table: pa.Table, column: Column
) -> tuple[list[int], tuple[float, ...] | None, tuple[str, ...]]:
    """Rows whose values are looked at, these values as numbers if they are, and as text."""
    name = column.name
    if isinstance(column, NumberColumn):
        values = numbers(name, table[name], column.holds, column.written)
        known = np.flatnonzero(~np.isnan(values))
        if not len(known):
            return [], None, ()
        order = known[np.argsort(values[known], kind="stable")]
        places = order[np.linspace(0, len(order) - 1, _LEVELS).round().astype(int)]
        _, first = np.unique(values[places], return_index=True)
        rows = [int(row) for row in places[first]]
        at = tuple(float(values[row]) for row in rows)
        return rows, at, tuple(cell(table, name, row) for row in rows)
    cells = text(table[name])
    counted = pc.value_counts(cells).to_pylist()
    most = sorted(counted, key=lambda one: -one["counts"])[:_MOST_LEVELS]
    plain = cells.to_pylist()
    rows = [plain.index(one["values"]) for one in most]
    return rows, None, tuple(cell(table, name, row) for row in rows)
