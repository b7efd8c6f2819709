"""A model's ONNX file: what it asks for, and how far its answers are what the model says."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from selfnorm import _extras
from selfnorm._files import write_file
from selfnorm.errors import ModelFolderError, SelfNormError, UnsupportedError
from selfnorm.tabular._forward import Networks
from selfnorm.tabular._model_file import Saved
from selfnorm.tabular._source import read_for
from selfnorm.tabular.data._cells import numbers, text
from selfnorm.tabular.data._table import require_rows
from selfnorm.tabular.encoding._category import CategoryColumn
from selfnorm.tabular.encoding._columns import Single
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget
from selfnorm.tabular.encoding._target import NumberTarget, Target
from selfnorm.tabular.export._rows import made_rows

TOLERANCE = 1e-5
"""Of a probability, or of a number in units of the target's deviation."""
_BLOCK = 1024  # rows: what an infinitely wide network makes of more is large
_MOST_ROWS = 8192  # of a table to check on
_LARGEST = 2**31 - 1  # bytes, of what protobuf writes


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        path: The file.
        inputs: What each input is, by its name; there is one for each column in use.
        read: Columns that the file takes as numbers already read: dates, times and amounts.
        checked: How many rows onnxruntime was asked about; 0 where it is not installed.
        difference: The largest from what the model says, of a probability, or of a number in units
            of the target's deviation.
    """

    path: Path
    inputs: dict[str, str]
    read: tuple[str, ...]
    checked: int
    difference: float


def export_onnx(
    saved: Saved, path: str | Path, table: Any = None, *, force: bool = False
) -> Exported:
    """Write a model as ONNX and ask onnxruntime, where it is installed, whether it says the same.

    Args:
        saved: The model.
        path: The file.
        table: Rows to compare on, a file or a table in memory; None makes some.
        force: Write over a file that is there.

    Raises:
        MissingPackageError: onnx is not installed.
        ModelFolderError: the file cannot be written, or would be larger than ONNX's files can be.
        SelfNormError: the file says something else than the model; it is not kept.
        TableError: the table cannot be read, or lacks a column.
        UnsupportedError: the model was fitted on a sparse table.
    """
    if saved.encoder.sparse is not None:
        raise UnsupportedError(
            "ONNX has no products with sparse rows; this model was fitted on a sparse table of "
            f"{saved.encoder.sparse.width:,} columns. Serve it by selfnorm.tabular.load_model."
        )
    path = Path(path)
    check_onnx_file(path, force=force)
    with _extras.told():
        from selfnorm.tabular.export._columns import asked_for, features_of  # noqa: PLC0415 - an extra
        from selfnorm.tabular.export._graph import Graph  # noqa: PLC0415
        from selfnorm.tabular.export._networks import add_networks  # noqa: PLC0415
    columns = cast("Sequence[Single]", saved.encoder.columns)
    rows = made_rows(saved.encoder) if table is None else _some(table, saved)
    graph = Graph({column.name for column in columns})
    parts = [features_of(graph, column, saved.encoder.missing) for column in columns]
    add_networks(graph, saved, graph.node("Concat", *parts, axis=1))
    asked = [asked_for(column) for column in columns]
    told = {one.column: one.told for one in asked}
    model = graph.model(json.dumps({"target": _named(saved.target), "inputs": told}))
    if model.ByteSize() > _LARGEST:
        raise ModelFolderError(
            f"An ONNX file is of 2 GiB at most; this model's takes {model.ByteSize():,} bytes. "
            "Leave its training rows out with --without-rows (in Python model.without_rows())."
        )
    content = model.SerializeToString()
    checked, difference = _compared(content, saved, rows)
    if difference > TOLERANCE:
        raise SelfNormError(
            f"An exported model must say what the model says within {TOLERANCE:g}; onnxruntime's "
            f"answer is {difference:.2g} away. Export a model with smaller weights, or report this."
        )
    try:
        write_file(path, content)
    except OSError as error:
        raise ModelFolderError(
            f"'{path}' cannot be written ({error.strerror or error}). Name another file."
        ) from error
    read = tuple(one.column for one in asked if one.read)
    return Exported(path, told, read, checked, difference)


def check_onnx_file(path: Path, *, force: bool) -> None:
    """Raise if a file cannot be written: another ending, no such folder, or a file that is there.

    Raises:
        ModelFolderError: any of these.
    """
    if path.suffix.lower() != ".onnx":
        raise ModelFolderError(
            f"An exported model is a file that ends in .onnx; '{path}' does not. Name another."
        )
    if not path.parent.is_dir():
        raise ModelFolderError(
            f"There is no folder '{path.parent}' to write to. Make it, or name another."
        )
    if path.is_dir() or (path.exists() and not force):
        raise ModelFolderError(
            f"'{path}' is there already. Name another file, or give --force (in Python force=True)."
        )


def inputs_of(encoder: Encoder, table: pa.Table) -> dict[str, np.ndarray]:
    """A table as an exported model takes it: an array a column, read as its encoder reads it."""
    found: dict[str, np.ndarray] = {}
    for column in encoder.columns:
        cells = table[column.name]
        if isinstance(column, CategoryColumn):
            known = [cell or "" for cell in text(cells).to_pylist()]
            found[column.name] = np.array(known, dtype=object)
        else:
            found[column.name] = numbers(column.name, cells, column.holds, column.written)
    return found


def _some(table: Any, saved: Saved) -> pa.Table:
    """Rows of a table to compare on, from all parts of it."""
    rows = read_for(table, saved.target, saved.encoder)
    saved.encoder.check(rows)
    require_rows(rows, "the table")
    some = np.unique(np.linspace(0, rows.num_rows - 1, _MOST_ROWS).astype(np.int64))
    return rows.take(some)


def _named(target: Target) -> str | tuple[str, ...]:
    """The target's name, or what each of several outputs is of."""
    if isinstance(target, LabelsTarget):
        return target.called
    return target.names if isinstance(target, NumbersTarget) else target.name


def _units(target: Target) -> np.ndarray:
    """What a difference of numbers is measured in: deviations, (outputs,) or ()."""
    if isinstance(target, NumbersTarget):
        return np.asarray(target.deviations)
    return np.asarray(target.deviation if isinstance(target, NumberTarget) else 1.0)


def _compared(content: bytes, saved: Saved, table: pa.Table) -> tuple[int, float]:
    """How many rows onnxruntime was asked about, and the largest difference."""
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        return 0, 0.0
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    told, networks = saved.target, Networks(saved)
    worst = 0.0
    for at in range(0, table.num_rows, _BLOCK):
        rows = table.slice(at, _BLOCK)
        found = np.asarray(session.run(None, inputs_of(saved.encoder, rows))[-1])
        expected = told.decode(networks(saved.encoder.transform(rows)))
        if expected.probabilities is not None:
            difference = found - expected.probabilities
        else:
            difference = (found - expected.values) / _units(told)
        worst = max(worst, float(np.abs(difference).max(initial=0.0)))
    return table.num_rows, worst if np.isfinite(worst) else np.inf
