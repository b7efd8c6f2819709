"""How good predictions are, beside what the trivial baseline reaches on the same rows."""

from typing import Any

import numpy as np

from selfnorm.tabular._auc import area_under_curve
from selfnorm.tabular._metrics_of_several import measure_several
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget
from selfnorm.tabular.encoding._target import ClassTarget, Prediction, Target

_SHOWN = 5
_TINY = 1e-15


def measure(
    target: Target, truth: np.ndarray, prediction: Prediction, weights: np.ndarray | None = None
) -> dict[str, float]:
    """The task's metrics: name -> value.

    Classes: accuracy; balanced accuracy (mean recall of the classes); log loss in nats; area
    under the ROC curve (`AUC`; over all pairs of classes, Hand and Till 2001, where there are more
    than two). The last two are left out where they are not defined: a class that training had
    not, or fewer classes than the model knows. Numbers: root mean squared error and mean absolute
    error in the target's unit, and R2.

    Args:
        target: The model's target.
        truth: The true values, shape (rows,); of several outputs (rows, outputs), as
            `measure_several` tells; or the shares of classes, (rows, classes), where accuracy is
            of the largest and the log loss is of all.
        prediction: The model's, or the baseline's.
        weights: How much each row counts, shape (rows,), above 0; None if all count the same.
    """
    if isinstance(target, NumbersTarget | LabelsTarget):
        return measure_several(target, truth, prediction, weights)
    if isinstance(target, ClassTarget):
        return _of_classes(target, truth, prediction, weights)
    pair = (truth, prediction.values)
    from sklearn import metrics  # noqa: PLC0415 - a second to import; a prediction needs none

    weighed: dict[str, Any] = {"sample_weight": weights}
    found = {
        "RMSE": float(metrics.root_mean_squared_error(*pair, **weighed)),
        "MAE": float(metrics.mean_absolute_error(*pair, **weighed)),
    }
    if np.ptp(truth) > 0:
        found["R2"] = float(metrics.r2_score(*pair, **weighed))
    return found


def left_out_metrics(target: Target, truth: np.ndarray) -> list[str]:
    """Which metrics `measure` leaves out for these rows, and why."""
    if not isinstance(target, ClassTarget):
        return []
    truth = target.hard(truth)
    strange = np.setdiff1d(truth, np.asarray(target.classes)).tolist()
    if strange:
        rows = int(np.isin(truth, strange).sum())
        told = (
            f"{rows:,} of {len(truth):,} rows are of classes that the model does not know "
            f"({_listed(strange)}): they count as wrong, and log loss and AUC are left out."
        )
        return [told]
    absent = np.setdiff1d(np.asarray(target.classes), truth).tolist()
    if absent:
        return [f"No row is of the class {_listed(absent)}, so AUC is left out."]
    return []


def _listed(classes: list[Any]) -> str:
    more = f" and {len(classes) - _SHOWN} more" if len(classes) > _SHOWN else ""
    return ", ".join(map(repr, classes[:_SHOWN])) + more


def _of_classes(
    target: ClassTarget, truth: np.ndarray, prediction: Prediction, weights: np.ndarray | None
) -> dict[str, float]:
    shares = truth if truth.ndim == 2 else None
    truth = target.hard(truth)
    right = truth == prediction.values
    _, classes = np.unique(truth, return_inverse=True)
    count = np.ones(len(truth)) if weights is None else weights
    recalls = np.bincount(classes, right * count) / np.bincount(classes, count)
    found = {
        "accuracy": float(np.average(right, weights=weights)),
        "balanced accuracy": float(np.mean(recalls)),
    }
    if not np.isin(truth, target.classes).all() or prediction.probabilities is None:
        return found
    codes = target.encode(truth).numpy()
    every = range(len(target.classes))
    said = prediction.probabilities
    if shares is None:
        from sklearn import metrics  # noqa: PLC0415 - as above

        loss = metrics.log_loss(codes, said, labels=every, sample_weight=weights)
    else:
        loss = -np.average((shares * np.log(said.clip(_TINY))).sum(1), weights=weights)
    found["log loss"] = float(loss)
    if len(np.unique(codes)) == len(target.classes):
        found["AUC"] = area_under_curve(codes, said, weights)
    return found
