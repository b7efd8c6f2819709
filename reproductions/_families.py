"""Tables A12 and A13: networks beside other families of methods, on small and on larger tasks.

The paper ranks 24 methods, the best of each family of Fernandez-Delgado et al. 2014. Here stand the
families that `benchmarks.tabular` has measured on the same tasks and splits.
"""

from dataclasses import dataclass

import numpy as np
from benchmarks.tabular.ranks import ranks

from reproductions import _beside, _paper
from reproductions._experiment import Table
from reproductions._networks import METHODS

MOST_SMALL = 1000  # rows of a task of Table A12
DEFAULT = "`SelfNormClassifier`"


@dataclass(frozen=True)
class Family:
    """A method that others have written: its name here, and its row in the paper's tables."""

    name: str
    papers: str | None = None


FAMILIES = {
    "SVC": Family("SVM", "LibSVM_weka"),
    "RandomForest": Family("random forest", "RRFglobal_caret"),
    "LightGBM": Family("boosting, LightGBM", "LogitBoost_weka"),
    "CatBoost": Family("boosting, CatBoost", "LogitBoost_weka"),
    "MLP": Family("MLP, scikit-learn"),
}

Scores = dict[str, dict[tuple[str, int], float]]


def table(networks: dict[tuple[str, int], dict[str, float]]) -> Table | None:
    """Mean ranks beside the paper's, the best of small tasks first; None if nothing was measured.

    Args:
        networks: Accuracies of the networks by task and split.
    """
    scores: Scores = {
        {_beside.OURS: DEFAULT}.get(name) or FAMILIES[name].name: values
        for name, values in _beside.scores([_beside.OURS, *FAMILIES], "accuracy").items()
    }
    if DEFAULT not in scores:
        return None
    for name in METHODS:
        scores[name] = {where: one[name] for where, one in networks.items()}
    sizes = {task: row["rows"] for task, row in _paper.table("A11").items()}
    splits = {split for _, split in networks}
    wanted = [where for where in scores[DEFAULT] if where[0] in sizes and where[1] in splits]
    small, larger = (
        ranked(scores, [where for where in wanted if (sizes[where[0]] <= MOST_SMALL) == is_small])
        for is_small in (True, False)
    )
    if not small.ranks:
        return None
    papers = {family.name: family.papers for family in FAMILIES.values()}
    lines = [
        [name, _papers("A12", papers.get(name, name)), _told(small.ranks.get(name)),
         _papers("A13", papers.get(name, name)), _told(larger.ranks.get(name))]
        for name in sorted(scores, key=lambda name: small.ranks.get(name, np.inf))
    ]  # fmt: skip
    return Table(
        "Beside other families of methods, which have their default settings: mean rank by "
        "accuracy, less is better. The paper's is among 24 methods; here a method is ranked where "
        "it was measured on all of the tasks:",
        [
            "method",
            f"Table A12, of 24, up to {MOST_SMALL:,} rows",
            f"here, of {len(small.ranks)}, {small.tasks} tasks",
            "Table A13, of 24, larger tasks",
            f"here, of {len(larger.ranks)}, {larger.tasks} tasks",
        ],
        lines,
    )


@dataclass(frozen=True)
class Ranked:
    """Mean ranks of the methods that have all of so many tasks."""

    tasks: int
    ranks: dict[str, float]


def ranked(scores: Scores, wanted: list[tuple[str, int]]) -> Ranked:
    """By the mean over a task's splits, of methods that have all that is wanted."""
    tasks = list(dict.fromkeys(task for task, _ in wanted))
    whole = {
        name: [np.mean([values[where] for where in wanted if where[0] == task]) for task in tasks]
        for name, values in scores.items()
        if tasks and all(where in values for where in wanted)
    }
    if not whole:
        return Ranked(len(tasks), {})
    places = ranks(np.array(list(whole.values())).T.round(12), most_first=True).mean(0)
    return Ranked(len(tasks), dict(zip(whole, places.tolist(), strict=True)))


def _papers(number: str, name: str | None) -> str:
    row = _paper.table(number).get(name) if name else None
    return f"{row['rank']:.1f}" if row else ""


def _told(rank: float | None) -> str:
    return "" if rank is None else f"**{rank:.2f}**"
