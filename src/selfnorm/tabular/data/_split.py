"""Holding out rows: by class where there are classes, at random where there are none.

Rows that must stay together, as those of one patient, are on one side of every split.
"""

import numpy as np
from sklearn.model_selection import train_test_split

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
        together: A label of every row; rows of one label are in one part. Parts then differ by as
            much as these do. None if each row stands for itself.

    Raises:
        ArgumentError: all rows must stay together.
    """
    random = np.random.default_rng(seed)
    units = len(values)
    if together is None:
        order = random.permutation(units)
        if task == "classification":
            order = order[np.argsort(values[order], kind="stable")]
        place = np.empty(units, np.int64)
        place[order] = np.arange(units)
        turn, part = np.divmod(place, members)
    else:
        label = _labels(together)
        units = _several(label)
        turn = random.permutation(units)[label]
        part = _dealt(values, label, np.full(members, 1 / members), task, random)
    left_out = part[:, None] == np.arange(members)
    if members < _PAIRED or units < 2 * members:
        return left_out
    paired = turn % max(1, len(values) // _PAIRS) == 0
    return left_out | (np.roll(left_out, 1, axis=1) & paired[:, None])


def hold_out(
    values: np.ndarray,
    share: float,
    *,
    task: Task,
    seed: int,
    together: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers to keep and row numbers to hold out, both sorted.

    Classes keep their shares in both parts as far as their rows allow; the row of a class that
    has only one is kept.

    Args:
        values: The target of every row.
        share: Share of rows to hold out, in [0, 1); at least one row if it is not 0.
        task: `classification` or `regression`.
        seed: The same seed holds out the same rows.
        together: A label of every row; rows of one label are on one side, and those that hold a
            class alone are kept. None if each row stands for itself.

    Raises:
        ArgumentError: the share is outside [0, 1); or all rows must stay together, and some are to
            be held out.
    """
    if not 0 <= share < 1:
        raise ArgumentError(f"A held-out share is at least 0 and under 1; {share} came.")
    rows = np.arange(len(values))
    held = min(max(1, round(share * len(rows))), len(rows) - 1)
    if share == 0 or len(rows) < 2:
        return rows, rows[:0]
    if together is not None:
        out = _held(values, share, _labels(together), task, np.random.default_rng(seed))
        return rows[~out], rows[out]
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
    """Labels from 0 of so many stretches of time, each of as many rows as the times allow."""
    first = np.searchsorted(np.sort(times), times)
    return first * count // len(times)


def _labels(together: np.ndarray) -> np.ndarray:
    """Labels as whole numbers from 0."""
    return np.unique(together, return_inverse=True)[1]


def _several(label: np.ndarray) -> int:
    """How many labels there are.

    Raises:
        ArgumentError: it is one.
    """
    count = int(label.max()) + 1
    if count < 2:
        raise ArgumentError(
            "Rows can be left out if they are of two groups or more, as those of one stay "
            f"together; all {len(label):,} are of one. Name another column of groups."
        )
    return count


def _held(
    values: np.ndarray, share: float, label: np.ndarray, task: Task, random: np.random.Generator
) -> np.ndarray:
    """Which rows are held out, if labels stay together."""
    units = _several(label)
    out = _dealt(values, label, np.array([1 - share, share]), task, random) == 1
    movable = np.ones(units, bool)
    if task == "classification":
        pairs = np.unique(np.stack([_labels(values), label]), axis=1)
        _, first, counts = np.unique(pairs[0], return_index=True, return_counts=True)
        movable[pairs[1, first[counts == 1]]] = False
        out &= movable[label]
    sizes = np.bincount(label)
    if not out.any() and movable.any():
        out = label == np.flatnonzero(movable)[sizes[movable].argmin()]
    if out.all():
        out = label != sizes.argmax()
    return out


def _dealt(
    values: np.ndarray,
    label: np.ndarray,
    shares: np.ndarray,
    task: Task,
    random: np.random.Generator,
) -> np.ndarray:
    """The part of each row, if labels stay together and parts are to have these shares.

    Each label goes where it adds least to the chi-square of the classes' rows in each part,

        sum (x - s n)^2 / (s n),  x: rows in the part, n: in all, s: the part's share,

    the largest first. Those of one row come last and all at once.
    """
    code = _labels(values) if task == "classification" else np.zeros(len(values), np.int64)
    totals = np.bincount(code)
    counts = np.zeros((len(shares), len(totals)))
    sizes, part = np.bincount(label), np.zeros(len(values), np.int64)
    order = np.argsort(label, kind="stable")
    members = np.split(order, np.cumsum(sizes)[:-1])
    many = random.permutation(np.flatnonzero(sizes > 1))
    for unit in many[np.argsort(-sizes[many], kind="stable")]:
        classes, added = np.unique(code[members[unit]], return_counts=True)
        more = (2 * counts[:, classes] + added) * added / totals[classes]
        best = int((more.sum(1) / shares).argmin())
        counts[best, classes] += added
        part[members[unit]] = best
    alone = random.permutation(np.flatnonzero(sizes[label] == 1))
    for one in np.unique(code[alone]):
        rows = alone[code[alone] == one]
        into = _filled(counts[:, one], counts.sum(1), shares, len(rows))
        part[rows] = into
        counts[:, one] += np.bincount(into, minlength=len(shares))
    return part


def _filled(counts: np.ndarray, rows: np.ndarray, shares: np.ndarray, more: int) -> np.ndarray:
    """Into which parts so many more rows of a class go, one by one where it has least.

    Args:
        counts: Rows of the class in each part.
        rows: Of all classes; of parts that are even the smaller one is next.
        shares: What the parts are to have.
        more: How many.
    """
    most = np.minimum(more, np.ceil(shares * (counts.sum() + more) - counts).clip(0) + 1)
    part = np.repeat(np.arange(len(shares)), most.astype(np.int64))
    nth = np.arange(len(part)) - np.repeat(np.cumsum(most) - most, most.astype(np.int64))
    level = (2 * (counts[part] + nth) + 1) / shares[part]
    return part[np.lexsort((rows[part] / shares[part], level))[:more]]
