"""What a model makes of a table: importances, dependence, and what a row's columns add."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from selfnorm.errors import ArgumentError
from selfnorm.report._numbers import digits
from selfnorm.tabular._model import TabularModel
from selfnorm.tabular._output import prediction_table
from selfnorm.tabular._truths import read_truth
from selfnorm.tabular.data._table import require_rows
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget
from selfnorm.tabular.encoding._target import ClassTarget, Prediction, Target
from selfnorm.tabular.encoding._targets import columns_of
from selfnorm.tabular.explaining._contributions import Contributions, contributions
from selfnorm.tabular.explaining._dependence import Dependence, cell, dependence
from selfnorm.tabular.explaining._importance import Importance, features_of, importances
from selfnorm.tabular.explaining._said import (
    Loss,
    from_itself,
    from_truth,
    loss_name,
    numbers_of,
    outputs_of,
    said,
)

_ROWS = 500
_REPEATS = 3
_DEPENDED_ON = 4  # columns
_NAMED = 8
_MOST_TARGETS = 10  # to which a row's columns add


@dataclass(frozen=True)
class OfRow:
    """What the columns of one row add to its prediction.

    Attributes:
        row: Its number, from 1.
        told: What is predicted; of several targets, of this one.
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
        own: What the columns of one row add, to each of several targets; none if it was not asked
            for.
        notes: What a user should know of the table.
    """

    rows: int
    measure: str
    importances: tuple[Importance, ...]
    dependences: tuple[Dependence, ...]
    outputs: tuple[str, ...]
    own: tuple[OfRow, ...]
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
        own = [_as_dict(one) for one in self.own]
        if own:
            found["row"] = own[0] if len(own) == 1 else own
        return found


def explain(
    model: TabularModel, source: Any, row: int | None = None, output: str | None = None
) -> Explanation:
    """Look at what a model makes of a table, by up to 500 of its rows.

    Importances are told by what is lost if a column is shuffled; where the table has no target, by
    how far predictions move.

    Args:
        model: The model.
        source: A file, or a table in memory; with the target, if that is known.
        row: The number of a row, from 1, whose columns' contributions are wanted.
        output: The one of several targets that is looked at; None for all of them.

    Raises:
        ArgumentError: there is no such row, or no such target.
        TableError: as `TabularModel.predict`.
    """
    table = model.read(source)
    require_rows(table, "the table")
    if row is not None and not 1 <= row <= table.num_rows:
        raise ArgumentError(
            f"A row is one of the table's, from 1 to {table.num_rows:,}; {row} came. Name another."
        )
    truth = None
    target, encoder = model.target, model.encoder
    places = _places(target, output)
    rows = table
    if _has_target(table, target):
        found = read_truth(table, target, encoder)
        rows, truth = found.table, found.values
        known = np.isin(truth, target.classes) if isinstance(target, ClassTarget) else None
        if known is not None and not known.all():
            rows, truth = rows.filter(pa.array(known)), truth[known]
    some = np.linspace(0, rows.num_rows - 1, min(rows.num_rows, _ROWS)).round().astype(np.int64)
    rows = rows.take(some)
    matrix, features = encoder.transform(rows), features_of(encoder)
    told = said(model, matrix)
    loss, measure = _loss(model, told, None if truth is None else truth[some], places)
    ordered = importances(
        lambda changed: loss(said(model, changed)),
        matrix,
        features,
        columns=list(features),
        repeats=_REPEATS,
    )
    columns = {column.name: column for column in encoder.columns}
    units = np.asarray(target.deviations)[places] if isinstance(target, NumbersTarget) else None
    dependences = (
        dependence(
            lambda changed: numbers_of(said(model, changed))[:, places],
            matrix,
            rows,
            columns[one.column],
            features[one.column],
            units,
        )
        for one in ordered[:_DEPENDED_ON]
    )
    names = outputs_of(target)
    return Explanation(
        len(some),
        measure,
        ordered,
        tuple(one for one in dependences if one is not None),
        tuple(names[at] for at in places),
        () if row is None else _own(model, table, row, matrix, places),
        model.notes(table),
    )


def _as_dict(own: OfRow) -> dict[str, Any]:
    about = {name: value for name, value in vars(own).items() if name != "contributions"}
    return {**about, **asdict(own.contributions)}


def _places(target: Target, output: str | None) -> list[int]:
    """Which outputs are looked at.

    Raises:
        ArgumentError: the model has no such target.
    """
    every = list(range(len(outputs_of(target))))
    if output is None:
        return every
    several = isinstance(target, NumbersTarget | LabelsTarget)
    names = columns_of(target)
    if output not in names:
        more = ", ..." if len(names) > _NAMED else ""
        raise ArgumentError(
            f"A target is one that the model predicts, {', '.join(names[:_NAMED])}{more}; "
            f"'{output}' came. Name one of these."
        )
    return [names.index(output)] if several else every


def _has_target(table: pa.Table, target: Target) -> bool:
    """Whether a table tells what is true of some rows."""
    columns = columns_of(target)
    there = all(name in table.column_names for name in columns)
    return there and any(table[name].null_count < table.num_rows for name in columns)


def _loss(
    model: TabularModel, told: Prediction, truth: np.ndarray | None, places: list[int]
) -> tuple[Loss, str]:
    """What importances are told by, and what that is called; of some of several targets."""
    target, classes = model.target, model.target.task == "classification"
    several = isinstance(target, NumbersTarget | LabelsTarget)
    of = f" of {target.names[places[0]]}" if several and len(places) < len(target.names) else ""
    if truth is not None:
        if of:
            others = np.setdiff1d(np.arange(len(target.names) if several else 0), places)
            truth = truth.copy()
            truth[:, others] = np.nan  # which counts in nothing
        return from_truth(target, truth), f"{loss_name(target)}{of}"
    what = "probability" if classes else "prediction"
    named = f"change of the {what}{of}, as the target is not known"
    return from_itself(target, told, places), named


def _own(
    model: TabularModel, table: pa.Table, row: int, others: np.ndarray, places: list[int]
) -> tuple[OfRow, ...]:
    """What a row's columns add: to the class that is told, to a number, or to each target."""
    several = isinstance(model.target, NumbersTarget | LabelsTarget)
    if several:
        return tuple(_of_row(model, table, row, others, at) for at in places[:_MOST_TARGETS])
    return (_of_row(model, table, row, others, None),)


def _of_row(
    model: TabularModel, table: pa.Table, row: int, others: np.ndarray, at: int | None
) -> OfRow:
    own = table.slice(row - 1, 1)
    encoded = model.encoder.transform(own)
    told = said(model, encoded)
    output = int(numbers_of(told)[0].argmax()) if at is None else at
    found = contributions(
        lambda rows: numbers_of(said(model, rows))[:, output],
        encoded[0],
        others,
        features_of(model.encoder),
    )
    cells = {column.name: cell(own, column.name, 0) for column in model.encoder.columns}
    value = prediction_table(model.target, told).column(at or 0)[0].as_py()
    return OfRow(row, _shown(value), outputs_of(model.target)[output], cells, found)


def _shown(value: Any) -> str:
    return digits(value, 6) if isinstance(value, float) else str(value)
