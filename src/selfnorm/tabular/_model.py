"""A trained model of a table: encoding, network and target, from table to prediction."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from selfnorm.errors import ArgumentError, SelfNormError, UnsupportedError
from selfnorm.nn import MLP
from selfnorm.tabular._blend import Blend
from selfnorm.tabular._by_class import ByClass
from selfnorm.tabular._ensemble import Ensemble
from selfnorm.tabular._interval import errors_of
from selfnorm.tabular._metrics import left_out_metrics, measure
from selfnorm.tabular._output import prediction_table
from selfnorm.tabular._settings import Architecture
from selfnorm.tabular._source import Source, read_for, read_truth
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._target import ClassTarget, Prediction, Target
from selfnorm.training._predict import predict

_BLOCK = 8192  # rows at a time


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on rows whose target is known.

    Attributes:
        metrics: The model's, name -> value; empty for no rows.
        baseline: The trivial baseline's on the same rows.
        rows: How many there were.
        notes: What a user should know of the table.
        by_class: What the rows of each class are taken for; None of numbers.
        cross_fitted: Whether the figures are of what each row is told by those of its networks
            that did not learn from it. The same rows chose how much each network counts.
    """

    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    rows: int
    notes: tuple[str, ...] = ()
    cross_fitted: bool = False
    by_class: ByClass | None = None


@dataclass(frozen=True)
class TabularModel:
    """All that is needed to predict from a table, and all that a model folder holds.

    Attributes:
        encoder: From columns to features.
        target: What the outputs stand for.
        architectures: The hidden part of the network; of several, of those of each shape.
        network: The network, a `selfnorm.nn.MLP`; of several an `Ensemble`, whose `networks` are
            such, those of one shape together.
        blend: How those of an ensemble become one prediction; None for a single network.
        about: How it came to be: versions, settings, metrics, epochs, layers; plain JSON.
    """

    encoder: Encoder
    target: Target
    architectures: tuple[Architecture, ...]
    network: nn.Module
    blend: Blend | None = None
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def finite(self) -> tuple[nn.Module, ...]:
        """The networks of finite width, a `selfnorm.nn.MLP` each; several of one shape are one."""
        return self.network.finite if isinstance(self.network, Ensemble) else (self.network,)

    def read(self, source: Any) -> pa.Table:
        """A table for this model: a file, or a table in memory, its columns in any order.

        Raises:
            TableError: It cannot be read, or lacks a column.
        """
        table = read_for(source, self.target, self.encoder)
        self.encoder.check(table)
        return table

    def notes(self, table: pa.Table) -> tuple[str, ...]:
        """What a user should know of a table: columns with values that training had not."""
        return tuple(self.encoder.notes(table))

    def predict(self, source: Any) -> Prediction:
        """Predict every row of a table: a file, or a pandas, polars or Arrow table.

        Up to 8,192 rows the work is done in float64, so that a row is told the same whatever rows
        are beside it; of more rows in float32, which is faster and differs by its rounding. A table
        is encoded 8,192 rows at a time.

        Args:
            source: The file, a pandas, polars or Arrow table; or an array, if it learned from one.

        Raises:
            UnsupportedError: `source` is none of these.
            TableError: a column is missing, or holds text where training had numbers.
            SelfNormError: a prediction is not finite.
        """
        table = self.read(source)
        many = table.num_rows > _BLOCK
        network = self.network if many else copy.deepcopy(self.network).double()
        parts: list[torch.Tensor] = []
        for block in self.encoder.blocks(table, _BLOCK):
            outputs = predict(network, torch.from_numpy(block)).double()
            parts.append(outputs if self.blend is None else self.blend(self.target, outputs))
        prediction = self.target.decode(torch.cat(parts))
        _check_finite(prediction)
        return prediction

    def predict_interval(self, source: Any, coverage: float = 0.9) -> np.ndarray:
        """An interval for the number of every row, shape (rows, 2): from where to where.

            [f(x) - q, f(x) + q],  q: what a share `coverage` of new errors does not exceed

        q is told by errors on rows that were left out, so it is as wide for all rows. Each of these
        is told by some of the networks, which are further off than all together; but the same rows
        have chosen the epoch. No theorem says which counts for more: the page *Estimators* has what
        was measured.

        Args:
            source: The file, a pandas, polars or Arrow table; or an array, if it learned from one.
            coverage: The share of rows whose number is to be inside, in (0, 1).

        Raises:
            UnsupportedError: it predicts classes.
            ArgumentError: `coverage` breaks its rule; or no rows, or too few, were left out.
            TableError: as `predict`.

        Source: Barber et al. 2021 (arXiv 1905.02928) and Kim et al. 2020 (2002.09025), without the
        plus: around the prediction of all networks; where rows were given to validate with, split
        conformal (Lei et al. 2018, 1604.04173).
        """
        if self.target.task == "classification":
            raise UnsupportedError(
                "An interval is one of numbers; this model predicts classes. Use probabilities."
            )
        errors = errors_of(self.about)
        if errors is None:
            raise ArgumentError(
                "An interval needs errors on rows that were left out; this model was fitted "
                "without any, or by an older version. Fit it with validation above 0."
            )
        half = errors.within(coverage)
        values = self.predict(source).values
        return np.column_stack([values - half, values + half])

    def predict_table(self, source: Any) -> pa.Table:
        """The predictions as a table: the target's name, and `probability_CLASS` of each class."""
        return prediction_table(self.target, self.predict(source))

    def evaluate(self, source: Any) -> Evaluation:
        """Measure the model on a table that holds the target, beside the trivial baseline.

        Raises:
            TableError: as `predict`, and if the target is missing or of another kind.
            SelfNormError: a prediction is not finite.
        """
        truth = read_truth(source, self.target, self.encoder)
        return self.measure(truth)

    def measure(self, truth: Source) -> Evaluation:
        """The same on rows that are read already."""
        count = len(truth.values)
        if not count:
            return Evaluation({}, {}, 0)
        told = self.predict(truth.table)
        return Evaluation(
            measure(self.target, truth.values, told, truth.weights),
            measure(self.target, truth.values, self.target.baseline(count), truth.weights),
            count,
            (*self.notes(truth.table), *left_out_metrics(self.target, truth.values)),
            by_class=_by_class(self.target, truth.values, told),
        )


def cross_fitted(
    target: Target, values: np.ndarray, told: Prediction, weights: np.ndarray | None
) -> Evaluation:
    """How good an ensemble is, by what rows are told by who did not learn from them.

    Their weights were chosen by the same rows, a sixteenth by a sixteenth, which flatters a little.
    """
    baseline = target.baseline(len(values))
    return Evaluation(
        measure(target, values, told, weights),
        measure(target, values, baseline, weights),
        len(values),
        cross_fitted=True,
        by_class=_by_class(target, values, told),
    )


def _by_class(target: Target, values: np.ndarray, told: Prediction) -> ByClass | None:
    """What the rows of each class are taken for."""
    if not isinstance(target, ClassTarget):
        return None
    return ByClass.of(target.classes, values, told.values)


def _check_finite(prediction: Prediction) -> None:
    """Raise if a row has no prediction: nan or infinity would pass for one."""
    numbers = prediction.probabilities
    numbers = prediction.values[:, None] if numbers is None else numbers
    lost = np.flatnonzero(~np.isfinite(numbers).all(1))
    if len(lost):
        raise SelfNormError(
            f"A prediction must be finite; in {len(lost):,} of {len(numbers):,} rows it is not, "
            f"first in row {int(lost[0]) + 1}. The model's weights are too large: fit it again, "
            "with a smaller learning rate."
        )


def build_network(
    encoder: Encoder,
    target: Target,
    architecture: Architecture,
    generator: torch.Generator | None = None,
) -> MLP:
    """The network that fits an encoding and a target, freshly initialized; of several, members."""
    several = architecture.n_estimators > 1
    return MLP(
        len(encoder.features),
        target.outputs,
        width=architecture.width,
        depth=architecture.depth,
        shape=architecture.shape,
        dropout=architecture.dropout,
        weights=architecture.weights,
        members=architecture.n_estimators if several else None,
        generator=generator,
        device="cpu",  # as the encoder's matrices are, whatever torch's defaults
        dtype=torch.float32,
    )
