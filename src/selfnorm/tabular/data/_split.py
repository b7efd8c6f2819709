"""Holding out rows: by class where there are classes, at random where there are none."""

from typing import NamedTuple

import numpy as np

from selfnorm.errors import ArgumentError
from selfnorm.tabular._settings import Task

_PAIRED = 4  # members, of which two leave out a row
_PAIRS = 2000  # rows that are left out by two


def deal(
    values: np.ndarray,
    members: int,
    *,
    task: Task,
    seed: int,
    together: np.ndarray | None = None,
) -> np.ndarray:
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
        together: A number for each row; those of the same number are dealt as one, the largest of
            such groups first. None if each row is dealt by itself.
    """
    groups = _Groups.of(values, together, task)
    order = np.random.default_rng(seed).permutation(len(groups.first))
    order = order[np.argsort(-groups.sizes[order], kind="stable")]
    if task == "classification":
        order = order[np.argsort(values[groups.first[order]], kind="stable")]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    left_out = (place % members)[:, None] == np.arange(members)
    if members >= _PAIRED and len(order) >= 2 * members:
        paired = place // members % max(1, len(order) // _PAIRS) == 0
        left_out |= np.roll(left_out, 1, axis=1) & paired[:, None]
    return left_out[groups.of_row]


def hold_out(
    values: np.ndarray,
    share: float,
    *,
    task: Task,
    seed: int,
    together: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers to keep and row numbers to hold out, both sorted.

    Classes keep their shares in both parts as far as their rows allow; where there are more than
    are held out, each keeps a row, and so does a class that has only one.

    Args:
        values: The target of every row.
        share: Share of rows to hold out, in [0, 1); at least one row if it is not 0.
        task: `classification` or `regression`.
        seed: The same seed holds out the same rows.
        together: A number for each row; those of the same number are held out as one, and the share
            is one of such groups. None if each row is held out by itself.

    Raises:
        ArgumentError: the share is outside [0, 1).
    """
    if not 0 <= share < 1:
        raise ArgumentError(f"A held-out share is at least 0 and under 1; {share} came.")
    groups = _Groups.of(values, together, task)
    out = _held_out(values[groups.first], share, task=task, seed=seed)
    held = np.isin(groups.of_row, out)
    return np.flatnonzero(~held), np.flatnonzero(held)


def _held_out(values: np.ndarray, share: float, *, task: Task, seed: int) -> np.ndarray:
    """Which of so many rows to hold out."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415  prediction needs it not

    rows = np.arange(len(values))
    held = min(max(1, round(share * len(rows))), len(rows) - 1)
    if share == 0 or len(rows) < 2:
        return rows[:0]
    if task == "regression":
        return np.asarray(train_test_split(rows, test_size=held, random_state=seed)[1])
    _, code, counts = np.unique(values, return_inverse=True, return_counts=True)
    movable = rows[counts[code] > 1]
    if len(movable) < 2:
        return rows[:0]
    held = min(held, len(movable) - 1)
    many = (counts > 1).sum()
    if many > min(held, len(movable) - held):  # too many for shares: each keeps a row
        mixed = np.random.default_rng(seed).permutation(movable)
        kept = np.unique(code[mixed], return_index=True)[1]
        return np.delete(mixed, kept)[:held]
    by_class = code[movable]
    out = train_test_split(movable, test_size=held, random_state=seed, stratify=by_class)[1]
    return np.asarray(out)


def latest(times: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers to keep and those of the latest rows, to hold out; both sorted.

    Rows of one time are on one side, so the share is met as nearly as times allow.

    Args:
        times: When each row is from.
        share: Share of rows to hold out, in [0, 1).
    """
    rows = np.arange(len(times))
    moments, counts = np.unique(times, return_counts=True)
    if share == 0 or len(moments) < 2:
        return rows, rows[:0]
    after = len(times) - np.cumsum(counts)[:-1]  # how many rows are later than each moment
    late = times > moments[np.abs(after - share * len(times)).argmin()]
    return rows[~late], rows[late]


def stretches(times: np.ndarray, count: int) -> np.ndarray:
    """Numbers from 0 of so many stretches of time, each of as many rows as the times allow."""
    first = np.searchsorted(np.sort(times), times)
    return first * count // len(times)


class _Groups(NamedTuple):
    """Rows that stay together: a row of each group, its size, and the group of each row."""

    first: np.ndarray
    sizes: np.ndarray
    of_row: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, together: np.ndarray | None, task: Task) -> "_Groups":
        """Groups by their numbers; the row that stands for one has the rarest of its classes."""
        rows = np.arange(len(values))
        if together is None:
            return cls(rows, np.ones_like(rows), rows)
        if task == "classification":
            _, code, counts = np.unique(values, return_inverse=True, return_counts=True)
            rows = np.argsort(counts[code], kind="stable")
        _, first, of_row, sizes = np.unique(
            together[rows], return_index=True, return_inverse=True, return_counts=True
        )
        numbers = np.empty(len(rows), np.int64)
        numbers[rows] = of_row
        return cls(rows[first], sizes, numbers)


def uniform(numbers: np.ndarray, seed: int, purpose: int = 0) -> np.ndarray:
    """A number in [0, 1) for each row by a hash of its own number: who asks gets the same.

    Args:
        numbers: The rows' numbers, uint64.
        seed: Another seed gives others.
        purpose: So does another purpose.

    Source: the finalizer of splitmix64 (Steele, Lea and Flood 2014, OOPSLA).
    """
    salt = (((seed << 8) + purpose) * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64
    hashed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashed = (hashed ^ (hashed >> np.uint64(shift))) * np.uint64(factor)
    return ((hashed ^ (hashed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


def deal_by_hash(numbers: np.ndarray, members: int, *, rows: int, seed: int) -> np.ndarray:
    """Which members leave out each of some rows, as `deal`, by a hash of the row's number.

    Parts then are of nearly even size, and classes are not dealt by themselves.

    Args:
        numbers: The rows' numbers, uint64.
        members: How many there are.
        rows: How many rows are dealt in all.
        seed: The same seed deals the same.
    """
    place = (uniform(numbers, seed, 1) * members).astype(np.int64)
    left_out = place[:, None] == np.arange(members)
    if members < _PAIRED or rows < 2 * members:
        return left_out
    paired = uniform(numbers, seed, 2) < 1 / max(1, rows // _PAIRS)
    return left_out | (np.roll(left_out, 1, axis=1) & paired[:, None])
