"""Holding out rows: by class where there are classes, at random where there are none."""

import numpy as np
from sklearn.model_selection import train_test_split

from selfnorm.errors import ArgumentError
from selfnorm.tabular._settings import Task


def deal(values: np.ndarray, parts: int, *, task: Task, seed: int) -> np.ndarray:
    """For each row the number of its part; parts differ by one row at most.

    Classes are dealt one after the other, so they keep their shares as far as their rows allow.

    Args:
        values: The target of every row.
        parts: How many parts there are.
        task: `classification` or `regression`.
        seed: The same seed deals the same.

    Raises:
        ArgumentError: there are fewer rows than parts.
    """
    if parts > len(values):
        raise ArgumentError(
            "Each of n_estimators networks leaves out rows of its own; got "
            f"{len(values)} rows for {parts}. Take fewer networks, or validation=0."
        )
    order = np.random.default_rng(seed).permutation(len(values))
    if task == "classification":
        order = order[np.argsort(values[order], kind="stable")]
    numbers = np.empty(len(values), np.int64)
    numbers[order] = np.arange(len(values)) % parts
    return numbers


def hold_out(
    values: np.ndarray, share: float, *, task: Task, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers to keep and row numbers to hold out, both sorted.

    Classes keep their shares in both parts as far as their rows allow; the row of a class that
    has only one is kept.

    Args:
        values: The target of every row.
        share: Share of rows to hold out, in [0, 1); at least one row if it is not 0.
        task: `classification` or `regression`.
        seed: The same seed holds out the same rows.

    Raises:
        ArgumentError: the share is outside [0, 1).
    """
    if not 0 <= share < 1:
        raise ArgumentError(f"A held-out share is at least 0 and under 1; {share} came.")
    rows = np.arange(len(values))
    held = min(max(1, round(share * len(rows))), len(rows) - 1)
    if share == 0 or len(rows) < 2:
        return rows, rows[:0]
    if task == "regression":
        kept, out = train_test_split(rows, test_size=held, random_state=seed)
        return np.sort(kept), np.sort(out)
    _, code, counts = np.unique(values, return_inverse=True, return_counts=True)
    movable = rows[counts[code] > 1]
    if len(movable) < 2:
        return rows, rows[:0]
    held = min(held, len(movable) - 1)
    many = (counts > 1).sum()
    by_class = code[movable] if many <= min(held, len(movable) - held) else None
    _, out = train_test_split(movable, test_size=held, random_state=seed, stratify=by_class)
    return np.setdiff1d(rows, out), np.sort(out)
