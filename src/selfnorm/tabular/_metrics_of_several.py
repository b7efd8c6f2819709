"""How good predictions of several outputs are, by what is known of each."""

import numpy as np

from selfnorm.tabular._auc import area_under_curve
from selfnorm.tabular.encoding._prediction import Prediction
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget

_TINY = 1e-15


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
