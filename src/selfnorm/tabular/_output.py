"""Predictions and observations out: as a table, in a CSV or Parquet file."""

import io
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from selfnorm._files import write_file
from selfnorm.errors import TableError
from selfnorm.recording import Observation
from selfnorm.tabular.encoding._target import ClassTarget, Prediction, Target


def prediction_table(target: Target, prediction: Prediction) -> pa.Table:
    """A row for every row: the target's name, and for classes `probability_CLASS` of each."""
    columns = {target.name: prediction.values}
    if isinstance(target, ClassTarget) and prediction.probabilities is not None:
        for at, one in enumerate(target.classes):
            name = f"probability_{one}"
            columns[name if name != target.name else f"{name}_"] = prediction.probabilities[:, at]
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def check_prediction_file(path: str | Path, *, force: bool) -> None:
    """Raise if a file cannot be written: another ending, no such folder, or a file that is there.

    Raises:
        TableError: any of these.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise TableError(
            f"Predictions are written as .csv or .parquet; '{path}' ends in '{path.suffix}'. Name "
            "another file."
        )
    if not path.parent.is_dir():
        raise TableError(
            f"There is no folder '{path.parent}' to write to. Make it, or name another."
        )
    if path.is_dir():
        raise TableError(f"Predictions go into a file; '{path}' is a folder. Name a file.")
    if path.exists() and not force:
        raise TableError(
            f"'{path}' is there already. Name another file, or give --force to write over it."
        )


def write_predictions(table: pa.Table, path: str | Path) -> None:
    """Write predictions in the format of the path's ending, whole or not at all."""
    path = Path(path)
    if path.suffix.lower() == ".csv":
        write_file(path, csv_bytes(table))
        return
    content = io.BytesIO()
    pq.write_table(table, content)
    write_file(path, content.getvalue())


def csv_bytes(table: pa.Table) -> bytes:
    """A table as UTF-8 CSV with a header."""
    content = io.BytesIO()
    pacsv.write_csv(table, content)
    return content.getvalue()


def observation_table(observed: Sequence[Observation]) -> pa.Table:
    """What was observed of a training, one row a layer and step; missing where there is none."""
    rows = [asdict(record) for record in observed]
    for row in rows:
        row |= {k: None for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)}
    return pa.Table.from_pylist(rows)
