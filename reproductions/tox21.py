"""Table 2: the Tox21 challenge, twelve tasks with missing labels, by depth.

The challenge's own split: rows named training train, but for one of five folds that chooses rate,
dropout and step; test rows judge, by the mean of twelve AUCs. Beside them `SelfNormClassifier`,
whose networks each leave out some skeletons, as it is: twelve labels at once, the unknown as nan.
"""

import warnings
from functools import cache
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from reproductions import _molecules, _paper
from reproductions._counts import Counts
from reproductions._experiment import (
    QUICK,
    Experiment,
    Form,
    Job,
    Record,
    Table,
    by_setting,
    main,
)
from reproductions._loop import Plan, looks
from reproductions._networks import METHODS, Shape, build
from selfnorm import SelfNormClassifier
from selfnorm.errors import SelfNormWarning
from selfnorm.tabular._settings import Preset

FOLDS = 5
CACHE = QUICK.parent / "tox21.npz"
RATES = (0.3, 1.0)
GRIDS = {
    "quick": {"depths": (2,), "width": 8, "steps": 4, "dropout": False, "folds": (0,),
              "methods": ("SNN", "MSRAinit"), "presets": ()},
    "short": {"depths": (2, 8, 4), "width": 64, "steps": 400, "dropout": True, "folds": (0,),
              "methods": tuple(METHODS), "presets": ("default", "best")},
    "full": {"depths": (2, 3, 4, 6, 8, 16, 32), "width": 512, "steps": 5_000, "dropout": True,
             "folds": range(FOLDS), "methods": tuple(METHODS), "presets": ("default", "best")},
}  # fmt: skip


def jobs(form: Form, _: Path) -> list[Job]:
    """A job is all learning rates and dropout rates of one depth and method on one fold."""
    grid = GRIDS[form]
    return [{"preset": preset, "seed": 0} for preset in grid["presets"]] + [
        {"fold": fold, "depth": depth, "method": method,
         **{fact: grid[fact] for fact in ("width", "steps", "dropout")}}
        for fold in grid["folds"] for depth in grid["depths"] for method in grid["methods"]
    ]  # fmt: skip


@cache
def table(data: Path) -> tuple[_molecules.Molecules, np.ndarray]:
    """The molecules, and in which fold each is; those of one skeleton are in one."""
    found = _molecules.load(data / "tox21", CACHE)
    _, number = np.unique(found.skeleton, return_inverse=True)
    fold = np.random.default_rng(0).permutation(number.max() + 1)[number] % FOLDS
    return found, fold


def run(job: Job, data: Path) -> Record:
    """The look of each member with the best AUC on its fold; its AUC on test rows."""
    if "preset" in job:
        return estimated(job["preset"], job["seed"], data)
    found, fold = table(data)
    test = found.part == "test"
    masks = (~test & (fold != job["fold"]), ~test & (fold == job["fold"]), test)
    training, held, judged = (torch.from_numpy(np.flatnonzero(one)) for one in masks)
    rows, labels = Counts.of(found.counts, found.dense, masks[0]), torch.from_numpy(found.labels)
    method = METHODS[job["method"]]
    rates, dropout = method.grid(RATES, both=job["dropout"])
    model = build(method, Shape(rows.width, job["depth"], job["width"], labels.shape[1], dropout))
    plan = Plan(rates, job["steps"], batch=128, every=max(1, job["steps"] // 12))
    parts = [rows[held], rows[judged]]
    best = [{"validated": 0.0, "tested": 0.0, "step": 0} for _ in rates]
    for look in looks(model, rows[training], labels[training].float(), parts, plan, known_loss):
        for place, member in enumerate(best):
            validated = mean_auc(labels[held], look.outputs[0][place])
            if validated > member["validated"]:
                tested = mean_auc(labels[judged], look.outputs[1][place])
                member.update(validated=validated, tested=tested, step=look.step)
    return {"members": best}


def estimated(preset: Preset, seed: int, data: Path) -> Record:
    """The AUC of an estimator that is left as it is, on test rows, and by networks on others'."""
    found, _ = table(data)
    inputs = np.hstack([np.log1p(found.counts.toarray()), found.dense], dtype=np.float32)
    test = found.part == "test"
    model = SelfNormClassifier(preset=preset, random_state=seed)
    with warnings.catch_warnings(action="ignore", category=SelfNormWarning):
        model.fit(inputs[~test], found.labels[~test], groups=found.skeleton[~test])
    told = ((test, model.predict_proba(inputs[test])), (~test, model.oof_prediction_))
    labels = torch.from_numpy(found.labels)
    tested, left_out = (mean_auc(labels[part], torch.from_numpy(said)) for part, said in told)
    return {"tested": tested, "left_out": left_out}


def known_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Each member's mean over the labels that are known."""
    known = labels.isfinite()
    wanted = torch.where(known, labels, 0.0).expand_as(outputs)
    losses = nn.functional.binary_cross_entropy_with_logits(outputs, wanted, reduction="none")
    return (losses * known).sum((1, 2)) / known.sum().clamp(min=1)


def mean_auc(labels: Tensor, outputs: Tensor) -> float:
    """The mean over tasks; 0 for a network that is lost."""
    if not outputs.isfinite().all():
        return 0.0
    values = []
    for truth, said in zip(labels.T, outputs.T, strict=True):
        known = truth.isfinite()
        if len(truth[known].unique()) == 2:
            values.append(roc_auc_score(truth[known], said[known]))
    return float(np.mean(values))


def cells(records: list[Record]) -> dict[tuple[str, int], list[float]]:
    """Test AUCs of the networks that validate best, by method and depth, one a fold."""
    found: dict[tuple[str, int], list[float]] = {}
    for one in records:
        best = max(one["members"], key=itemgetter("validated"))
        job = one["job"]
        found.setdefault((job["method"], job["depth"]), []).append(best["tested"])
    return found


def tables(records: list[Record]) -> list[Table]:
    """For each setting the AUC by depth beside the paper's, and what holds."""
    made = []
    ours = [one for one in records if "preset" in one["job"]]
    records = [one for one in records if "preset" not in one["job"]]
    for setting, group in by_setting(records, ("width", "steps", "dropout")).items():
        found = cells(group)
        depths = sorted({depth for _, depth in found})
        lines = [
            [method, *(told(method, depth, found.get((method, depth), [])) for depth in depths)]
            for method in METHODS
        ]
        title = (
            f"AUC, mean of 12 tasks, in percent; rates {', '.join(map(str, RATES))}; {setting}. "
            "Table 2's with its deviation; **here**, the mean over folds where there are several:"
        )
        made.append(Table(title, ["network", *(f"{depth} layers" for depth in depths)], lines))
        made.append(claims(found))
    return [*made, beside(ours)] if ours else made


def beside(records: list[Record]) -> Table:
    """The estimators', beside the paper's best single network."""
    papers = max(pair[0] for pair in _paper.table("2")["SNN"].values() if pair)
    return Table(
        "`SelfNormClassifier` as it is, on the same features, skeletons left out in turn; the "
        f"paper's best network has {papers:.1f}:",
        ["preset", "AUC, in percent", "by networks that left rows out", "minutes"],
        [
            [one["job"]["preset"], f"**{100 * one['tested']:.1f}**", f"{100 * one['left_out']:.1f}",
             f"{one['seconds'] / 60:.0f}"]
            for one in records
        ],
    )  # fmt: skip


def told(method: str, depth: int, values: list[float]) -> str:
    """The paper's figure and ours."""
    there = _paper.table("2")[method].get(str(depth))
    text = "" if there is None else f"{there[0]:.1f} ± {there[1]:.1f}; "
    return text + (f"**{100 * np.mean(values):.1f}**" if values else "")


def claims(found: dict[tuple[str, int], list[float]]) -> Table:
    """What the paper says of Table 2, there and here, by each method's best depth."""
    depths = {str(depth) for _, depth in found}
    papers = {
        name: max(pair[0] for depth, pair in row.items() if pair and depth in depths)
        for name, row in _paper.table("2").items()
    }
    here = {
        name: max(100 * np.mean(one) for (method, _), one in found.items() if method == name)
        for name in {method for method, _ in found}
    }
    return Table(
        "What the paper claims of it, by each network's best depth of these:",
        ["claim", "the paper", "here"],
        [["the SNN's best is above all others'", *(ahead(one) for one in (papers, here))]],
    )


def ahead(best: dict[str, float]) -> str:
    """By how much the SNN is before or behind the best other."""
    rival = max((name for name in best if name != "SNN"), key=best.__getitem__)
    gap = best["SNN"] - best[rival]
    return f"{'holds' if gap > 0 else 'does not hold'} ({gap:+.1f} to {rival})"


EXPERIMENT = Experiment(
    "tox21",
    jobs,
    run,
    tables,
    needs=("tox21/tox21.sdf.gz", "tox21/tox21_compoundData.csv"),
    source="Structures and the table with the challenge's split are published with DeepTox "
    "(Mayr et al. 2016).",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
