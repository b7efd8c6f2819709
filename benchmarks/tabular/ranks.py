"""Numbers of the judge: means over splits, ranks within tasks, and how sure differences are.

A score is a table of tasks x methods, nan where a method failed: there it ranks last.

Source: Demsar 2006, "Statistical comparisons of classifiers over multiple data sets".
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.tabular._worker import Run

Records = dict[Run, dict[str, Any]]


def shared(records: Records, methods: Sequence[str], tasks: Iterable[str]) -> dict[str, list[int]]:
    """Of each task the splits that all methods have results of; tasks without any are left out."""
    splits = {
        task: [
            split
            for split in sorted({run.split for run in records if run.task == task})
            if all(Run(method, task, split) in records for method in methods)
        ]
        for task in tasks
    }
    return {task: found for task, found in splits.items() if found}


def means(
    records: Records, methods: Sequence[str], splits: dict[str, list[int]], score: str
) -> np.ndarray:
    """A score's mean over the splits, tasks x methods; rounded, so that what is equal ties."""
    values = [
        [
            np.mean([_number(records[Run(method, task, split)][score]) for split in splits[task]])
            for method in methods
        ]
        for task in splits
    ]
    return np.round(np.array(values).reshape(len(splits), len(methods)), 12)


def ranks(values: np.ndarray, *, most_first: bool) -> np.ndarray:
    """Ranks within each row from 1, the best; equal values share the mean of their ranks."""
    signed = -values if most_first else values
    return stats.rankdata(np.where(np.isnan(signed), np.inf, signed), axis=1)


def critical_difference(methods: int, tasks: int, level: float = 0.05) -> float:
    """How far two mean ranks must be apart to differ at that level: q sqrt(k (k + 1) / 6 N).

    Nemenyi's test: q is a quantile of the studentized range by sqrt 2.
    """
    q = stats.studentized_range.ppf(1 - level, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * tasks)))


def signed_rank(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Wilcoxon's p that two methods differ, over the tasks where neither failed."""
    differences = (ours - theirs)[~np.isnan(ours - theirs)]
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences, zero_method="zsplit").pvalue)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
