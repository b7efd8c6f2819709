"""How good predictions are, beside what the trivial baseline reaches on the same rows."""

import numpy as np
from sklearn import metrics

from selfnorm.tabular._auc import area_under_curve
from selfnorm.tabular.encoding._target import ClassTarget, Prediction, Target


def measure(target: Target, truth: np.ndarray, prediction: Prediction) -> dict[str, float]:
    """The task's metrics: name -> value.

    Classes: accuracy; balanced accuracy (mean recall of the classes); log loss in nats; area
    under the ROC curve (`AUC`; over all pairs of classes, Hand and Till 2001, where there are more
    than two). The last two are left out where they are not defined: a class that training had
    not, or fewer classes than the model knows. Numbers: root mean squared error and mean absolute
    error in the target's unit, and R2.

    Args:
        target: The model's target.
        truth: The true values, shape (rows,).
        prediction: The model's, or the baseline's.
    """
    if isinstance(target, ClassTarget):
        return _of_classes(target, truth, prediction)
    found = {
        "RMSE": float(metrics.root_mean_squared_error(truth, prediction.values)),
        "MAE": float(metrics.mean_absolute_error(truth, prediction.values)),
    }
    if np.ptp(truth) > 0:
        found["R2"] = float(metrics.r2_score(truth, prediction.values))
    return found


def _of_classes(target: ClassTarget, truth: np.ndarray, prediction: Prediction) -> dict[str, float]:
    right = truth == prediction.values
    _, classes, rows = np.unique(truth, return_inverse=True, return_counts=True)
    found = {
        "accuracy": float(right.mean()),
        "balanced accuracy": float(np.mean(np.bincount(classes, right) / rows)),
    }
    if not np.isin(truth, target.classes).all() or prediction.probabilities is None:
        return found
    codes = target.encode(truth).numpy()
    every = range(len(target.classes))
    found["log loss"] = float(metrics.log_loss(codes, prediction.probabilities, labels=every))
    if len(np.unique(codes)) == len(target.classes):
        found["AUC"] = area_under_curve(codes, prediction.probabilities)
    return found
