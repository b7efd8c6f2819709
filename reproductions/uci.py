"""Tables 1 (left), A11, A12, A13: kinds of networks on the UCI tasks, by average rank difference.

As the paper: a grid of depth, learning rate and dropout for each method and task, the best network
and step by smoothed validation accuracy, its accuracy on test rows; ranks over the methods within
each task, less their mean of 4; Wilcoxon's test against the SNN.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from benchmarks.tabular import tasks
from benchmarks.tabular.ranks import ranks, signed_rank
from torch import Tensor

from reproductions import _beside, _families, _paper
from reproductions._experiment import Experiment, Form, Job, Record, Table, by_setting, main
from reproductions._loop import Plan, looks
from reproductions._networks import METHODS, Shape, build
from reproductions._smooth import smoothed, winner

RATES = (0.01, 0.1, 1.0)
LOOKS = 12
GRIDS = {
    "quick": {"depths": (2,), "width": 8, "steps": 20, "batch": 32, "dropout": False,
              "splits": (0,), "most_rows": 60},
    "short": {"depths": (2, 8), "width": 32, "steps": 600, "batch": 32, "dropout": False,
              "splits": (0,), "most_rows": 1000},
    "full": {"depths": (2, 3, 4, 8, 16, 32), "width": 256, "steps": 10_000, "batch": 128,
             "dropout": True, "splits": range(4), "most_rows": 10**6},
}  # fmt: skip


def jobs(form: Form, data: Path) -> list[Job]:
    """A job is all learning rates and dropout rates of one depth, method and split of a task."""
    grid = GRIDS[form]
    sizes = {name: one.rows for name, one in tasks.catalog(data / "uci").items()
             if one.group in ("development", "judged")}  # fmt: skip
    small = [name for name, rows in sizes.items() if rows <= grid["most_rows"]]
    # In an order that has nothing to do with size, so that a part of the tasks is a sample of them.
    names = sorted(small, key=lambda name: hashlib.sha256(name.encode()).digest())
    return [
        {"task": name, "split": split, "method": method, "depth": depth,
         **{fact: grid[fact] for fact in ("width", "steps", "batch", "dropout")}}
        for split in grid["splits"] for name in names for depth in grid["depths"]
        for method in METHODS
    ]  # fmt: skip


def run(job: Job, data: Path) -> Record:
    """The best look of each member: smoothed validation accuracy, and what it has on test rows."""
    task = tasks.load(job["task"], data / "uci")
    test, validation = task.test[:, job["split"]], task.validation[:, job["split"]]
    parts = [torch.from_numpy(part) for part in (~test & ~validation, validation, test)]
    X, y = torch.from_numpy(task.X), torch.from_numpy(task.y)
    method = METHODS[job["method"]]
    rates, dropout = method.grid(RATES, both=job["dropout"])
    shape = Shape(X.shape[1], job["depth"], job["width"], int(y.max()) + 1, dropout)
    plan = Plan(rates, job["steps"], job["batch"], every=max(1, job["steps"] // LOOKS))
    training, *rest = parts
    found = looks(build(method, shape), X[training], y[training], [X[part] for part in rest], plan)
    curves = [
        [right(said, y[part]) for said, part in zip(look.outputs, rest, strict=True)]
        for look in found
    ]
    return smoothed(np.array(curves))


def right(outputs: Tensor, y: Tensor) -> np.ndarray:
    """Each member's share of right answers; what is not finite is wrong."""
    answers = (outputs.argmax(2) == y) & outputs.isfinite().all(2)
    return answers.double().mean(1).numpy()


def chosen(records: list[Record]) -> dict[tuple[str, int], dict[str, float]]:
    """The test accuracy of each method's best network by task and split, where all are done."""
    depths = {one["job"]["depth"] for one in records}
    found: dict[tuple[str, int], dict[str, list[tuple[float, float]]]] = {}
    for one in records:
        job = one["job"]
        methods = found.setdefault((job["task"], job["split"]), {name: [] for name in METHODS})
        methods[job["method"]].append(winner(one))
    return {
        where: {name: max(grid, key=itemgetter(0))[1] for name, grid in methods.items()}
        for where, methods in sorted(found.items())
        if all(len(grid) == len(depths) for grid in methods.values())
    }


@dataclass(frozen=True)
class Standing:
    """Of a method: its mean rank less the mean of all, p against the SNN, its mean accuracy."""

    rank: float
    p: float
    accuracy: float


def standings(scores: dict[str, np.ndarray]) -> dict[str, Standing]:
    """Of methods by their scores, one a task; the first is the one that others are tested by."""
    table = np.stack(list(scores.values()), axis=1)
    places = ranks(table.round(12), most_first=True)
    first = table[:, 0]
    return {
        name: Standing(
            float(places[:, k].mean() - (len(scores) + 1) / 2),
            signed_rank(first, values),
            float(values.mean()),
        )
        for k, (name, values) in enumerate(scores.items())
    }


def tables(records: list[Record]) -> list[Table]:
    """For each setting: the ranks, beside the paper's; what holds; each task's accuracies."""
    names = ("width", "steps", "batch", "dropout")
    return [
        table
        for setting, group in by_setting(records, names).items()
        if (found := chosen(group))
        for table in compared(setting, sorted({one["job"]["depth"] for one in group}), found)
    ]


def compared(
    setting: str, depths: list[int], found: dict[tuple[str, int], dict[str, float]]
) -> Iterator[Table]:
    """Tables of one setting."""
    of_task = {task: [v for (name, _), v in found.items() if name == task] for task, _ in found}
    here = {
        method: np.array([np.mean([one[method] for one in each]) for each in of_task.values()])
        for method in METHODS
    }
    there = {
        method: np.array([_paper.table("A11")[task][method] for task in of_task])
        for method in METHODS
    }
    ours, papers = standings(here), standings(there)
    beside = _beside.scores([_beside.OURS], "accuracy").get(_beside.OURS, {})
    both = all(where in beside for where in found)
    if both:
        default = [
            np.mean([beside[where] for where in found if where[0] == task]) for task in of_task
        ]
        eight = standings(here | {_beside.OURS: np.array(default)})
    rows = [
        [
            name,
            f"{_paper.table('1')[name]['rank']:+.3f}",
            f"{papers[name].rank:+.3f}",
            f"**{one.rank:+.3f}**",
            "" if name == "SNN" else f"{one.p:.2g}",
            f"{papers[name].accuracy:.3f}",
            f"{one.accuracy:.3f}",
            *([f"{eight[name].rank:+.3f}"] if both else []),
        ]
        for name, one in sorted(ours.items(), key=lambda item: item[1].rank)
    ]
    if both:
        one = eight[_beside.OURS]
        told = ["`SelfNormClassifier`", "", "", "", "", "", f"{one.accuracy:.3f}"]
        rows.append([*told, f"{one.rank:+.3f}"])
    yield Table(
        f"{len(of_task)} tasks, {len(found)} splits; depths {', '.join(map(str, depths))}, "
        f"rates {', '.join(map(str, RATES))}; {setting}. Average rank difference "
        "(the rank among the seven less their mean of 4; less is better), p by Wilcoxon's "
        "test, mean accuracy:",
        ["network", "Table 1, 121 tasks", "Table A11, these tasks", "here", "p against the SNN",
         "accuracy, Table A11", "accuracy here",
         *(["rank here with `SelfNormClassifier`, less 4.5"] if both else [])],
        rows,
    )  # fmt: skip
    yield claims(ours, papers)
    if families := _families.table(found):
        yield families


def claims(ours: dict[str, Standing], papers: dict[str, Standing]) -> Table:
    """What the paper says of Table 1, there and here."""
    rivals = [name for name in METHODS if name != "SNN"]

    def first(found: dict[str, Standing]) -> bool:
        return all(found["SNN"].rank < found[name].rank for name in rivals)

    def ahead(found: dict[str, Standing]) -> str:
        near = min((found[name].rank, name) for name in rivals)
        return f"{near[0] - found['SNN'].rank:+.2f} before {near[1]}"

    def surer(found: dict[str, Standing]) -> int:
        return sum(found[name].p < 0.05 and found["SNN"].rank < found[name].rank
                   for name in rivals)  # fmt: skip

    return Table(
        "What the paper claims of it:",
        ["claim", "the paper's accuracies of these tasks", "here"],
        [
            ["the SNN has the best mean rank", *(_said(first(found), ahead(found))
                                                 for found in (papers, ours))],
            ["of six rivals behind it at p < .05",
             *(str(surer(found)) for found in (papers, ours))],
        ],
    )  # fmt: skip


def _said(holds: bool, how: str) -> str:
    return f"{'holds' if holds else 'does not hold'} ({how})"


EXPERIMENT = Experiment(
    "uci",
    jobs,
    run,
    tables,
    needs=("uci",),
    source="Put NAME.npz of tasks of the UCI repository there, with X, y, test and validation; "
    "docs/paper.md says how.",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
