# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""Tables to measure a model on: the columns that it knows, and what is true of each row."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from selfnorm.errors import TableError
from selfnorm.tabular._read_targets import label_values, target_numbers
from selfnorm.tabular._source import (
    BEGIN,
    BlockPlace,
    Source,
    in_its_file,
    placed_blocks_for,
    read_for,
    unknown_target,
    with_target,
)
from selfnorm.tabular.data._cells import is_text, numbers, text
from selfnorm.tabular.data._provenance import provenance_of, with_provenance
from selfnorm.tabular.data._table import behind, require_column
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget, Several
from selfnorm.tabular.encoding._target import ClassTarget, Target, class_values, plain, squarable


def truths_for(
    source: Any, target: Target, encoder: Encoder, done: BlockPlace = BEGIN, looked: int = 0
) -> Iterator[tuple[BlockPlace, Source]]:
    """A table to measure a model on, some of the rows at a time: its columns and its target.

    Rows whose target is not known are left out.

    Args:
        source: The table.
        target: The model's.
        encoder: Who knows its columns.
        done: How far it is measured already.
        looked: How many rows that was.

    Yields:
        How far each block brings the table, and its rows.

    Raises:
        TableError: the table cannot be read, has no such target, or one of another kind.
    """
    if isinstance(target, NumbersTarget | LabelsTarget):
        return iter([(BEGIN, _truth_of_several(read_for(source, target, encoder), target))])
    return _truths(source, placed_blocks_for(source, target, encoder, done), target, looked)


def read_truth(source: Any, target: Target, encoder: Encoder) -> Source:
    """The same table as a whole.

    Raises:
        TableError: as above, or no row has a target that the model knows.
    """
    table = read_for(source, target, encoder)
    if isinstance(target, NumbersTarget | LabelsTarget):
        return _truth_of_several(table, target)
    require_column(target.name, table.column_names)
    truth = _truth(table, target)
    several = isinstance(target, ClassTarget)
    strange = several and not np.isin(truth.values, target.classes).any()
    require_known(
        target, len(truth.values), table.num_rows, truth.values[:1].tolist() if strange else []
    )
    return truth


def require_known(target: Target, known: int, rows: int, strange: Sequence[Any]) -> None:
    """Raise unless there are rows to measure a model on.

    Args:
        target: The model's.
        known: How many rows have a target.
        rows: How many there are.
        strange: Their classes, where the model knows none of them.

    Raises:
        TableError: no row has a target, or none that the model knows.
    """
    if not known:
        raise unknown_target("Measuring", target.name, 0, rows)
    if strange and isinstance(target, ClassTarget):
        raise _strange(strange, target)


def _truths(
    source: Any,
    tables: Iterator[tuple[BlockPlace, pa.Table]],
    target: Target,
    rows: int,
) -> Iterator[tuple[BlockPlace, Source]]:
    for place, table in _with_one_kind(tables, target):
        try:
            truth = _truth(table, target)
        except TableError as error:
            raise behind(rows, in_its_file(source, place, error)) from error
        rows += table.num_rows
        yield place, truth


def _with_one_kind(
    tables: Iterator[tuple[BlockPlace, pa.Table]], target: Target
) -> Iterator[tuple[BlockPlace, pa.Table]]:
    """The same tables; one of all, where numbers to predict are text: all tell how it is read."""
    if (head := next(tables, None)) is None:  # all is measured already
        return
    place, first = head
    require_column(target.name, first.column_names)
    if isinstance(target, ClassTarget) or not is_text(first[target.name].type):
        yield head
        yield from tables
        return
    known, others = provenance_of(first), list(tables)
    each = [first, *(table for _, table in others)]
    together = pa.concat_tables(each, promote_options="permissive")
    yield others[-1][0] if others else place, with_provenance(together, known)


def _truth(table: pa.Table, target: Target) -> Source:
    known, dropped = with_target(table, target.name, least=0, purpose="Measuring")
    if not known.num_rows:
        return Source(known, np.zeros(0), target.name, target.task, dropped)
    column = plain(target.name, known[target.name])
    if isinstance(target, ClassTarget):
        values = _labels(column, target)
    else:
        told = target_numbers(target.name, column, guessed=True) if is_text(column.type) else None
        values = squarable(target.name, numbers(target.name, told[0] if told else column))
        known, values = known.filter(pa.array(~np.isnan(values))), values[~np.isnan(values)]
    return Source(known.drop_columns([target.name]), values, target.name, target.task, dropped)


def _truth_of_several(table: pa.Table, target: NumbersTarget | LabelsTarget) -> Source:
    """The same of several outputs: rows in which one or more are known."""
    for name in target.names:
        require_column(name, table.column_names)
    values = np.column_stack([_output(name, table[name], target) for name in target.names])
    kind = "labels" if isinstance(target, LabelsTarget) else "numbers"
    if kind == "labels" and not np.isin(values[~np.isnan(values)], (0, 1)).all():
        raise TableError(
            "Labels are 1 or 0, or empty where unknown; others came. Write 1 for each that a row "
            "has, and 0 for each that it has not."
        )
    rows = np.flatnonzero(~np.isnan(values).all(1))
    if not len(rows):
        raise TableError(
            f"Measuring needs rows with a known target; {', '.join(target.names[:5])} are empty "
            f"in all {table.num_rows:,} rows. Fill them in."
        )
    left = table.drop_columns(list(target.names)).take(rows)
    words = target.words if isinstance(target, LabelsTarget) else None
    gone, several = table.num_rows - len(rows), Several(kind, target.names, words)
    return Source(left, values[rows], target.name, target.task, gone, several=several)


def _output(name: str, cells: pa.ChunkedArray, target: NumbersTarget | LabelsTarget) -> np.ndarray:
    """One of several outputs, nan where it is missing; a label is 1 or 0."""
    column = plain(name, cells)
    if isinstance(target, LabelsTarget) and target.words is not None:
        return label_values(name, column, target.words[target.names.index(name)])
    told = None
    if isinstance(target, NumbersTarget) and is_text(column.type):
        told = target_numbers(name, column, guessed=True)
    return squarable(name, numbers(name, told[0] if told else column))


def _labels(column: pa.ChunkedArray, target: ClassTarget) -> np.ndarray:
    """Class labels of the model's own kind: text, booleans or numbers; `True` is not 1."""
    classes = np.asarray(target.classes)
    if classes.dtype.kind == "U" and pa.types.is_integer(column.type):
        column = text(column)  # as `categories` had it read
    values = class_values(column)
    if _kind(values) != _kind(classes):
        raise _strange(values, target)
    return values


def _strange(values: Sequence[Any] | np.ndarray, target: ClassTarget) -> TableError:
    listed = ", ".join(map(str, target.classes[:5]))
    return TableError(
        f"'{target.name}' must hold classes that the model knows ({listed}); it holds "
        f"'{values[0]}' and no known one. Check that it is the same target."
    )


def _kind(labels: np.ndarray) -> str:
    return {"U": "text", "b": "booleans"}.get(labels.dtype.kind, "numbers")
