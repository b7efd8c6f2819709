# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""What the target columns of a table are: numbers, also as text, or labels of two values each."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import TableError
from selfnorm.tabular._settings import Task
from selfnorm.tabular.data._cells import decoded, is_text, numbers, plain_numbers, text
from selfnorm.tabular.data._provenance import provenance_of
from selfnorm.tabular.data._words import without_nulls
from selfnorm.tabular.encoding._several import Several, Words, in_order
from selfnorm.tabular.encoding._target import plain, squarable
from selfnorm.tabular.encoding._understand import understand

_FEW = 20  # different values, which can be classes


class TargetColumns(NamedTuple):
    """Several columns of a target.

    Attributes:
        values: (rows, columns), nan where a cell is missing; of labels 1 and 0.
        several: What they are.
        notes: What a user should know of how they were understood.
    """

    values: np.ndarray
    several: Several
    notes: tuple[str, ...]


class _Column(NamedTuple):
    """One of them: what it may be learned as, and whether its cells leave that open."""

    name: str
    cells: pa.ChunkedArray
    values: np.ndarray | None  # as numbers
    words: Words | None  # as a label
    notes: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it is a number that is no label."""
        return self.values is not None and set(self.words or ()) != {0, 1}


def target_numbers(
    name: str, column: pa.ChunkedArray, *, guessed: bool
) -> tuple[pa.ChunkedArray, str | None, tuple[str, ...]] | None:
    """The numbers of a target that is text, how it writes them, and what a user should know.

    None if it holds classes.

    Raises:
        TableError: some cells are no numbers where all others are.
    """
    found, distinct = understand(name, column, guessed=guessed), pc.count_distinct(column).as_py()
    if guessed and found.holds is None and distinct > len(column) / 2:
        as_numbers = plain_numbers(text(column))  # too many for codes, though one begins with 0
        lost = as_numbers.null_count > column.null_count
        return None if lost else (as_numbers, None, ())
    if found.holds != "numbers" or (found.slip is not None and distinct <= _FEW):
        return None
    try:
        values = pa.array(numbers(name, column, "numbers", found.written), from_pandas=True)
    except TableError as error:
        raise TableError(str(error), options=("--missing WORD",)) from error
    told = tuple(remark.text for remark in found.remarks)
    return pa.chunked_array([values]), found.written, told


def target_columns(
    table: pa.Table, names: Sequence[str], task: Task | None, categories: Collection[str] = ()
) -> TargetColumns:
    """Several columns as one target: all are numbers, or each is a label of two values.

    Text of two values, booleans, and the numbers 0 and 1 are labels; other numbers, and text that
    writes some, are numbers.

    Args:
        table: The table.
        names: The columns.
        task: `classification` for labels, `regression` for numbers; None decides by the cells.
        categories: Columns whose values are told apart by their text.

    Raises:
        TableError: they are neither, or one is missing in all rows or has one value.
    """
    guessed = provenance_of(table).guessed
    found = [
        _column(name, table[name], task, category=name in categories, guessed=name in guessed)
        for name in names
    ]
    notes = tuple(note for one in found for note in one.notes)
    if task is None:
        task = _task(found)
    if task == "regression":
        each = [squarable(one.name, _numbers(one)) for one in found]
        return TargetColumns(np.column_stack(each), Several("numbers", tuple(names)), notes)
    words = tuple(_words(one) for one in found)
    labels = [
        label_values(one.name, one.cells, pair) for one, pair in zip(found, words, strict=True)
    ]
    return TargetColumns(np.column_stack(labels), Several("labels", tuple(names), words), notes)


def label_values(name: str, column: pa.ChunkedArray, words: Words) -> np.ndarray:
    """A label's cells as 0 and 1, nan where one is missing.

    Args:
        name: Its name.
        column: The cells, of any type that writes the words.
        words: What stands for 0, and what for 1.

    Raises:
        TableError: a cell holds something else.
    """
    cells = without_nulls(text(column))
    known = cells.is_valid().to_numpy()
    codes = pc.index_in(cells, value_set=pa.array(list(map(_as_text, words)), cells.type))
    values = codes.cast(pa.float64()).fill_null(float("nan")).to_numpy()
    lost = known & np.isnan(values)
    if lost.any():
        row = int(lost.argmax())
        raise TableError(
            f"'{name}' is a label, {_as_text(words[0])} or {_as_text(words[1])}; row {row + 1} "
            f"holds {str(cells[row])[:80]!r}. Mend the cell, or leave it empty if it is unknown."
        )
    return values


def _column(
    name: str, column: pa.ChunkedArray, task: Task | None, *, category: bool, guessed: bool
) -> _Column:
    """What a column may be.

    Raises:
        TableError: it holds dates or the like, no value, or one value alone.
    """
    column = plain(name, column)
    cells = text(column) if category else column
    if not is_text(cells.type):
        values = numbers(name, cells)
        known = values[~np.isnan(values)]
        _check_values(name, len(known), len(np.unique(known)), cells)
        return _Column(name, cells, values, _pair(decoded(cells)))
    cells = without_nulls(text(cells))
    distinct = pc.unique(cells.drop_null())
    _check_values(name, len(cells) - cells.null_count, len(distinct), cells)
    told = None
    if not category and task != "classification":
        told = target_numbers(name, cells, guessed=guessed)
    if told is None:
        return _Column(name, cells, None, _pair(cells))
    values = told[0].to_numpy().astype(np.float64)
    return _Column(name, pa.chunked_array([pa.array(values)]), values, None, told[2])


def _check_values(name: str, known: int, distinct: int, cells: pa.ChunkedArray) -> None:
    if not known:
        raise TableError(
            f"Each target is known in some rows; '{name}' is missing in all {len(cells):,}. Leave "
            "it out."
        )
    if distinct < 2:
        raise TableError(
            f"A target needs two values or more; '{name}' is '{cells.drop_null()[0]}' in all "
            f"{known:,} rows in which it is known. Leave it out, or add rows."
        )


def _pair(cells: pa.ChunkedArray) -> Words | None:
    """The two values of a column; None if there are more."""
    distinct = pc.unique(cells.drop_null())
    if len(distinct) != 2:
        return None
    values = distinct.to_pylist()
    if isinstance(values[0], float) and all(one.is_integer() for one in values):
        values = list(map(int, values))
    return in_order(values)


def _task(found: Sequence[_Column]) -> Task:
    """What columns are together.

    Raises:
        TableError: some are numbers, some are labels, or one has more classes.
    """
    numbered = [one for one in found if one.is_plain]
    labels = [one for one in found if not one.is_plain]
    for one in labels:
        _words(one)
    if numbered and labels:
        asked = all(one.values is not None for one in labels)
        raise TableError(
            "Several targets are all numbers, or all labels of two values; "
            f"'{numbered[0].name}' holds numbers, and '{labels[0].name}' holds "
            f"{' and '.join(_shown(labels[0].words))}. "
            + ("Fit them apart, or take all as numbers." if asked else "Fit them apart."),
            options=("--task regression",) if asked else (),
        )
    return "regression" if numbered else "classification"


def _numbers(one: _Column) -> np.ndarray:
    return numbers(one.name, one.cells) if one.values is None else one.values


def _words(one: _Column) -> Words:
    if one.words is None:
        raise _many_classes(one)
    return one.words


def _many_classes(one: _Column) -> TableError:
    count = pc.count_distinct(one.cells).as_py()
    return TableError(
        "Several targets are all numbers, or labels of two values each; "
        f"'{one.name}' has {count:,} classes. Fit it alone."
    )


def _shown(words: Words | None) -> tuple[str, ...]:
    return tuple(map(_as_text, words or ()))


def _as_text(word: Any) -> str:
    """A value as a table's text has it."""
    return str(word).lower() if isinstance(word, bool) else str(word)
