"""Flow matching on two moons: what to mend of the usual network, and what not to add.

What one learns: conditional flow matching (Lipman et al. 2023, Tong et al. 2023) is mostly done
by a small SELU network with torch's default weights that is given points and time as they are.
`nn.Standardize` for the points, `nn.PeriodicFeatures` for the time and `nn.MLP` make it
self-normalizing, and its moons better. Keeping its weights orthogonal makes them worse: a flow that
splits a cloud in two is steep, and orthogonal weights cannot stretch. ReLU does as well here.
`--output FOLDER` draws the points.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import torch
from sklearn.datasets import make_moons
from torch import Tensor, nn

import selfnorm
from selfnorm import plots

DEPTH, WIDTH, BATCH, EULER = 6, 64, 256, 50
NETWORKS = ("SELU, as found", "SELU, mended", "SELU, kept orthogonal", "ReLU + He")
MEASURE = "energy distance to fresh moons"


@dataclass(frozen=True)
class Trained:
    """Energy distance of where noise flows to fresh moons, the points, and an audit."""

    name: str
    score: float
    made: Tensor
    report: selfnorm.auditing.Report

    @property
    def variances(self) -> list[float]:
        """Of each layer's activations."""
        return [layer.variance for layer in self.report.layers if layer.role == "activation"]


class Velocity(nn.Module):
    """Where points move at a time: (rows, 2) and (rows, 1) in, (rows, 2) out."""

    def __init__(self, name: str, points: Tensor) -> None:
        super().__init__()
        self.points, self.time = nn.Identity(), nn.Identity()
        inputs = 3
        if "found" not in name:
            self.points = selfnorm.nn.Standardize(2).fit(points)
            self.time = selfnorm.nn.PeriodicFeatures(1, waves=4)
            inputs = 2 + 8
        weights = "orthogonal" if "kept" in name else "lecun"
        self.body = selfnorm.nn.MLP(inputs, 2, width=WIDTH, depth=DEPTH, weights=weights)
        for number in range(1, DEPTH + 1):
            linear = self.body.get_submodule(f"linear{number}")
            if "found" in name:
                linear.reset_parameters()  # torch's default
            elif "ReLU" in name:
                nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
                setattr(self.body, f"selu{number}", nn.ReLU())

    def forward(self, points: Tensor, time: Tensor) -> Tensor:
        """The velocity; time is from 0 to 1, half a turn, so that its ends differ."""
        return self.body(torch.cat([self.points(points), self.time(time / 2)], 1))


def moons(count: int, seed: int) -> Tensor:
    """Points of the two half circles, with a little noise."""
    return torch.from_numpy(make_moons(count, noise=0.05, random_state=seed)[0]).float()


def between(data: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Points on the way from noise to data, the time, and the velocity that leads there."""
    noise, ends = torch.randn(count, 2), data[torch.randint(len(data), (count,))]
    time = torch.rand(count, 1)
    return (1 - time) * noise + time * ends, time, ends - noise


def train(name: str, steps: int, seed: int) -> Trained:
    """Squared error, Adam, a cosine; then noise flows by Heun's steps."""
    torch.manual_seed(seed)
    data = moons(10_000, seed)
    model = Velocity(name, between(data, 4096)[0])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    if "kept" in name:
        selfnorm.optim.keep_orthogonal(optimizer, model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        points, time, velocity = between(data, BATCH)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(points, time), velocity).backward()
        optimizer.step()
        schedule.step()
    model.eval()
    points = torch.randn(2000, 2)
    with torch.no_grad():
        for step in range(EULER):
            now, later = (torch.full((len(points), 1), (step + k) / EULER) for k in (0, 1))
            first = model(points, now)
            points = points + (first + model(points + first / EULER, later)) / (2 * EULER)
    report = selfnorm.audit(model, between(data, 512)[:2])
    return Trained(name, energy(points, moons(4000, 1000 + seed)), points, report)


def energy(made: Tensor, real: Tensor) -> float:
    """Energy distance of two samples (Szekely and Rizzo 2013); 0 for one distribution."""
    across, one, other = torch.cdist(made, real), torch.cdist(made, made), torch.cdist(real, real)
    rows, others = len(made), len(real)
    own = one.sum() / (rows * (rows - 1)) + other.sum() / (others * (others - 1))
    return float(2 * across.mean() - own)


def compare(seed: int, *, quick: bool = False) -> list[Trained]:
    """All networks, on the same points."""
    torch.set_num_threads(1)  # layers this small are no quicker on more
    return [train(name, 300 if quick else 1000, seed) for name in NETWORKS]


def draw(runs: list[Trained], folder: Path) -> None:
    """Where noise has flown."""
    layers = {run.name: run.variances for run in runs}
    title = "Two moons, flowed from noise"
    figure, panels = plots.layers_figure(layers, title=title, panels=list(layers))
    for number, (panel, run) in enumerate(zip(panels, runs, strict=True)):
        panel.set_prop_cycle(color=plots.COLORS[number:])
        panel.scatter(*run.made[:1000].T.numpy(), s=1)
        panel.set(xlim=(-1.6, 2.6), ylim=(-1.4, 1.8), xticks=[], yticks=[])
    plots.save(figure, folder / "flow_matching.png", colors=64)
    plots.save(plots.darken(figure), folder / "flow_matching-dark.png", colors=64)


def main() -> None:
    """Train, print, draw if asked to, and assert what the docstring says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder for flow_matching.png, light and dark")
    asked = parser.parse_args()
    runs = compare(asked.seed, quick=asked.quick)
    print(f"Two moons, flowed from noise: {DEPTH} plain layers of {WIDTH}\n")
    print(f"{'':<24}{'energy distance':>17}{'variance by layer':>24}")
    for run in runs:
        ends = f"{min(run.variances):.2g} to {max(run.variances):.2g}"
        print(f"{run.name:<24}{run.score:>17.4f}{ends:>24}")
    found, mended, kept, _ = runs
    for run in (found, mended):
        wrong = [one.rule for one in run.report.findings if one.severity != "note"]
        rules = ", ".join(wrong) or "self-normalizing"
        print("\n" + fill(f"Audit of {run.name!r}: {rules}", 80))
    assert mended.score < min(found.score, kept.score)
    print("\nMended it flows better; kept orthogonal it cannot be steep enough.")
    if asked.output:
        asked.output.mkdir(parents=True, exist_ok=True)
        draw(runs, asked.output)


if __name__ == "__main__":
    main()
