"""How good predictions of several outputs are, by what is known of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from selfnorm.tabular._auc import area_under_curve
from selfnorm.tabular.encoding._prediction import Prediction
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget

_TINY = 1e-15


@dataclass(frozen=True)
class OfOutput:
    """How good predictions of one of several outputs are.

    Attributes:
        name: The output.
        called: What it is of: the output, or `LABEL=WORD` where neither word of a label says yes.
        rows: In how many rows it is known.
        metrics: The model's, name -> value. Numbers: RMSE and MAE in the output's own unit, and R2.
            Labels: accuracy, log loss in nats, AUC, recall and precision. Those that are not
            defined are left out.
        baseline: The trivial baseline's.
    """

    name: str
    called: str
    rows: int
    metrics: Mapping[str, float]
    baseline: Mapping[str, float]


def measure_each(
    target: Any, truth: np.ndarray, told: Prediction, weights: np.ndarray | None = None
) -> tuple[OfOutput, ...]:
    """Each of several outputs by the rows in which it is known; none where there is one output.

    Args:
        target: The model's target.
        truth: The true values, (rows, outputs); nan where missing.
        told: The model's prediction.
        weights: How much each row counts, (rows,), above 0; None if all count the same.
    """
    if not isinstance(target, NumbersTarget | LabelsTarget):
        return ()
    counts = np.ones(len(truth)) if weights is None else weights
    by_chance = target.baseline(len(truth))
    called = target.called if isinstance(target, LabelsTarget) else target.names
    found: list[OfOutput] = []
    for at, name in enumerate(target.names):
        rows = np.flatnonzero(~np.isnan(truth[:, at]))
        both = (
            _of_one(truth[rows, at], _output(one, rows, at), counts[rows])
            for one in (told, by_chance)
        )
        found.append(OfOutput(name, called[at], len(rows), *both))
    return tuple(found)


def measure_several(
    target: NumbersTarget | LabelsTarget,
    truth: np.ndarray,
    prediction: Prediction,
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    """Metrics of several outputs: name -> value; what is missing counts in none.

    Numbers: root mean squared error in each output's deviations, over all that is known; R2, the
    mean over outputs that differ. Labels: accuracy label by label, log loss in nats, and the
    area under the ROC curve, the mean over labels that some rows have and some have not.

    Args:
        target: The model's target.
        truth: The true values, (rows, outputs); nan where missing.
        prediction: The model's, or the baseline's.
        weights: How much each row counts, (rows,), above 0; None if all count the same.
    """
    counts = np.ones(len(truth)) if weights is None else weights
    known = ~np.isnan(truth)
    cells = known * counts[:, None]
    truth = np.where(known, truth, 0)
    if isinstance(target, NumbersTarget):
        errors = (prediction.values - truth) / np.asarray(target.deviations)
        found = {"RMSE in deviations": float(np.average(np.square(errors), weights=cells) ** 0.5)}
        of_each = [_r2(*one) for one in zip(truth.T, prediction.values.T, cells.T, strict=True)]
        return found | _mean("R2", of_each)
    right = prediction.values == truth
    found = {"accuracy of labels": float(np.average(right, weights=cells))}
    if prediction.probabilities is None:
        return found
    of_truth = np.where(truth == 1, prediction.probabilities, 1 - prediction.probabilities)
    found["log loss"] = float(-np.average(np.log(of_truth.clip(_TINY)), weights=cells))
    each = zip(truth.T, prediction.probabilities.T, cells.T, strict=True)
    return found | _mean("AUC", [_auc(*one) for one in each])


def _output(told: Prediction, rows: np.ndarray, at: int) -> Prediction:
    """What some rows are told of one output."""
    said = told.probabilities
    return Prediction(told.values[rows, at], None if said is None else said[rows, at])


def _of_one(truth: np.ndarray, told: Prediction, counts: np.ndarray) -> dict[str, float]:
    """Metrics of one output in rows in which it is known."""
    if not len(truth):
        return {}
    if told.probabilities is None:
        errors = told.values - truth
        found = {
            "RMSE": float(np.average(np.square(errors), weights=counts) ** 0.5),
            "MAE": float(np.average(np.abs(errors), weights=counts)),
        }
        return found | _mean("R2", [_r2(truth, told.values, counts)])
    has, said = truth == 1, told.values == 1
    of_truth = np.where(has, told.probabilities, 1 - told.probabilities)
    found = {
        "accuracy": float(np.average(has == said, weights=counts)),
        "log loss": float(-np.average(np.log(of_truth.clip(_TINY)), weights=counts)),
    }
    found |= _mean("AUC", [_auc(truth, told.probabilities, counts)])
    both = float(counts @ (has & said))
    for name, of in (("recall", has), ("precision", said)):
        if of.any():
            found[name] = both / float(counts @ of)
    return found


def _mean(name: str, of_each: list[float | None]) -> dict[str, float]:
    """The mean of those that are defined; left out if none is."""
    defined = [one for one in of_each if one is not None]
    return {name: float(np.mean(defined))} if defined else {}


def _r2(truth: np.ndarray, told: np.ndarray, counts: np.ndarray) -> float | None:
    some = counts > 0
    truth, told, counts = truth[some], told[some], counts[some]
    if not len(truth) or np.ptp(truth) == 0:
        return None
    whole = np.average(np.square(truth - np.average(truth, weights=counts)), weights=counts)
    return float(1 - np.average(np.square(told - truth), weights=counts) / whole)


def _auc(truth: np.ndarray, told: np.ndarray, counts: np.ndarray) -> float | None:
    some = counts > 0
    codes = truth[some].astype(np.int64)
    if len(np.unique(codes)) < 2:
        return None
    scores = np.column_stack([1 - told[some], told[some]])
    return area_under_curve(codes, scores, counts[some])
