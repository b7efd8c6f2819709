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
from selfnorm.tabular._settings import OnError, Task
from selfnorm.tabular._together import labels_of, times_of
from selfnorm.tabular._weights import counting, row_weights
from selfnorm.tabular.data._cells import is_text, numbers, plain_numbers, text
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
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget, Several
from selfnorm.tabular.encoding._target import (
    ClassTarget,
    Target,
    plain,
    target_values,
)
from selfnorm.tabular.encoding._understand import understand

_FEW = 20  # different values, which can be classes


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
        for name, values in zip(self.several.names, self.values.T, strict=True):
            known = np.flatnonzero(~np.isnan(values))
            alone = replace(self, values=values, name=name, several=None)
            yield alone if len(known) == len(values) else alone.take(known)

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
    target: str | None,
    *,
    task: Task | None = None,
    categories: Collection[str] = (),
    sample_weight: str | None = None,
    on_error: OnError = "stop",
    group: str | None = None,
    split_by_time: str | None = None,
) -> Source:
    """Read a table to learn from; the task is told by the target unless it is given.

    Args:
        source: A CSV or Parquet file, the name of a built-in data set, or a table in memory.
        target: The target column; a built-in data set has one of its own.
        task: `classification` or `regression`; None decides by the values.
        categories: Columns that are categories although they look like numbers. If the target is
            among them, its values are classes, told apart by their text.
        sample_weight: The column of how much each row counts, if there is one.
        on_error: What is done about a part that cannot be read.
        group: The column of which rows belong together, if there is one.
        split_by_time: The column of when each row is from, if rows are split by it.

    Raises:
        TableError: the table cannot be read, or has no such target, or none that can be learned.
    """
    table = _read(source, categories, on_error)
    name = target or target_of(str(source)) if isinstance(source, str | Path) else target
    if name is None:
        listed = ", ".join(table.column_names[-8:])
        raise TableError(
            f"Training needs to know which column to predict; name it as the target. The last "
            f"columns of {name_of(source, quoted=True)} are: {listed}.",
            options=("--target",),
        )
    counts = table if sample_weight is None else _counting(table, sample_weight, name)
    known, dropped = with_target(counts, name, least=2, purpose="Learning")
    column, notes = plain(name, known[name]), ()
    if name in categories:
        column, task = text(column), task or "classification"
    elif is_text(column.type) and task != "classification":
        guessed = name in provenance_of(table).guessed
        if (told := target_numbers(name, column, guessed=guessed)) is not None:
            amounts, written, notes = told
            task = task or ("regression" if written else None)
            known, column = known.filter(pc.is_valid(amounts)), amounts.drop_null()
            dropped = counts.num_rows - known.num_rows
    values, found = target_values(name, column, task)
    weights = None
    if sample_weight is not None:
        weights = numbers(sample_weight, known[sample_weight])
        known = known.drop_columns([sample_weight])
    gone = table.num_rows - counts.num_rows
    known = known.drop_columns([name])
    times = None if split_by_time is None else times_of(split_by_time, known)
    together = None if group is None else labels_of(group, known)
    left = known if group is None else known.drop_columns([group])
    return Source(
        left, values, name, found, dropped, weights, gone, notes, together, times
    ).counting()


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
        return None if as_numbers.null_count else (as_numbers, None, ())
    if found.holds != "numbers" or (found.slip is not None and distinct <= _FEW):
        return None
    values = pa.array(numbers(name, column, "numbers", found.written), from_pandas=True)
    told = tuple(remark.text for remark in found.remarks)
    return pa.chunked_array([values]), found.written, told


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
    return _read(source, _texts(target, encoder))


def blocks_for(source: Any, target: Target, encoder: Encoder) -> Iterator[pa.Table]:
    """The same, some of the rows at a time, those of one file after those of another."""
    return (table for _, table in placed_blocks_for(source, target, encoder))


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
    """The same behind what was read before, and how far each block brings it.

    Files before that place are not opened; of its file the blocks before it are passed over.
    """
    file, texts = file_of(source), _texts(target, encoder)
    if file is None:
        yield BlockPlace(0, 1), as_table(source)
        return
    files = files_of(file.path) or (file.path,)
    for number, one in enumerate(files[done.file :], done.file):
        before = done.block if number == done.file else 0
        blocks = read_blocks(TableFile(one, file.encoding), text_columns=texts)
        for count, block in enumerate(islice(blocks, before, None), before + 1):
            yield BlockPlace(number, count), block


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
    return names


def _read(source: Any, text_columns: Collection[str], on_error: OnError = "stop") -> pa.Table:
    """A file, several, a built-in data set, or a table in memory."""
    file = file_of(source)
    if file is None:
        return as_table(source)
    if (files := files_of(file.path)) is not None:
        return read_together(files, file.encoding, text_columns, on_error)
    return read_table(file, text_columns=text_columns)


def _counting(table: pa.Table, column: str, target: str) -> pa.Table:
    """The rows that count for something by a column of weights."""
    require_column(column, [name for name in table.column_names if name != target])
    weights = numbers(column, table[column], "numbers")
    return table.take(counting(row_weights(weights, table.num_rows, f"'{column}'")))


def with_target(table: pa.Table, name: str, *, least: int, purpose: str) -> tuple[pa.Table, int]:
    """The rows whose target is known, and how many are not."""
    if (reason := provenance_of(table).left_out.get(name)) is not None:
        raise TableError(
            f"A target is a column of its own, of numbers or classes; '{name}' is left out: "
            f"{reason}. Rename or convert it."
        )
    require_column(name, table.column_names)
    column = table[name]
    known = table.filter(pc.is_valid(column)) if column.null_count else table
    if known.num_rows < least:
        raise unknown_target(purpose, name, known.num_rows, table.num_rows)
    return known, table.num_rows - known.num_rows


def unknown_target(purpose: str, name: str, known: int, rows: int) -> TableError:
    return TableError(
        f"{purpose} needs rows with a known target; '{name}' is known in {known} of {rows} rows. "
        "Fill it in."
    )
