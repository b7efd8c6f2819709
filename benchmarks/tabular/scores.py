"""What a prediction is worth: accuracy, log loss, calibration and AUC, or R2."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import log_loss, r2_score, roc_auc_score

NAMES = ("accuracy", "log_loss", "ece", "auc", "r2")
BINS = 15


@dataclass(frozen=True)
class Prediction:
    """Classes or numbers, and the probabilities of those classes if a method has any."""

    values: np.ndarray
    classes: np.ndarray | None = None
    probabilities: np.ndarray | None = None


def predict(estimator: Any, X: Any) -> Prediction:
    """What a fitted estimator says of rows; the class is the most probable one."""
    if not hasattr(estimator, "predict_proba"):
        return Prediction(np.ravel(estimator.predict(X)))
    classes = np.asarray(estimator.classes_)
    probabilities = np.asarray(estimator.predict_proba(X), dtype=np.float64)
    probabilities /= probabilities.sum(1, keepdims=True)
    return Prediction(classes[probabilities.argmax(1)], classes, probabilities)


def score(y: np.ndarray, said: Prediction, kind: str) -> dict[str, float | None]:
    """All scores by name; None for those that the task or the method has not."""
    scores: dict[str, float | None] = dict.fromkeys(NAMES)
    if kind == "regression":
        return scores | {"r2": float(r2_score(y, said.values))}
    right = said.values == y
    scores["accuracy"] = float(right.mean())
    if said.probabilities is not None:
        scores["log_loss"] = float(log_loss(y, said.probabilities, labels=said.classes))
        scores["ece"] = calibration_error(said.probabilities.max(1), right)
        if said.probabilities.shape[1] == len(np.unique(y)) == 2:
            scores["auc"] = float(roc_auc_score(y, said.probabilities[:, 1]))
    return scores


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Distance of confidence and accuracy, the mean over bins of equal width by their rows.

    Source: Guo et al. 2017, equation 3.
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, confidence - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))
