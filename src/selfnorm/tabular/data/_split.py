"""Holding out rows: by class where there are classes, at random where there are none."""

import numpy as np
from sklearn.model_selection import train_test_split

from selfnorm.errors import ArgumentError
from selfnorm.tabular._settings import Task

_PAIRED = 4  # members, of which two leave out a row
_PAIRS = 2000  # rows that are left out by two


def deal(values: np.ndarray, members: int, *, task: Task, seed: int) -> np.ndarray:
    """Which members leave out each row: shape (rows, members), booleans.

    Rows are dealt into as many parts as there are members, which differ by one row at most; a
    member leaves out a part of its own and, of four or more members, some of the next one's too:
    all of it up to 4,000 rows, 2,000 rows of all together beyond. What one and what two say of the
    same rows tells what all would. With few rows there are no pairs, and some leave out none.
    Classes are dealt one after the other, so they keep their shares as far as their rows allow.

    Args:
        values: The target of every row.
        members: How many there are.
        task: `classification` or `regression`.
        seed: The same seed deals the same.
    """
    order = np.random.default_rng(seed).permutation(len(values))
    if task == "classification":
        order = order[np.argsort(values[order], kind="stable")]
    place = np.empty(len(values), np.int64)
    place[order] = np.arange(len(values))
    left_out = (place % members)[:, None] == np.arange(members)
    if members < _PAIRED or len(values) < 2 * members:
        return left_out
    paired = place // members % max(1, len(values) // _PAIRS) == 0
    return left_out | (np.roll(left_out, 1, axis=1) & paired[:, None])


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
