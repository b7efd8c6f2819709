"""What a model says of rows that are encoded already, and how far it is from what is true."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from selfnorm.tabular._metrics_of_several import measure_several
from selfnorm.tabular._model import TabularModel
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget
from selfnorm.tabular.encoding._target import ClassTarget, Prediction, Target
from selfnorm.training._predict import predict

Loss = Callable[[Prediction], float]
_TINY = 1e-15


def said(model: TabularModel, matrix: np.ndarray) -> Prediction:
    """What a model says of encoded rows, (rows, features), in float32."""
    outputs = predict(model.network, torch.from_numpy(matrix)).double().cpu()
    return model.target.decode(
        outputs if model.blend is None else model.blend(model.target, outputs)
    )


def numbers_of(told: Prediction) -> np.ndarray:
    """A prediction as numbers, (rows, outputs): probabilities, or the number itself."""
    found = told.values if told.probabilities is None else told.probabilities
    return found[:, None] if found.ndim == 1 else found


def outputs_of(target: Target) -> tuple[str, ...]:
    """What these numbers are called."""
    if isinstance(target, ClassTarget):
        return tuple(f"probability of {one}" for one in target.classes)
    if isinstance(target, LabelsTarget):
        return tuple(f"probability of {one}" for one in target.called)
    return target.names if isinstance(target, NumbersTarget) else (target.name,)


def loss_name(target: Target) -> str:
    """What the loss of `from_truth` is called."""
    if isinstance(target, NumbersTarget):
        return target.score_name
    return "log loss" if target.task == "classification" else "RMSE"


def from_truth(target: Target, truth: np.ndarray, weights: np.ndarray | None = None) -> Loss:
    """The log loss in nats, or the root mean squared error, of rows of known classes."""
    if isinstance(target, NumbersTarget | LabelsTarget):
        name = loss_name(target)
        return lambda told: measure_several(target, truth, told, weights)[name]
    if not isinstance(target, ClassTarget):
        return lambda told: float(np.average((told.values - truth) ** 2, weights=weights) ** 0.5)
    rows = np.flatnonzero(np.isin(truth, target.classes))
    codes = target.encode(truth[rows]).numpy()
    counts = None if weights is None else weights[rows]

    def loss(told: Prediction) -> float:
        of_class = numbers_of(told)[rows, codes]
        return float(-np.average(np.log(of_class.clip(_TINY)), weights=counts))

    return loss


def from_itself(target: Target, told: Prediction, places: Sequence[int] | None = None) -> Loss:
    """How far others are from a prediction, where nothing is known that is true.

    Half the sum of the probabilities' differences, or the root mean square of the number's; of
    several numbers in each one's deviations. Of labels the mean difference.

    Args:
        target: The model's target.
        told: The prediction.
        places: Which outputs count; None for all.
    """
    some = slice(None) if places is None else list(places)
    first = numbers_of(told)[:, some]
    unit = np.asarray(target.deviations)[some] if isinstance(target, NumbersTarget) else 1.0

    def far(other: Prediction) -> np.ndarray:
        return (numbers_of(other)[:, some] - first) / unit

    if isinstance(target, LabelsTarget):
        return lambda other: float(np.abs(far(other)).mean())
    if told.probabilities is not None:
        return lambda other: float(np.abs(far(other)).sum(1).mean() / 2)
    return lambda other: float(np.square(far(other)).mean() ** 0.5)
