"""Table 2: the Tox21 challenge, twelve tasks with missing labels, by depth.

The challenge's own split: rows named training train, but for one of five folds that chooses rate,
dropout and step; test rows judge, by the mean of twelve AUCs. At one depth all five folds are left
out in turn, and what the five networks say is averaged, too. Beside them `SelfNormClassifier`,
whose networks each leave out some skeletons, as it is: twelve labels at once, the unknown as nan.
"""

import warnings
from dataclasses import dataclass
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
              "methods": ("SNN", "MSRAinit"), "presets": (), "together": ()},
    "short": {"depths": (2, 8, 4), "width": 64, "steps": 400, "dropout": True, "folds": (0,),
              "methods": tuple(METHODS), "presets": ("default",), "together": (4,)},
    "full": {"depths": (2, 3, 4, 6, 8, 16, 32), "width": 512, "steps": 5_000, "dropout": True,
             "folds": range(FOLDS), "methods": tuple(METHODS), "presets": ("default", "best"),
             "together": (8,)},
}  # fmt: skip


def jobs(form: Form, _: Path) -> list[Job]:
    """A job is all learning rates and dropout rates of one depth and method.

    It has one fold, or all of them (`together`); the estimators have jobs of their own.
    """
    grid = GRIDS[form]
    same = {fact: grid[fact] for fact in ("width", "steps", "dropout")}
    return [
        *({"preset": preset, "seed": 0} for preset in grid["presets"]),
        *({"fold": fold, "depth": depth, "method": method, **same}
          for fold in grid["folds"] for depth in grid["depths"] for method in grid["methods"]),
        *({"together": FOLDS, "depth": depth, "method": method, **same}
          for depth in grid["together"] for method in grid["methods"]),
    ]  # fmt: skip


@dataclass
class Member:
    """The look of a network with the best AUC on its fold, and what it says of test rows then."""

    validated: float = 0.0
    tested: float = 0.0
    step: int = 0
    said: Tensor | None = None


def prepare(data: Path) -> None:
    """Have RDKit read the molecules, which takes minutes, before processes ask for them."""
    _molecules.load(data / "tox21", CACHE)


@cache
def table(data: Path) -> tuple[_molecules.Molecules, np.ndarray]:
    """The molecules, and in which fold each is; those of one skeleton are in one."""
    found = _molecules.load(data / "tox21", CACHE)
    _, number = np.unique(found.skeleton, return_inverse=True)
    fold = np.random.default_rng(0).permutation(number.max() + 1)[number] % FOLDS
    return found, fold


def run(job: Job, data: Path) -> Record:
    """The best look of each member on a fold; or of all folds' best members, alone and together."""
    if "preset" in job:
        return estimated(job["preset"], job["seed"], data)
    if "together" in job:
        return ensemble(job, data)
    members = trained(job, job["fold"], data)
    return {"members": [{"validated": one.validated, "tested": one.tested, "step": one.step}
                        for one in members]}  # fmt: skip


def trained(job: Job, number: int, data: Path) -> list[Member]:
    """Networks that leave a fold out, each at the look with the best AUC on that fold."""
    found, fold = table(data)
    test = found.part == "test"
    masks = (~test & (fold != number), ~test & (fold == number), test)
    training, held, judged = (torch.from_numpy(np.flatnonzero(one)) for one in masks)
    rows, labels = Counts.of(found.counts, found.dense, masks[0]), torch.from_numpy(found.labels)
    method = METHODS[job["method"]]
    rates, dropout = method.grid(RATES, both=job["dropout"])
    model = build(method, Shape(rows.width, job["depth"], job["width"], labels.shape[1], dropout))
    plan = Plan(rates, job["steps"], batch=128, every=max(1, job["steps"] // 12))
    parts = [rows[held], rows[judged]]
    best = [Member() for _ in rates]
    for look in looks(model, rows[training], labels[training].float(), parts, plan, known_loss):
        for place, (held_said, said) in enumerate(zip(*look.outputs, strict=True)):
            validated = mean_auc(labels[held], held_said)
            if validated > best[place].validated:
                tested = mean_auc(labels[judged], said)
                best[place] = Member(validated, tested, look.step, said)
    return best


def ensemble(job: Job, data: Path) -> Record:
    """The AUC of each fold's best network, and of the mean of what all of them say."""
    best = [
        max(trained(job, fold, data), key=lambda one: one.validated)
        for fold in range(job["together"])
    ]
    said = [one.said.sigmoid() for one in best if one.said is not None]
    found, _ = table(data)
    labels = torch.from_numpy(found.labels[found.part == "test"])
    together = mean_auc(labels, torch.stack(said).mean(0)) if said else 0.0
    return {"alone": [one.tested for one in best], "tested": together}


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
    together = [one for one in records if "together" in one["job"]]
    records = [one for one in records if "fold" in one["job"]]
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
    for setting, group in by_setting(together, ("depth", "width", "steps", "dropout")).items():
        made.append(folds(setting, group))
    return [*made, beside(ours)] if ours else made


def folds(setting: str, records: list[Record]) -> Table:
    """Single networks and their ensemble, the best ensemble first."""
    count = records[0]["job"]["together"]
    lines = [
        [
            one["job"]["method"],
            f"{100 * np.mean(one['alone']):.1f} ± {100 * np.std(one['alone'], ddof=1):.1f}",
            f"**{100 * one['tested']:.1f}**",
        ]
        for one in sorted(records, key=lambda one: -one["tested"])
    ]
    return Table(
        f"{count} networks, each with another fold left out to choose by, and their mean; "
        f"{setting}. AUC in percent:",
        ["network", "alone, mean and deviation", "ensemble"],
        lines,
    )


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
    prepare=prepare,
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
