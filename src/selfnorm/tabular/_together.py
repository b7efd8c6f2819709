# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""How rows are split: by groups that stay together, by time, or by chance; and who says so."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import ArgumentError, TableError
from selfnorm.tabular._settings import Task
from selfnorm.tabular.data._cells import is_usable, numbers, text
from selfnorm.tabular.data._provenance import provenance_of
from selfnorm.tabular.data._split import hold_out, latest, stretches
from selfnorm.tabular.data._table import require_column
from selfnorm.tabular.encoding._understand import understand


@dataclass(frozen=True)
class Splits:
    """How some rows are split.

    Attributes:
        values: The target of every row.
        task: `classification` or `regression`.
        seed: The same seed splits in the same way.
        together: A label of every row; rows of one label are on one side. None if there are none.
        times: When each row is from, if the latest are held out; None for a split at random.
    """

    values: np.ndarray
    task: Task
    seed: int
    together: np.ndarray | None = None
    times: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "Splits":
        """The same of some of the rows."""
        values, together, times = (
            None if one is None else one[rows] for one in (self.values, self.together, self.times)
        )
        return replace(self, values=values, together=together, times=times)

    def apart(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers to keep, and those to hold out.

        Raises:
            ArgumentError: all rows are of one group or time, and some are to be held out.
        """
        if share:
            self._check()
        if self.times is not None:
            return latest(self.times, share)
        return hold_out(self.values, share, task=self.task, seed=self.seed, together=self.together)

    def labels(self, folds: int) -> np.ndarray | None:
        """A label of every row, for so many folds: of its group, or of its stretch of time.

        Raises:
            ArgumentError: all rows are of one group or time, and there are two folds or more.
        """
        if folds > 1:
            self._check()
        return self.together if self.times is None else stretches(self.times, 2 * folds)

    def _check(self) -> None:
        for what, each in (("groups", self.together), ("times", self.times)):
            if each is not None and len(each) and (each == each[0]).all():
                raise ArgumentError(
                    f"Rows can be left out if they are of two {what} or more, as those of one stay "
                    f"together; all {len(each):,} are of one. Name another column."
                )


def labels_of(name: str, table: pa.Table) -> np.ndarray:
    """A label of every row by a column of groups; a row without one has a label of its own.

    Raises:
        TableError: there is no such column, or it holds no text or numbers.
    """
    require_column(name, table.column_names)
    if not is_usable(table[name].type):
        raise TableError(
            f"A column of groups holds text or numbers; '{name}' holds {table[name].type}. Name "
            "another."
        )
    cells = text(table[name])
    known = pc.unique(cells).drop_null()
    found = pc.index_in(cells, value_set=known).to_numpy()
    alone = np.isnan(found) if found.dtype.kind == "f" else np.zeros(len(found), bool)
    labels = np.where(alone, 0, found).astype(np.int64)
    labels[alone] = len(known) + np.arange(alone.sum())
    return labels


def group_labels(groups: Any, rows: int) -> np.ndarray | None:
    """A number for the group of each row; None if there are none.

    Raises:
        ArgumentError: they are not one label a row.
    """
    if groups is None:
        return None
    labels = np.asarray(groups)
    if labels.shape != (rows,):
        raise ArgumentError(
            f"groups must be one label a row, of shape ({rows},); shape {labels.shape} came. Give "
            "one label for each row of X."
        )
    return np.unique(labels.astype(str) if labels.dtype == object else labels, return_inverse=True)[
        1
    ]


def times_of(name: str, table: pa.Table) -> np.ndarray:
    """When each row is from, by a column of dates, times or numbers: in days, or as it counts.

    Raises:
        TableError: there is no such column, it holds something else, or some of its cells are
            empty.
    """
    require_column(name, table.column_names)
    column = table[name]
    found = None
    if is_usable(column.type):
        found = understand(name, column, guessed=name in provenance_of(table).guessed)
    if found is None or found.holds is None:
        raise TableError(
            f"A column to split by time holds dates or numbers; '{name}' holds text or else. Name "
            "another, or write dates as 2015-01-31."
        )
    times = numbers(name, column, found.holds, found.written)
    unknown = int(np.isnan(times).sum())
    if unknown:
        raise TableError(
            f"To split by time each row's must be known; '{name}' is empty in {unknown:,} of "
            f"{len(times):,} rows. Fill it in, or leave these rows out."
        )
    return times
