"""What a page about a training shows besides its result: a bounded part of what was seen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from selfnorm.tabular._ensemble import Ensemble, told
from selfnorm.tabular._model import TabularModel
from selfnorm.tabular.encoding._several import NumbersTarget
from selfnorm.tabular.encoding._target import ClassTarget, NumberTarget, Prediction, Target
from selfnorm.tabular.explaining._importance import Importance, features_of, importances
from selfnorm.tabular.explaining._said import from_truth, said
from selfnorm.tabular.explaining._understood import Ready, Summary, summaries, understood
from selfnorm.training import Rows
from selfnorm.training._predict import predict

_MOST = 20_000  # rows whose predictions are looked at
_ROWS, _FEWEST = 500, 100  # whose cells are shuffled
_COLUMNS = 20
_WORK = 4e7  # rows asked times rows that infinitely wide networks learned from
_REPEATS = 3


class Looked(NamedTuple):
    """What is told of a table before it is learned from.

    Attributes:
        understood: What was understood, as pairs.
        doubts: What may have been meant otherwise.
        columns: The columns in short.
    """

    understood: tuple[tuple[str, str], ...]
    doubts: tuple[str, ...]
    columns: tuple[Summary, ...]

    @classmethod
    def at(cls, where: str, ready: Ready, doubts: tuple[str, ...]) -> "Looked":
        """Look at a table, called `where`, and at what was doubted."""
        columns = summaries(ready.source.table, ready.encoder)
        return cls(tuple(understood(where, ready)), doubts, columns)


@dataclass(frozen=True)
class Seen:
    """What was seen of a table and of its predictions.

    Attributes:
        understood: What was understood, as pairs.
        doubts: What may have been meant otherwise.
        columns: The columns in short.
        whose: Which rows the predictions are of.
        truth: Their targets.
        told: What they were told.
        matrix: Some of these rows, encoded.
        rows: Which of them.
        left_out: Who did not learn from each of these; None if no network did.
    """

    understood: tuple[tuple[str, str], ...]
    doubts: tuple[str, ...]
    columns: tuple[Summary, ...]
    whose: str
    truth: np.ndarray
    told: Prediction
    matrix: np.ndarray
    rows: np.ndarray
    left_out: Tensor | None

    @classmethod
    def of(
        cls,
        looked: Looked,
        ready: Ready,
        model: TabularModel,
        crossed: Prediction | None,
    ) -> "Seen":
        """Look at a training: at rows held out to measure, else at those that were left out.

        Args:
            looked: What was told of the table.
            ready: The table; only of its rows to measure with the cells are looked at.
            model: What was learned.
            crossed: What each training row was told by networks that did not learn from it.
        """
        test, left_out = ready.test, None
        if len(test.values):
            some = _spread(len(test.values), _MOST)
            part = test.take(some)
            truth, rows = part.values, _spread(len(some), _ROWS)
            answers = model.predict(part.table)
            matrix = ready.encoder.transform(part.table.take(rows))
            whose = f"{len(test.values):,} rows held out"
        else:
            judges = ready.validation or ready.training
            some = _spread(len(judges), _MOST)
            at = torch.from_numpy(some)
            inputs, truth = judges.inputs[at].numpy(force=True), _truth(ready.target, judges, at)
            rows = _spread(len(some), _ROWS)
            answers = said(model, inputs) if crossed is None else _part(crossed, some)
            matrix = inputs[rows]
            kind = "each predicted by networks that did not learn from it"
            if crossed is None:
                kind = "which chose the epoch" if ready.validation else "which were learned from"
            elif ready.left_out is not None:
                left_out = ready.left_out[torch.from_numpy(some[rows])]
            whose = f"{len(judges):,} rows, {kind}"
        return cls(
            *looked,
            whose,
            truth,
            answers,
            matrix,
            rows,
            left_out,
        )

    def importances(self, model: TabularModel) -> tuple[Importance, ...]:
        """Up to 20 columns by importance: those that the first layers weigh most.

        Where rows were left out by some networks, these are asked, and none of infinite width.
        """
        features = features_of(model.encoder)
        weighed = sorted(features, key=lambda name: -_weight(model, features[name]))[:_COLUMNS]
        wide = model.network.joined if isinstance(model.network, Ensemble) else ()
        learned = 0 if self.left_out is not None else sum(len(one.rows) for one in wide)
        repeats = 1 if learned else _REPEATS
        bound = _WORK / (learned * len(weighed)) if learned else len(self.matrix)
        some = _spread(len(self.matrix), int(min(len(self.matrix), max(bound, _FEWEST))))
        loss = from_truth(model.target, self.truth[self.rows[some]])
        say = self._say(model, some)
        return importances(
            lambda matrix: loss(say(matrix)),
            self.matrix[some],
            features,
            columns=weighed,
            repeats=repeats,
        )

    def _say(self, model: TabularModel, some: np.ndarray) -> Callable[[np.ndarray], Prediction]:
        """Who is asked about so many of the rows."""
        if self.left_out is None or not isinstance(model.network, Ensemble):
            return lambda matrix: said(model, matrix)
        target, who = model.target, self.left_out[torch.from_numpy(some)]
        shapes = [Ensemble([one]).eval() for one in model.network.finite]

        def say(matrix: np.ndarray) -> Prediction:
            rows = torch.from_numpy(matrix)
            parts = [told(target, predict(one, rows).double().cpu(), who) for one in shapes]
            mixed = torch.stack([target.said(part) for part in parts]).mean(0)
            return target.decode(target.heard(mixed))

        return say


def _truth(target: Target, rows: Rows, some: Tensor) -> np.ndarray:
    """The targets of some rows, as they came."""
    encoded = rows.targets[some.to(rows.targets.device)].numpy(force=True)
    if isinstance(target, ClassTarget):
        return np.asarray(target.classes)[encoded]
    if isinstance(target, NumberTarget):
        return encoded[:, 0].astype(float) * target.deviation + target.mean
    if isinstance(target, NumbersTarget):
        return encoded.astype(float) * np.asarray(target.deviations) + np.asarray(target.means)
    return encoded.astype(float)  # labels


def _weight(model: TabularModel, features: slice) -> float:
    """The sum of squares of the first layers' weights of some features."""
    return sum(
        float(one.get_parameter("linear1.weight").detach()[..., features].square().sum())
        for one in model.finite
    )


def _spread(rows: int, most: int) -> np.ndarray:
    """At most so many row numbers, evenly spread."""
    return np.linspace(0, rows - 1, min(rows, most)).round().astype(np.int64)


def _part(told: Prediction, rows: np.ndarray) -> Prediction:
    probabilities = None if told.probabilities is None else told.probabilities[rows]
    return Prediction(told.values[rows], probabilities)
