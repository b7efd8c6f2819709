# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""A table with its target column: what `selfnorm fit` and `selfnorm evaluate` start from."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import ArgumentError, TableError
from selfnorm.tabular._read_targets import target_columns, target_numbers
from selfnorm.tabular._settings import OnError, Task
from selfnorm.tabular._together import labels_of, times_of
from selfnorm.tabular._weights import counting, row_weights
from selfnorm.tabular.data._cells import is_text, numbers, text
from selfnorm.tabular.data._datasets import target_of
from selfnorm.tabular.data._files import files_of
from selfnorm.tabular.data._provenance import provenance_of
from selfnorm.tabular.data._table import (
    TableFile,
    as_table,
    read_blocks,
    read_table,
    require_column,
)
from selfnorm.tabular.data._together import read_together
from selfnorm.tabular.data._words import without_own
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget, Several, listed
from selfnorm.tabular.encoding._target import (
    ClassTarget,
    Target,
    plain,
    target_values,
)

_FEWEST = 2  # rows to learn from
_NAMED = 3


@dataclass(frozen=True)
class Source:
    """A table split into the columns to learn from and the target.

    Attributes:
        table: The columns without the target, only rows whose target is known.
        values: The target of every row.
        name: The target's name.
        task: `classification` or `regression`.
        dropped: Number of rows left out as their target is missing.
        weights: How much each row counts, above 0; None if all count the same.
        weightless: Number of rows left out as their weight is 0.
        notes: What a user should know of how the target was understood.
        together: A label of every row; rows of one label stay together in every split. None if
            each row stands for itself.
        times: When each row is from, if rows are split by time.
        several: What the columns of `values` are, of shape (rows, columns); None if each row has
            one value.
    """

    table: pa.Table
    values: np.ndarray
    name: str
    task: Task
    dropped: int
    weights: np.ndarray | None = None
    weightless: int = 0
    notes: tuple[str, ...] = ()
    together: np.ndarray | None = None
    times: np.ndarray | None = None
    several: Several | None = None

    @property
    def strata(self) -> np.ndarray:
        """What rows are dealt evenly by, (rows,): their target, or what stands for several."""
        return self.values if self.several is None else self.several.strata(self.values)

    def single(self) -> Iterator["Source"]:
        """The same with one output at a time, of rows in which it is known; shares are classes."""
        if self.several is None:
            yield self
            return
        if self.several.kind == "shares":
            hard = np.asarray(self.several.names)[self.values.argmax(1)]
            yield replace(self, values=hard, several=None)
            return
        words = self.several.words or (None,) * len(self.several.names)
        each = zip(self.several.names, self.values.T, words, strict=True)
        for name, values, both in each:
            known = np.flatnonzero(~np.isnan(values))
            alone = replace(self, values=values, name=name, several=None)
            alone = alone if len(known) == len(values) else alone.take(known)
            if both is not None:
                alone = replace(alone, values=np.asarray(both)[alone.values.astype(np.int64)])
            yield alone

    def take(self, rows: np.ndarray) -> "Source":
        """The same with some of the rows."""
        each = {name: getattr(self, name) for name in ("weights", "together", "times")}
        taken = {name: None if one is None else one[rows] for name, one in each.items()}
        return replace(self, table=self.table.take(rows), values=self.values[rows], **taken)

    def counting(self) -> "Source":
        """The same without the rows that count for nothing; if all others count the same, so."""
        if self.weights is None:
            return self
        rows = counting(self.weights)
        found = self if len(rows) == len(self.values) else self.take(rows)
        same = len(np.unique(self.weights[rows])) == 1
        return replace(found, weights=None) if same else found


def read_source(
    source: Any,
    target: str | Collection[str] | None,
    *,
    task: Task | None = None,
    categories: Collection[str] = (),
    missing: Sequence[str] = (),
    sample_weight: str | None = None,
    on_error: OnError = "stop",
    group: str | None = None,
    split_by_time: str | None = None,
) -> Source:
    """Read a table to learn from; the task is told by the target unless it is given.

    Args:
        source: A CSV or Parquet file, the name of a built-in data set, or a table in memory.
        target: The target column, or several; a built-in data set has one of its own.
        task: `classification` or `regression`; None decides by the values.
        categories: Columns that are categories although they look like numbers. If the target is
            among them, its values are classes, told apart by their text.
        missing: Words for missing cells, besides those that are known.
        sample_weight: The column of how much each row counts, if there is one.
        on_error: What is done about a part that cannot be read.
        group: The column of which rows belong together, if there is one.
        split_by_time: The column of when each row is from, if rows are split by it.

    Raises:
        TableError: the table cannot be read, or has no such target, or none that can be learned.
    """
    table = without_own(_read(source, categories, on_error), missing)
    names = (target,) if isinstance(target, str) else tuple(target or ())
    if not names and isinstance(source, str | Path):
        names = tuple(filter(None, [target_of(str(source))]))
    if not names:
        listed = ", ".join(table.column_names[-8:])
        raise TableError(
            f"Training needs to know which column to predict; name it as the target. The last "
            f"columns of {name_of(source, quoted=True)} are: {listed}.",
            options=("--target",),
        )
    counts = table if sample_weight is None else _counting(table, sample_weight, names)
    known = (
        _with_one(counts, names[0], task, categories)
        if len(names) == 1
        else _with_several(counts, names, task, categories)
    )
    left, weights = known.table, None
    if sample_weight is not None:
        weights = numbers(sample_weight, left[sample_weight])
        left = left.drop_columns([sample_weight])
    left = left.drop_columns(list(names))
    times = None if split_by_time is None else times_of(split_by_time, left)
    together = None if group is None else labels_of(group, left)
    left = left if group is None else left.drop_columns([group])
    return replace(
        known,
        table=left,
        weights=weights,
        weightless=table.num_rows - counts.num_rows,
        times=times,
        together=together,
    ).counting()


def _with_one(table: pa.Table, name: str, task: Task | None, categories: Collection[str]) -> Source:
    """The rows whose target is known, all columns still among theirs."""
    known, dropped = with_target(table, name, least=_FEWEST, purpose="Learning")
    column, notes = plain(name, known[name]), ()
    if name in categories:
        column, task = text(column), task or "classification"
    elif is_text(column.type) and task != "classification":
        guessed = name in provenance_of(table).guessed
        try:
            told = target_numbers(name, column, guessed=guessed)
        except TableError:
            target_numbers(name, plain(name, table[name]), guessed=guessed)  # by rows of the table
            raise
        if told is not None:
            amounts, written, notes = told
            task = task or ("regression" if written else None)
            known, column = known.filter(pc.is_valid(amounts)), amounts.drop_null()
            dropped = table.num_rows - known.num_rows
    values, found = target_values(name, column, task)
    return Source(known, values, name, found, dropped, notes=notes)


def _with_several(
    table: pa.Table, names: Sequence[str], task: Task | None, categories: Collection[str]
) -> Source:
    """The same of several targets: rows in which one or more are known."""
    for name in names:
        _check_target(table, name)
    values, several, notes = target_columns(table, names, task, categories)
    rows = np.flatnonzero(~np.isnan(values).all(1))
    called = listed(names, _NAMED)
    if len(rows) < _FEWEST:
        raise unknown_target("Learning", called, len(rows), table.num_rows)
    found = "regression" if several.kind == "numbers" else "classification"
    known = table if len(rows) == table.num_rows else table.take(rows)
    dropped = table.num_rows - len(rows)
    return Source(known, values[rows], called, found, dropped, notes=notes, several=several)


def name_of(source: Any, *, quoted: bool = False) -> str:
    """What to call a table: its file's name, or what it is."""
    file = file_of(source)
    if file is None or not isinstance(file.path, str | Path):
        return "the table"
    return f"'{file.path}'" if quoted else Path(file.path).name


def file_of(source: Any) -> TableFile | None:
    """Where a table is that is in files, one or several; None of any other."""
    if isinstance(source, TableFile):
        return source
    if isinstance(source, str | Path):
        return TableFile(source)
    if isinstance(source, list | tuple):
        parts = cast("Sequence[object]", source)
        if parts and all(isinstance(part, str | Path) for part in parts):
            return TableFile(cast("Sequence[str | Path]", source))
    return None


def check_known(source: Source, target: Target) -> None:
    """Raise if rows to go on with are of another kind or class than those learned before.

    Raises:
        ArgumentError: then.
    """
    wide = isinstance(target, NumbersTarget | LabelsTarget)
    columns = target.outputs if wide or source.several is not None else 1
    shape = source.values.shape[1:] or (1,)
    if shape != (columns,) or (wide and source.several is None):
        raise ArgumentError(
            f"Rows to go on with have the target learned before, {columns} columns; y has "
            f"{shape[0]}. Give the same, or fit anew."
        )
    if not isinstance(target, ClassTarget) or source.several is not None:
        return
    unknown = source.values[~np.isin(source.values, target.classes)]
    if len(unknown):
        raise ArgumentError(
            "Rows to go on with are of the classes known from the first; y holds "
            f"{unknown.tolist()[0]!r}. Name all classes in the first call, or fit anew."
        )


def check_classes(validation: Source, target: Target) -> None:
    """Raise if a row to validate with is of a class that training rows have not.

    Raises:
        ArgumentError: then.
    """
    if not isinstance(target, ClassTarget) or validation.several is not None:
        return
    unknown = validation.values[~np.isin(validation.values, target.classes)]
    if len(unknown):
        raise ArgumentError(
            "Rows to validate with are of classes that training has; y_val holds "
            f"{unknown.tolist()[0]!r}, and y does not. Leave such rows out, or add some to X and y."
        )


def read_for(source: Any, target: Target, encoder: Encoder) -> pa.Table:
    """Read a table for a model: what the model takes as text is read as text of a file, too."""
    return without_own(_read(source, _texts(target, encoder), empty=True), encoder.missing)


class BlockPlace(NamedTuple):
    """How far a table was read.

    Attributes:
        file: Which of its files was read last, from 0.
        block: How many blocks of it.
    """

    file: int = 0
    block: int = 0


BEGIN = BlockPlace()


def placed_blocks_for(
    source: Any, target: Target, encoder: Encoder, done: BlockPlace = BEGIN
) -> Iterator[tuple[BlockPlace, pa.Table]]:
    """The same, some of the rows at a time, those of one file after those of another.

    It begins behind what was read before, and tells how far each block brings it. Files before that
    place are not opened; of its file the blocks before it are passed over.
    """
    file, texts = file_of(source), _texts(target, encoder)
    if file is None:
        yield BlockPlace(0, 1), without_own(as_table(source, empty=True), encoder.missing)
        return
    files = files_of(file.path) or (file.path,)
    for number, one in enumerate(files[done.file :], done.file):
        before = done.block if number == done.file else 0
        blocks = read_blocks(TableFile(one, file.encoding), text_columns=texts)
        for count, block in enumerate(islice(blocks, before, None), before + 1):
            yield BlockPlace(number, count), without_own(block, encoder.missing)


def in_its_file(source: Any, place: BlockPlace, error: TableError) -> TableError:
    """An error in a block of a table, with the name of its file where there are several."""
    file = file_of(source)
    files = None if file is None else files_of(file.path)
    if files is None or len(files) < 2:
        return error
    return TableError(f"'{files[place.file]}': {error}")


def _texts(target: Target, encoder: Encoder) -> list[str]:
    """Columns that a model takes as text."""
    names = [column.name for column in encoder.columns if column.reads_text]
    if isinstance(target, ClassTarget) and isinstance(target.classes[0], str):
        names.append(target.name)
    if isinstance(target, LabelsTarget):
        pairs = zip(target.names, target.words or (), strict=False)
        names += [name for name, both in pairs if isinstance(both[0], str)]
    return names


def _read(
    source: Any,
    text_columns: Collection[str],
    on_error: OnError = "stop",
    *,
    empty: bool = False,
) -> pa.Table:
    """A file, several, a built-in data set, or a table in memory; whether it may have no rows."""
    file = file_of(source)
    if file is None:
        return as_table(source, empty=empty)
    if (files := files_of(file.path)) is not None:
        return read_together(files, file.encoding, text_columns, on_error, empty=empty)
    return read_table(file, text_columns=text_columns, empty=empty)


def _counting(table: pa.Table, column: str, targets: Collection[str]) -> pa.Table:
    """The rows that count for something by a column of weights."""
    require_column(column, [name for name in table.column_names if name not in targets])
    weights = numbers(column, table[column], "numbers")
    return table.take(counting(row_weights(weights, table.num_rows, f"'{column}'")))


def with_target(table: pa.Table, name: str, *, least: int, purpose: str) -> tuple[pa.Table, int]:
    """The rows whose target is known, and how many are not."""
    _check_target(table, name)
    column = table[name]
    known = table.filter(pc.is_valid(column)) if column.null_count else table
    if known.num_rows < least:
        raise unknown_target(purpose, name, known.num_rows, table.num_rows)
    return known, table.num_rows - known.num_rows


def _check_target(table: pa.Table, name: str) -> None:
    if (reason := provenance_of(table).left_out.get(name)) is not None:
        raise TableError(
            f"A target is a column of its own, of numbers or classes; '{name}' is left out: "
            f"{reason}. Rename or convert it."
        )
    require_column(name, table.column_names)


def unknown_target(purpose: str, name: str, known: int, rows: int) -> TableError:
    """What to raise where too few rows have a target, or there are too few rows at all."""
    if known == rows:
        least = f"{_FEWEST} rows or more" if rows else "rows"
        return TableError(
            f"{purpose} needs {least} with a known target; there {'is 1' if rows else 'are none'}. "
            "Add rows."
        )
    where = "missing in the only row" if rows == 1 else f"known in {known} of {rows} rows"
    return TableError(f"{purpose} needs rows with a known target; '{name}' is {where}. Fill it in.")
