"""How good predictions are, beside what the trivial baseline reaches on the same rows."""

import math

import numpy as np

from selfnorm.tabular._metrics_of_several import measure_several
from selfnorm.tabular._tally import ClassTally, NumberTally
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget
from selfnorm.tabular.encoding._target import ClassTarget, Prediction, Target


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
    several = isinstance(target, ClassTarget)
    tally = ClassTally(target, most=math.inf) if several else NumberTally(target)
    tally.add(truth, prediction, weights)
    return tally.metrics
