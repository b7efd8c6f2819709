"""What a model makes of a table: importances, dependence, and what a row's columns add."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from selfnorm.errors import ArgumentError
from selfnorm.tabular._model import TabularModel
from selfnorm.tabular._truths import read_truth
from selfnorm.tabular.encoding._target import ClassTarget, Prediction
from selfnorm.tabular.explaining._contributions import Contributions, contributions
from selfnorm.tabular.explaining._dependence import Dependence, cell, dependence
from selfnorm.tabular.explaining._importance import Importance, features_of, importances
from selfnorm.tabular.explaining._said import (
    Loss,
    from_itself,
    from_truth,
    numbers_of,
    outputs_of,
    said,
)

_ROWS = 500
_REPEATS = 3
_DEPENDED_ON = 4  # columns


@dataclass(frozen=True)
class OfRow:
    """What the columns of one row add to its prediction.

    Attributes:
        row: Its number, from 1.
        told: What is predicted.
        output: What it is a contribution to: the probability of a class, or the number.
        cells: The row's cells, by column.
        contributions: What each column adds.
    """

    row: int
    told: str
    output: str
    cells: Mapping[str, str]
    contributions: Contributions


@dataclass(frozen=True)
class Explanation:
    """What a model makes of a table.

    Attributes:
        rows: How many rows were looked at, evenly taken from the table.
        measure: By what importances are told.
        importances: Columns, the most important first.
        dependences: How predictions go with the first of them.
        outputs: What is predicted, for each output of a dependence.
        row: What the columns of one row add; None if none was asked for.
        notes: What a user should know of the table.
    """

    rows: int
    measure: str
    importances: tuple[Importance, ...]
    dependences: tuple[Dependence, ...]
    outputs: tuple[str, ...]
    row: OfRow | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        found: dict[str, Any] = {
            "rows": self.rows,
            "measure": self.measure,
            "importances": [asdict(one) for one in self.importances],
            "dependences": [
                {
                    "column": one.column,
                    "values": list(one.cells),
                    "outputs": dict(zip(self.outputs, one.means.T.tolist(), strict=True)),
                }
                for one in self.dependences
            ],
            "notes": list(self.notes),
        }
        if self.row is not None:
            own = {name: value for name, value in vars(self.row).items() if name != "contributions"}
            found["row"] = {**own, **asdict(self.row.contributions)}
        return found


def explain(model: TabularModel, source: Any, row: int | None = None) -> Explanation:
    """Look at what a model makes of a table, by up to 500 of its rows.

    Importances are told by what is lost if a column is shuffled; where the table has no target, by
    how far predictions move.

    Args:
        model: The model.
        source: A file, or a table in memory; with the target, if that is known.
        row: The number of a row, from 1, whose columns' contributions are wanted.

    Raises:
        ArgumentError: there is no such row.
        TableError: as `TabularModel.predict`.
    """
    table = model.read(source)
    if row is not None and not 1 <= row <= table.num_rows:
        raise ArgumentError(
            f"A row is one of the table's, from 1 to {table.num_rows:,}; {row} came. Name another."
        )
    truth = None
    target, encoder = model.target, model.encoder
    rows = table
    if target.name in table.column_names and table[target.name].null_count < table.num_rows:
        found = read_truth(table, target, encoder)
        rows, truth = found.table, found.values
        known = np.isin(truth, target.classes) if isinstance(target, ClassTarget) else None
        if known is not None and not known.all():
            rows, truth = rows.filter(pa.array(known)), truth[known]
    some = np.linspace(0, rows.num_rows - 1, min(rows.num_rows, _ROWS)).round().astype(np.int64)
    rows = rows.take(some)
    matrix, features = encoder.transform(rows), features_of(encoder)
    told = said(model, matrix)
    loss, measure = _loss(model, told, None if truth is None else truth[some])
    ordered = importances(
        lambda changed: loss(said(model, changed)),
        matrix,
        features,
        columns=list(features),
        repeats=_REPEATS,
    )
    columns = {column.name: column for column in encoder.columns}
    dependences = (
        dependence(
            lambda changed: numbers_of(said(model, changed)),
            matrix,
            rows,
            columns[one.column],
            features[one.column],
        )
        for one in ordered[:_DEPENDED_ON]
    )
    return Explanation(
        len(some),
        measure,
        ordered,
        tuple(one for one in dependences if one is not None),
        outputs_of(target),
        None if row is None else _of_row(model, table, row, matrix),
        model.notes(table),
    )


def _loss(model: TabularModel, told: Prediction, truth: np.ndarray | None) -> tuple[Loss, str]:
    """What importances are told by, and what that is called."""
    classes = model.target.task == "classification"
    if truth is not None:
        return from_truth(model.target, truth), "log loss" if classes else "RMSE"
    what = "probability" if classes else "prediction"
    return from_itself(model.target, told), f"change of the {what}, as the target is not known"


def _of_row(model: TabularModel, table: pa.Table, row: int, others: np.ndarray) -> OfRow:
    own = table.slice(row - 1, 1)
    encoded = model.encoder.transform(own)
    told = said(model, encoded)
    output = int(numbers_of(told)[0].argmax())
    found = contributions(
        lambda rows: numbers_of(said(model, rows))[:, output],
        encoded[0],
        others,
        features_of(model.encoder),
    )
    cells = {column.name: cell(own, column.name, 0) for column in model.encoder.columns}
    return OfRow(row, str(told.values[0]), outputs_of(model.target)[output], cells, found)
