"""What a page about a training shows of several targets: each in a row, and some of them drawn."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from selfnorm.report._chart import Chart
from selfnorm.report._numbers import digits
from selfnorm.report._page import Row
from selfnorm.report._right import calibration_chart, residual_charts
from selfnorm.tabular._metrics_of_several import OfOutput
from selfnorm.tabular._model import TabularModel
from selfnorm.tabular.encoding._prediction import Prediction
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget

_ROWS = 60  # targets that are listed
_DRAWN = 6  # targets that are drawn
_OF_NUMBERS = ("RMSE", "MAE", "R2")
_OF_LABELS = ("log loss", "accuracy", "AUC", "recall", "precision")


def rows_of(each: Sequence[OfOutput]) -> list[Row]:
    """Metrics of each target, of many of the first."""
    labels = any("accuracy" in one.metrics for one in each)
    first, *others = _OF_LABELS if labels else _OF_NUMBERS
    return [
        Row(
            [
                ("target", one.called),
                ("rows", f"{one.rows:,}"),
                (first, _figure(one, first)),
                (f"{first}, trivial baseline", digits(one.baseline.get(first, math.nan), 3)),
                *((name, _figure(one, name)) for name in others),
            ]
        )
        for one in each[:_ROWS]
    ]


def charts_of(
    model: TabularModel, truth: np.ndarray, told: Prediction, halves: Sequence[float | None]
) -> list[Chart]:
    """Predictions beside what is true, of the first targets, by the rows in which each is known.

    Args:
        model: The model.
        truth: The true values, (rows, targets), nan where missing.
        told: What the rows were told.
        halves: What nine in ten residuals of each number do not exceed; None where unknown.
    """
    target = model.target
    found: list[Chart] = []
    if not isinstance(target, NumbersTarget | LabelsTarget):
        return found
    for at, name in enumerate(target.names[:_DRAWN]):
        rows = np.flatnonzero(~np.isnan(truth[:, at]))
        if not len(rows):
            continue
        true = truth[rows, at]
        if isinstance(target, LabelsTarget) and told.probabilities is not None:
            what = f"probability of {target.called[at]}"
            chart = calibration_chart(told.probabilities[rows, at], true, what)
            found.append(replace(chart, title=f"{name}: calibration"))
        else:
            half = halves[at] if at < len(halves) else None
            drawn = residual_charts(true, told.values[rows, at], name, half)
            titles = (f"{name}: true by told", f"{name}: residual by told")
            found += [replace(one, title=title) for one, title in zip(drawn, titles, strict=True)]
    return found


def _figure(one: OfOutput, name: str) -> str:
    return digits(one.metrics.get(name, math.nan), 3)
