"""How good a model is on rows whose target is known, as it is told."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from selfnorm.tabular._by_class import ByClass
from selfnorm.tabular._metrics import measure
from selfnorm.tabular._metrics_of_several import OfOutput, measure_each
from selfnorm.tabular.encoding._target import ClassTarget, Prediction, Target


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on rows whose target is known.

    Attributes:
        metrics: The model's, name -> value; empty for no rows.
        baseline: The trivial baseline's on the same rows.
        rows: How many there were.
        notes: What a user should know of the table.
        by_class: What the rows of each class are taken for; None of numbers.
        by_output: How good each of several outputs is; none where there is one.
        cross_fitted: Whether the figures are of what each row is told by those of its networks
            that did not learn from it. The same rows chose how much each network counts.
    """

    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    rows: int
    notes: tuple[str, ...] = ()
    cross_fitted: bool = False
    by_class: ByClass | None = None
    by_output: tuple[OfOutput, ...] = ()


def cross_fitted(
    target: Target, values: np.ndarray, told: Prediction, weights: np.ndarray | None
) -> Evaluation:
    """How good an ensemble is, by what rows are told by who did not learn from them.

    Their weights were chosen by the same rows, a sixteenth by a sixteenth, which flatters a little.
    """
    baseline = target.baseline(len(values))
    several = isinstance(target, ClassTarget)
    return Evaluation(
        measure(target, values, told, weights),
        measure(target, values, baseline, weights),
        len(values),
        cross_fitted=True,
        by_class=ByClass.of(target.classes, target.hard(values), told.values) if several else None,
        by_output=measure_each(target, values, told, weights),
    )
