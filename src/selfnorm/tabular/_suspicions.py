# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""What makes figures too good, columns that tell the target and equal rows; and heavy tails."""

from collections.abc import Container, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from selfnorm.tabular._settings import Task
from selfnorm.tabular._source import Source
from selfnorm.tabular.data._cells import holds, is_usable, numbers, text
from selfnorm.training import Rows

_FEWEST = 50  # rows, in fewer of which a column may fit by chance
_MOST = 2_000_000  # cells that are looked at
_EXCEPTIONS = 1e-3  # a share of rows
_ALIKE = 0.9999  # a correlation of ranks
_FEWEST_OTHERS = 5  # rows of another class than the most frequent
_ROWS_A_LEVEL = 5
_MOST_OF_IT = 0.5  # a share of the variance
_SHOWN = 5
_BLOCK = 8192
_UNKNOWN = -1e3  # what stands for a missing target: no standardized one


def leaks(source: Source, ignored: Container[str] = ()) -> str | None:
    """A sentence on columns that tell the target alone, but for a row in a thousand; None if none.

    So does a column each of whose values has one class, or one number; one whose numbers part the
    classes into a stretch each; and one whose numbers have the order of the target.
    """
    table = source.table.drop_columns([n for n in source.table.column_names if n in ignored])
    rows = min(len(source.values), _MOST // max(1, table.num_columns))
    if rows < _FEWEST:
        return None
    some = np.linspace(0, len(source.values) - 1, rows).astype(np.int64)
    _, target = np.unique(source.values[some], return_inverse=True)
    found = [
        name
        for name, column in zip(table.column_names, table.columns, strict=True)
        if is_usable(column.type) and _tells(column.take(some), target, source.task)
    ]
    if not found:
        return None
    each = "tells" if len(found) == 1 else "each tell"
    return (
        f"{_named(found)} {each} '{source.name}' without the other columns, which looks like a "
        "leak. Leave out what is not known before the target is."
    )


def heavy_tail(source: Source) -> str | None:
    """A sentence on a number target of which few rows make most of the variance; None if not."""
    rows = len(source.values)
    if source.task != "regression" or rows < _FEWEST:
        return None
    largest = float(np.abs(source.values).max()) or 1.0
    squares = np.square(source.values / largest - (source.values / largest).mean())
    few = -(-rows // 100)
    share = float(np.partition(squares, rows - few)[rows - few :].sum() / (squares.sum() or 1.0))
    if share < _MOST_OF_IT:
        return None
    log = "learn its logarithm, or " if source.values.min() > 0 else ""
    return (
        f"'{source.name}' has a heavy tail: {few:,} of {rows:,} rows make {share:.0%} of its "
        f"variance, and squared errors count little else. If that is not what matters, {log}leave "
        "these rows out."
    )


def rare_classes(source: Source) -> str | None:
    """A sentence on classes of one row, which is never both learned from and left out."""
    if source.task != "classification":
        return None
    classes, counts = np.unique(source.values, return_counts=True)
    alone = [str(one) for one in classes[counts == 1].tolist()]
    if not alone:
        return None
    what = f"The class {_named(alone)} has"
    if len(alone) > 1:
        what = f"The classes {_named(alone)} have"
    return (
        f"{what} one row{' each' if len(alone) > 1 else ''} in '{source.name}': who leaves it out "
        "has not seen its class, so no figure tells whether it is found. Add rows, or leave it out."
    )


def lost_classes(source: Source, known: Sequence[Any]) -> str | None:
    """A sentence on classes that held-out rows alone have, so that a model does not know them."""
    classes = set(known)
    lost = [one for one in np.unique(source.values).tolist() if one not in classes]
    if not lost:
        return None
    what = f"The class {_named(lost)} is"
    if len(lost) > 1:
        what = f"The classes {_named(lost)} are"
    return (
        f"{what} in held-out rows of '{source.name}' alone, so the model does not know "
        f"{'it' if len(lost) == 1 else 'them'}, and these rows count as wrong. Hold out others."
    )


def equal_rows(rows: Rows) -> float:
    """The share of rows that equal another in all features and in the target."""
    features = rows.inputs.shape[1]
    targets = rows.targets.reshape(len(rows.inputs), -1).double().nan_to_num(nan=_UNKNOWN)
    columns = features + targets.shape[1]
    weights = torch.rand(columns, generator=torch.Generator().manual_seed(0)).double()
    weights = weights.to(rows.inputs.device)
    sums = torch.cat([part.double() @ weights[:features] for part in rows.inputs.split(_BLOCK)])
    sums += targets @ weights[features:]
    _, counts = np.unique(sums.numpy(force=True), return_counts=True)
    return float(counts[counts > 1].sum() / len(sums))


def _tells(column: pa.ChunkedArray, target: np.ndarray, task: Task) -> bool:
    """Whether a column tells the target, given as numbers in its order, alone."""
    ordered = holds(column.type) is not None and column.null_count == 0
    cells = numbers("", column) if ordered else _codes(column)
    _, value = np.unique(cells, return_inverse=True)
    values, classes = int(value.max()) + 1, int(target.max()) + 1
    exceptions = int(_EXCEPTIONS * len(target))
    if values == 1 or _exceptions(value, target) > exceptions:
        return False
    if task == "regression":
        if values * _ROWS_A_LEVEL <= len(target):
            return True
        return ordered and abs(np.corrcoef(value, target)[0, 1]) > _ALIKE
    others = len(target) - int(np.bincount(target).max())
    if others < _FEWEST_OTHERS + 10 * exceptions:
        return False
    if values * _ROWS_A_LEVEL <= len(target):
        return True
    along = target[np.lexsort((target, value))]
    return ordered and int((np.diff(along) != 0).sum()) < classes + 2 * exceptions


def _exceptions(value: np.ndarray, target: np.ndarray) -> int:
    """How many rows have another target than most with the same value."""
    classes = int(target.max()) + 1
    pairs, counts = np.unique(value * classes + target, return_counts=True)
    most = np.zeros(int(value.max()) + 1, np.int64)
    np.maximum.at(most, pairs // classes, counts)
    return len(value) - int(most.sum())


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """A number for each text, and one for none."""
    coded = pc.dictionary_encode(text(column), null_encoding="encode")
    return coded.combine_chunks().indices.to_numpy()


def _named(names: Sequence[Any]) -> str:
    """The first of some columns or classes, and how many more there are."""
    named = ", ".join(f"'{one}'" for one in names[:_SHOWN])
    return named if len(names) <= _SHOWN else f"{named} and {len(names) - _SHOWN} more"
