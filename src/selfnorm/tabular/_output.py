"""Predictions and observations out: as a table, in a CSV or Parquet file."""

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from selfnorm._files import appearing
from selfnorm.errors import SelfNormError, TableError
from selfnorm.recording import Observation
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget
from selfnorm.tabular.encoding._target import ClassTarget, Prediction, Target


def prediction_table(target: Target, prediction: Prediction) -> pa.Table:
    """A row for every row: the target's name, and for classes `probability_CLASS` of each.

    Of several outputs a column for each, and of labels `probability_LABEL` behind them.
    """
    if isinstance(target, NumbersTarget | LabelsTarget):
        return _several_table(target, prediction)
    columns = {target.name: prediction.values}
    if isinstance(target, ClassTarget) and prediction.probabilities is not None:
        _add_probabilities(columns, target.classes, prediction.probabilities)
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def _several_table(target: NumbersTarget | LabelsTarget, prediction: Prediction) -> pa.Table:
    labels = isinstance(target, LabelsTarget)
    each = target.in_words(prediction.values) if labels else prediction.values.T
    columns = dict(zip(target.names, each, strict=True))
    if labels and prediction.probabilities is not None:
        _add_probabilities(columns, target.called, prediction.probabilities)
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def _add_probabilities(
    columns: dict[str, np.ndarray], called: Sequence[Any], probabilities: np.ndarray
) -> None:
    """Add a column for each, under a name that no other has."""
    for one, values in zip(called, probabilities.T, strict=True):
        name = f"probability_{one}"
        while name in columns:
            name += "_"
        columns[name] = values


def check_finite(prediction: Prediction) -> None:
    """Raise if a row has no prediction: nan or infinity would pass for one.

    Raises:
        SelfNormError: then.
    """
    numbers = prediction.probabilities
    numbers = prediction.values if numbers is None else numbers
    numbers = numbers[:, None] if numbers.ndim == 1 else numbers
    lost = np.flatnonzero(~np.isfinite(numbers).all(1))
    if len(lost):
        raise SelfNormError(
            f"A prediction must be finite; in {len(lost):,} of {len(numbers):,} rows it is not, "
            f"first in row {int(lost[0]) + 1}. The model's weights are too large: fit it again, "
            "with a smaller learning rate."
        )


def check_prediction_file(path: str | Path, *, force: bool) -> None:
    """Raise if a file cannot be written: another ending, no such folder, or a file that is there.

    Raises:
        TableError: any of these.
    """
    _check_file("Predictions are", Path(path), (".csv", ".parquet"), force=force)


def check_page_file(path: str | Path, *, force: bool) -> None:
    """The same of a page, which is written as `.html`.

    Raises:
        TableError: as `check_prediction_file`.
    """
    _check_file("A page is", Path(path), (".html", ".htm"), force=force)


def _check_file(what: str, path: Path, endings: tuple[str, str], *, force: bool) -> None:
    if path.suffix.lower() not in endings:
        raise TableError(
            f"{what} written as {' or '.join(endings)}; '{path}' ends in '{path.suffix}'. Name "
            "another file."
        )
    if not path.parent.is_dir():
        raise TableError(
            f"There is no folder '{path.parent}' to write to. Make it, or name another."
        )
    if path.is_dir():
        raise TableError(f"{what} written into a file; '{path}' is a folder. Name a file.")
    if path.exists() and not force:
        raise TableError(
            f"'{path}' is there already. Name another file, or give --force to write over it."
        )


def write_predictions(tables: pa.Table | Iterable[pa.Table], path: str | Path) -> int:
    """Write predictions in the format of the path's ending, whole or not at all.

    Args:
        tables: The table, or blocks of its rows, of one schema.
        path: The file, `.csv` or `.parquet`.

    Returns:
        The number of rows.
    """
    blocks: Iterator[pa.Table] = iter([tables] if isinstance(tables, pa.Table) else tables)
    first, rows = next(blocks), 0
    writer = pacsv.CSVWriter if Path(path).suffix.lower() == ".csv" else pq.ParquetWriter
    with appearing(Path(path)) as file, writer(file, first.schema) as out:
        for block in chain([first], blocks):
            out.write_table(block)
            rows += block.num_rows
    return rows


def csv_bytes(table: pa.Table, *, header: bool = True) -> bytes:
    """A table as UTF-8 CSV, with a header unless it goes on with what has one."""
    content = io.BytesIO()
    pacsv.write_csv(table, content, pacsv.WriteOptions(include_header=header))
    return content.getvalue()


def observation_table(observed: Sequence[Observation]) -> pa.Table:
    """What was observed of a training, one row a layer and step; missing where there is none."""
    rows = [asdict(record) for record in observed]
    for row in rows:
        row |= {k: None for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)}
    return pa.Table.from_pylist(rows)
