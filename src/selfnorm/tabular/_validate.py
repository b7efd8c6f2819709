# scikit-learn has no annotations; what is inferred from its defaults is too narrow.
# pyright: reportArgumentType=false
"""Cross-validation: how good models are on rows that each had not, fold by fold."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold, TimeSeriesSplit

from selfnorm.errors import ArgumentError
from selfnorm.tabular._evaluation import Evaluation
from selfnorm.tabular._fit import fit_prepared, prepare
from selfnorm.tabular._settings import Settings
from selfnorm.tabular._side_by_side import ResultStore, side_by_side
from selfnorm.tabular._source import Source
from selfnorm.training._sections import Section


@dataclass(frozen=True)
class CrossValidation:
    """How good a model is in each fold, by rows that it did not learn from."""

    folds: tuple[Evaluation, ...]

    @property
    def metrics(self) -> dict[str, tuple[float, float]]:
        """Mean over folds, and standard deviation from fold to fold, of metrics that all have."""
        names = [n for n in self.folds[0].metrics if all(n in one.metrics for one in self.folds)]
        values = {name: [one.metrics[name] for one in self.folds] for name in names}
        return {
            n: (float(np.mean(each)), float(np.std(each, ddof=1))) for n, each in values.items()
        }


def cross_validate(
    source: Source,
    settings: Settings,
    folds: int,
    done: Callable[[int, Evaluation], object] = lambda *_: None,
    section: Section | None = None,
    jobs: int | None = None,
) -> CrossValidation:
    """Fit once without each fold, and measure on it.

    Folds keep the shares of classes, and the rows of a group together; by time each is told by what
    came before it.

    Args:
        source: The rows.
        settings: What to learn and how; no more rows are held out to measure.
        folds: How many, 2 or more.
        done: Called after each fold, with its number from 1 and how good the model is.
        section: Where a checkpoint keeps folds, without what is told class by class; None keeps
            nothing.
        jobs: How many are fitted side by side; None for what `joblib.parallel_config` says, by
            whose backend they are.

    Raises:
        ArgumentError: there are fewer than two folds, or too few rows for them.
        TableError, SelfNormError: as `selfnorm.tabular.fit`.
    """
    each = list(_folds(source, folds, settings.seed))
    one_of_classes = source.task == "classification" and source.several is None
    for number, (train, _) in enumerate(each, 1):
        if one_of_classes and len(np.unique(source.values[train])) < 2:
            raise ArgumentError(
                f"Each fold has to leave two classes; fold {number} of {folds} leaves one. "
                "Take fewer folds, or add rows."
            )
    found: list[Evaluation] = []
    results = ResultStore(section, "fold", _as_record, _from_record)
    for one in side_by_side(partial(_measured, source, settings), each, jobs, results):
        found.append(one)
        done(len(found), one)
    return CrossValidation(tuple(found))


def _as_record(one: Evaluation) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("metrics", "baseline", "rows", "notes")}


def _from_record(record: Mapping[str, Any]) -> Evaluation:
    return Evaluation(**record)


def _measured(
    source: Source,
    settings: Settings,
    fold: tuple[np.ndarray, np.ndarray],
    section: Section | None,
) -> Evaluation:
    """How good a model is on the rows of a fold."""
    train, test = fold
    ready = prepare(source.take(train), replace(settings, test=0.0))
    return fit_prepared(ready, settings, section=section).model.measure(source.take(test))


def _folds(source: Source, folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and rows to measure on, of each fold."""
    rows = len(source.values)
    units = rows if source.together is None else len(np.unique(source.together))
    if not 2 <= folds <= units:
        raise ArgumentError(
            "Folds are two or more, and no more than rows or groups; "
            f"{folds} came for {units:,}. Try 5."
        )
    if source.times is not None:
        order = np.argsort(source.times, kind="stable")
        for train, test in TimeSeriesSplit(folds).split(order):
            yield order[train], order[test]
        return
    values = source.strata if source.task == "classification" else np.zeros(rows)
    if np.unique(values, return_counts=True)[1].max() < folds:
        values = np.zeros(rows)
    if source.together is not None:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    elif np.unique(values, return_counts=True)[1].min() < folds:
        splitter = KFold(folds, shuffle=True, random_state=seed)  # a class that is too rare
    else:
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    yield from splitter.split(values, values, source.together)
