"""A generative adversarial network whose critic needs no gradient penalty, and what that costs.

What one learns: a Wasserstein critic may only be so steep, which is mostly had by a penalty on its
gradient (Gulrajani et al. 2017). Weights that are kept orthogonal cannot stretch anything, so a
SELU critic with *all* of its weights kept, the output's too, is bounded by SELU's slopes alone, and
generators learn from it without any penalty; but no faster, and here less well. The generator has
to stretch noise, so its weights are free, and its variance leaves its range: batch normalization
makes the better digits. `--output FOLDER` draws what is generated.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import selfnorm
from selfnorm import plots

NOISE, DEPTH, WIDTH, BATCH = 16, 4, 64, 64
NETWORKS = {  # name: generator, critic
    "SELU, kept critic": ("SELU", "kept"),
    "SELU, penalty": ("SELU", "penalty"),
    "ReLU + BatchNorm, kept critic": ("BatchNorm", "kept"),
    "ReLU + BatchNorm, penalty": ("BatchNorm", "penalty"),
}
MEASURE = "energy distance to held-out digits"


@dataclass(frozen=True)
class Trained:
    """Energy distance of what is generated to held-out digits, some of it, and an audit."""

    name: str
    score: float
    made: Tensor
    report: selfnorm.auditing.Report

    @property
    def variances(self) -> list[float]:
        """Of each of the generator's layers."""
        return [layer.variance for layer in self.report.layers if layer.role == "activation"]


def generator_of(kind: str) -> nn.Sequential:
    """From noise to pixels between -1 and 1."""
    if kind == "SELU":
        return nn.Sequential(selfnorm.nn.MLP(NOISE, 64, width=WIDTH, depth=DEPTH), nn.Tanh())
    layers: list[nn.Module] = []
    for fan_in in (NOISE, *(WIDTH,) * (DEPTH - 1)):
        layers += [nn.Linear(fan_in, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 64), nn.Tanh())


def critic_of(kind: str) -> nn.Sequential:
    """From pixels to a number."""
    if kind == "kept":
        return selfnorm.nn.MLP(64, 1, width=2 * WIDTH, depth=4, weights="orthogonal")
    layers: list[nn.Module] = [nn.Linear(64, 2 * WIDTH), nn.LeakyReLU(0.2)]
    for _ in range(3):
        layers += [nn.Linear(2 * WIDTH, 2 * WIDTH), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(2 * WIDTH, 1))


def penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """How far the slopes between real and fake are from 1."""
    share = torch.rand(len(real), 1)
    between = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return 10 * (slope.norm(dim=1) - 1).square().mean()


def train(name: str, learned: Tensor, held: Tensor, steps: int, seed: int) -> Trained:
    """Three steps of the critic for one of the generator, by Adam."""
    torch.manual_seed(seed)
    generating, judging = NETWORKS[name]
    generator, critic = generator_of(generating), critic_of(judging)
    ours = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
    theirs = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
    if judging == "kept":
        every = [name for name, _ in critic.named_parameters() if name.endswith("weight")]
        selfnorm.optim.keep_orthogonal(theirs, critic, include=every)
    for step in range(4 * steps):
        fake = generator(torch.randn(BATCH, NOISE))
        if step % 4 == 3:
            ours.zero_grad()
            (-critic(fake).mean()).backward()
            ours.step()
            continue
        fake, real = fake.detach(), learned[torch.randint(len(learned), (BATCH,))]
        loss = critic(fake).mean() - critic(real).mean()
        theirs.zero_grad()
        (loss + penalty(critic, real, fake) if judging == "penalty" else loss).backward()
        theirs.step()
    generator.eval()
    with torch.no_grad():
        made = generator(torch.randn(1000, NOISE))
    report = selfnorm.audit(generator, torch.randn(512, NOISE))
    return Trained(name, energy(made, held), made, report)


def energy(made: Tensor, real: Tensor) -> float:
    """Energy distance of two samples (Szekely and Rizzo 2013); 0 for one distribution."""
    across, one, other = torch.cdist(made, real), torch.cdist(made, made), torch.cdist(real, real)
    rows, others = len(made), len(real)
    own = one.sum() / (rows * (rows - 1)) + other.sum() / (others * (others - 1))
    return float(2 * across.mean() - own)


def untrained(seed: int) -> float:
    """The energy distance of what a SELU generator makes at first."""
    torch.manual_seed(seed)
    images = torch.from_numpy(load_digits().data).float() / 8 - 1
    with torch.no_grad():
        return energy(generator_of("SELU")(torch.randn(1000, NOISE)), images)


def compare(seed: int, *, quick: bool = False) -> list[Trained]:
    """All pairs of networks, on the same digits; if quick, two."""
    torch.set_num_threads(1)  # layers this small are no quicker on more
    images = torch.from_numpy(load_digits().data).float() / 8 - 1
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    learned, held = images[order].split([1437, 360])
    names = list(NETWORKS)[: 2 if quick else 4]
    return [train(name, learned, held, 120 if quick else 250, seed) for name in names]


def draw(runs: list[Trained], folder: Path) -> None:
    """Some digits that each has generated."""
    title = f"Digits from {NOISE} numbers of noise"
    layers = {run.name: run.variances for run in runs}
    figure, (panel,) = plots.layers_figure(layers, title=title, panels=["Generated"])
    digits = torch.stack([run.made[:16] for run in runs]).unflatten(2, (8, 8))
    framed = nn.functional.pad(digits, (1,) * 4, value=torch.nan).unflatten(1, (2, 8))
    picture = framed.transpose(2, 3).flatten(3).flatten(0, 2)  # two rows of eight for each
    panel.imshow(picture.numpy(), cmap="gray", aspect="auto")
    names = [run.name.replace(", ", ",\n").replace(" + ", "\n+ ") for run in runs]
    panel.set_yticks([9.5 + 20 * k for k in range(len(runs))], names, fontsize=8)
    panel.set_xticks([])
    panel.grid(visible=False)
    plots.save(figure, folder / "adversarial.png", colors=192)
    plots.save(plots.darken(figure), folder / "adversarial-dark.png", colors=192)


def main() -> None:
    """Train, print, draw if asked to, and assert what the docstring says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two of four, fewer steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder for adversarial.png, light and dark")
    asked = parser.parse_args()
    runs = compare(asked.seed, quick=asked.quick)
    print(f"Digits from {NOISE} numbers of noise: a generator of {DEPTH} layers, a critic of 4\n")
    print(f"{'generator, critic':<32}{'energy distance':>17}{'variance by layer':>22}")
    for run in runs:
        ends = f"{min(run.variances):.2g} to {max(run.variances):.2g}"
        print(f"{run.name:<32}{run.score:>17.4f}{ends:>22}")
    kept, penalized = runs[:2]
    wrong = [one.rule for one in kept.report.findings if one.severity != "note"]
    rules = ", ".join(wrong) or "self-normalizing"
    print("\n" + fill(f"Audit of the first generator: {rules}", 80))
    assert min(kept.score, penalized.score) > 0
    assert max(kept.score, penalized.score) < 0.5 * untrained(asked.seed)
    print("It learns from a critic without a penalty; untrained it is twice as far or more.")
    if asked.output:
        asked.output.mkdir(parents=True, exist_ok=True)
        draw(runs, asked.output)


if __name__ == "__main__":
    main()
