"""Targets of all kinds: learned from rows, and as the plain JSON of a model file."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any, cast

import numpy as np

from selfnorm.errors import TableError
from selfnorm.tabular._settings import Task
from selfnorm.tabular.encoding._records import are_text, is_finite, require
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget, Several
from selfnorm.tabular.encoding._target import ClassTarget, NumberTarget, Target


def fit_target(
    name: str,
    values: np.ndarray,
    task: Task,
    weights: np.ndarray | None = None,
    several: Several | None = None,
) -> Target:
    """The target of a task, learned from the rows to train and to validate with.

    Args:
        name: The target's name.
        values: That of every row, (rows,); of several outputs (rows, outputs).
        task: `classification` or `regression`.
        weights: How much each row counts, above 0; None if all count the same.
        several: What the outputs are, if there are several.

    Raises:
        TableError: as `ClassTarget.fit` and `NumberTarget.fit`.
    """
    if several is None:
        kind = ClassTarget if task == "classification" else NumberTarget
        return kind.fit(name, values, weights)
    if several.kind == "shares":
        return ClassTarget.of_shares(name, several.names, values, weights)
    if several.kind == "labels":
        return LabelsTarget.fit(name, several.names, values, weights, several.words)
    each = [_number(*one, weights) for one in zip(several.names, values.T, strict=True)]
    ends = tuple(cast("tuple[float, float]", one.ends) for one in each)
    means, deviations = zip(*((one.mean, one.deviation) for one in each), strict=True)
    return NumbersTarget(name, several.names, means, deviations, ends)


def _number(name: str, values: np.ndarray, weights: np.ndarray | None) -> NumberTarget:
    """One of several numbers, by the rows in which it is known."""
    known = ~np.isnan(values)
    if not known.any():
        raise TableError(
            f"Each output is known in some rows; '{name}' is missing in all {len(values):,}. Leave "
            "it out."
        )
    return NumberTarget.fit(name, values[known], None if weights is None else weights[known])


def columns_of(target: Target) -> tuple[str, ...]:
    """The columns of a table that hold a target."""
    return target.names if isinstance(target, NumbersTarget | LabelsTarget) else (target.name,)


def widened(target: Target, values: np.ndarray) -> Target:
    """The same target, whose predictions may also be as small and as large as these values."""
    if isinstance(target, NumberTarget) and target.ends is not None:
        low, high = target.ends
        ends = min(low, float(values.min())), max(high, float(values.max()))
        return replace(target, ends=ends)
    if isinstance(target, NumbersTarget):
        each = zip(target.ends, values.T, strict=True)
        return replace(target, ends=tuple(_ends(*one) for one in each))
    return target


def _ends(ends: tuple[float, float], values: np.ndarray) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    return (
        float(min(ends[0], known.min(initial=ends[0]))),
        float(max(ends[1], known.max(initial=ends[1]))),
    )


def target_to_dict(target: Target) -> dict[str, Any]:
    """Plain lists and numbers, for a model file."""
    return {"task": target.task, **asdict(target)}


def target_from_dict(saved: Mapping[str, Any]) -> Target:
    """The inverse of `target_to_dict`."""
    known = {key: value for key, value in saved.items() if key != "task"}
    for kind in (NumbersTarget, LabelsTarget):
        if set(known) == {one.name for one in fields(kind)}:
            require(saved["task"] == kind.task, "the task is that of the target")
            return kind.from_dict(known)
    if saved["task"] == NumberTarget.task:
        ends = known.pop("ends", None)
        return NumberTarget(**known, ends=tuple(ends) if ends else None)
    require(saved["task"] == ClassTarget.task, "the task is classification or regression")
    classes, shares = tuple(known["classes"]), tuple(known["shares"])
    kinds = {type(label) for label in classes}
    require(kinds in ({str}, {bool}, {int}, {float}), "classes are of one kind")
    require(kinds != {float} or all(map(is_finite, classes)), "classes are finite")
    require(kinds != {str} or are_text(*classes), "classes are text")
    require(kinds != {int} or np.asarray(classes).dtype.kind in "iu", "classes are of 64 bits")
    require(list(classes) == sorted(set(classes)), "classes are sorted, each once")
    return ClassTarget(saved["name"], classes, shares)
