"""Table 3: pulsars of HTRU2, AUC over ten folds, each with its own choice of depth, rate, dropout.

Of the nine folds that are left, one validates and eight train; the network and step with the best
smoothed validation AUC judge the tenth. The folds are those of `benchmarks.tabular`, so its methods
stand beside these.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from benchmarks.tabular import tasks
from benchmarks.tabular.ranks import signed_rank
from sklearn.metrics import roc_auc_score
from torch import Tensor

from reproductions import _beside, _paper
from reproductions._experiment import Experiment, Form, Job, Record, Table, by_setting, main
from reproductions._loop import Plan, looks
from reproductions._networks import METHODS, Shape, build
from reproductions._smooth import smoothed, winner

RATES = (0.01, 0.1, 1.0)
LOOKS = 8
BESIDE = {
    "MLP": "MLP, scikit-learn",
    "LightGBM": "LightGBM",
    "CatBoost": "CatBoost",
    "RandomForest": "random forest",
    "SVC": "SVM",
}
GRIDS = {
    "quick": {"depths": (2,), "width": 8, "steps": 6, "batch": 64, "dropout": False,
              "folds": (0, 1)},
    "short": {"depths": (2, 8), "width": 32, "steps": 300, "batch": 128, "dropout": False,
              "folds": range(tasks.FOLDS)},
    "full": {"depths": (2, 3, 4, 8, 16, 32), "width": 256, "steps": 10_000, "batch": 128,
             "dropout": True, "folds": range(tasks.FOLDS)},
}  # fmt: skip


def jobs(form: Form, _: Path) -> list[Job]:
    """A job is all learning rates and dropout rates of one depth and method on one fold."""
    grid = GRIDS[form]
    return [
        {"fold": fold, "depth": depth, "method": method,
         **{fact: grid[fact] for fact in ("width", "steps", "batch", "dropout")}}
        for fold in grid["folds"] for depth in grid["depths"] for method in METHODS
    ]  # fmt: skip


@cache
def candidates(data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels, and each row's fold."""
    task = tasks.load("htru2", data / "uci")
    return task.X, task.y, task.test.argmax(1)


def run(job: Job, data: Path) -> Record:
    """The best look of each member: smoothed validation AUC, and its AUC on the tenth fold."""
    X, y, fold = candidates(data)
    count = fold.max() + 1
    test, held = fold == job["fold"], fold == (job["fold"] + 1) % count
    training = ~test & ~held
    X = (X - X[training].mean(0)) / X[training].std(0)
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    method = METHODS[job["method"]]
    rates, dropout = method.grid(RATES, both=job["dropout"])
    model = build(method, Shape(X.shape[1], job["depth"], job["width"], 2, dropout))
    plan = Plan(rates, job["steps"], job["batch"], every=max(1, job["steps"] // LOOKS))
    parts = [inputs[held], inputs[test]]
    curves = [
        [aucs(said, y[part]) for said, part in zip(look.outputs, (held, test), strict=True)]
        for look in looks(model, inputs[training], targets[training], parts, plan)
    ]
    return smoothed(np.array(curves))


def aucs(outputs: Tensor, y: np.ndarray) -> list[float]:
    """Each member's; one half for a network that is lost."""
    margins = (outputs[:, :, 1] - outputs[:, :, 0]).numpy()
    return [float(roc_auc_score(y, one)) if np.isfinite(one).all() else 0.5 for one in margins]


def by_fold(records: list[Record]) -> dict[str, dict[int, float]]:
    """The AUC of each method's best network on each fold where all depths are done."""
    depths = {one["job"]["depth"] for one in records}
    grids: dict[str, dict[int, list[tuple[float, float]]]] = {name: {} for name in METHODS}
    for one in records:
        grids[one["job"]["method"]].setdefault(one["job"]["fold"], []).append(winner(one))
    return {
        name: {fold: max(grid)[1] for fold, grid in folds.items() if len(grid) == len(depths)}
        for name, folds in grids.items()
    }


def tables(records: list[Record]) -> list[Table]:
    """The mean over folds beside the paper's, and methods of today on the same folds."""
    made = []
    for setting, group in by_setting(records, ("width", "steps", "batch", "dropout")).items():
        found = by_fold(group)
        folds = sorted(set.intersection(*(set(one) for one in found.values())))
        if folds:
            depths = ", ".join(map(str, sorted({one["job"]["depth"] for one in group})))
            title = (
                f"AUC over {len(folds)} folds; depths {depths}, rates "
                f"{', '.join(map(str, RATES))}; {setting}. p is Wilcoxon's, against the SNN:"
            )
            head = ["method", "Table 3", "here", "deviation over folds", "p"]
            made += [Table(title, head, lines(found, folds)), claims(found, folds)]
    return made


def claims(found: dict[str, dict[int, float]], folds: list[int]) -> Table:
    """What the paper says of Table 3, there and here."""
    there = {name: one["auc"] for name, one in _paper.table("3").items() if name in found}
    here = {name: float(np.mean([one[fold] for fold in folds])) for name, one in found.items()}
    return Table(
        "What the paper claims of it:",
        ["claim", "the paper", "here"],
        [["the SNN's AUC is above all others'", *(ahead(one) for one in (there, here))]],
    )


def ahead(aucs: dict[str, float]) -> str:
    """By how much the SNN is before or behind the best other."""
    rival = max((name for name in aucs if name != "SNN"), key=aucs.__getitem__)
    gap = aucs["SNN"] - aucs[rival]
    return f"{'holds' if gap > 0 else 'does not hold'} ({gap:+.4f} to {rival})"


def lines(found: dict[str, dict[int, float]], folds: list[int]) -> list[list[str]]:
    """A line for each method, ours and today's too, the best first."""
    beside = _beside.scores([_beside.OURS, *BESIDE], "auc")
    others = {
        BESIDE.get(name, "`SelfNormClassifier`"): {fold: aucs["htru2", fold] for fold in folds}
        for name, aucs in beside.items()
        if all(("htru2", fold) in aucs for fold in folds)
    }
    values = {
        name: np.array([one[fold] for fold in folds]) for name, one in (found | others).items()
    }
    papers = _paper.table("3")
    rows = []
    for name, one in sorted(values.items(), key=lambda item: -item[1].mean()):
        there = f"{papers[name]['auc']:.4f}" if name in papers else ""
        p = "" if name == "SNN" else f"{signed_rank(values['SNN'], one):.2g}"
        rows.append([name, there, f"**{one.mean():.4f}**", f"{one.std():.4f}", p])
    return rows + [
        [name, f"{one['auc']:.4f}", "", "", ""]
        for name, one in papers.items() if name not in values
    ]  # fmt: skip


EXPERIMENT = Experiment(
    "htru2",
    jobs,
    run,
    tables,
    needs=("htru2.csv",),
    source="HTRU2 is UCI's data set 372 (Lyon et al. 2016); write its csv with a head of the 8 "
    "features and 'pulsar'.",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
