"""Thirty plain convolutions, without normalization layers and without skip connections.

What one learns: a convolution can be orthogonal on the whole image, not only within its window:
`initialize_(distribution="isometric")` starts there, `keep_orthogonal(convolutions="operators")`
stays there. Then no layer can amplify any pattern, and every one of thirty is in theorem 1's range
after training. In the same few epochs ReLU with He's weights learns less and its variance leaves
any range; with batch normalization it learns least.
`--output FOLDER` draws the losses, and the layers after training.
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
from selfnorm.theory import THEOREM_1

DEPTH, CHANNELS, BATCH = 30, 16, 64
# Learning rates: the better of .001 and .003, found with seed 0.
NETWORKS = {"SELU, kept orthogonal": 3e-3, "ReLU + He": 1e-3, "ReLU + BatchNorm": 3e-3}
MEASURE = "accuracy on 360 held-out digits"


@dataclass(frozen=True)
class Trained:
    """A network's accuracy on held-out digits, its losses, and what an audit says."""

    name: str
    score: float
    losses: list[float]
    report: selfnorm.auditing.Report

    @property
    def variances(self) -> list[float]:
        """Of each layer's activations."""
        return [layer.variance for layer in self.report.layers if layer.role == "activation"]


def network(name: str) -> nn.Sequential:
    """Thirty times convolution and activation; circular padding loses nothing at the border."""
    layers: list[nn.Module] = []
    for fan_in in (1, *(CHANNELS,) * (DEPTH - 1)):
        layers.append(nn.Conv2d(fan_in, CHANNELS, 3, padding=1, padding_mode="circular"))
        nn.init.kaiming_normal_(layers[-1].weight, nonlinearity="relu")
        nn.init.zeros_(layers[-1].bias)
        layers += [nn.BatchNorm2d(CHANNELS)] if "Norm" in name else []
        layers.append(selfnorm.nn.SELU(depth=DEPTH) if "SELU" in name else nn.ReLU())
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(CHANNELS * 64, 10))
    if "SELU" in name:
        selfnorm.init.initialize_(model, distribution="isometric")
    return model


def train(name: str, rows: tuple[Tensor, ...], epochs: int, seed: int) -> Trained:
    """Cross-entropy, Adam, a cosine, clipped gradients."""
    images, digits, held, answers = rows
    torch.manual_seed(seed)
    model = network(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=NETWORKS[name])
    if "SELU" in name:
        selfnorm.optim.keep_orthogonal(optimizer, model, convolutions="operators")
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(BATCH)[: len(images) // BATCH]:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images[batch]), digits[batch])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        right = model(held).argmax(1) == answers
    report = selfnorm.audit(model, images[:256])
    return Trained(name, float(right.double().mean()), losses, report)


def compare(seed: int, *, quick: bool = False) -> list[Trained]:
    """All networks, on the same rows."""
    torch.set_num_threads(1)  # layers this small are no quicker on more
    pixels, labels = (torch.from_numpy(part) for part in load_digits(return_X_y=True))
    images = pixels.float().reshape(-1, 1, 8, 8)
    images = (images - images.mean()) / images.std()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    learned, held = order.split([1437, 360])
    rows = images[learned], labels[learned], images[held], labels[held]
    return [train(name, rows, 1 if quick else 4, seed) for name in NETWORKS]


def draw(runs: list[Trained], folder: Path) -> None:
    """The loss of each step, and each layer."""
    title = f"Digits: {DEPTH} plain convolutions"
    layers = {run.name: run.variances for run in runs}
    figure, (panel,) = plots.layers_figure(layers, title=title, panels=["Training loss"])
    for run in runs:
        panel.plot(run.losses)
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter("{x:g}")
    panel.set_xlabel("step")
    plots.save(figure, folder / "deep_convolutions.png", colors=64)
    plots.save(plots.darken(figure), folder / "deep_convolutions-dark.png", colors=64)


def main() -> None:
    """Train, print, draw if asked to, and assert what the docstring says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder for the figure, light and dark")
    asked = parser.parse_args()
    runs = compare(asked.seed, quick=asked.quick)
    print(f"Digits: {DEPTH} plain convolutions of {CHANNELS} channels\n")
    print(f"{'':<24}{'accuracy, held out':>20}{'variance by layer':>24}")
    for run in runs:
        ends = f"{min(run.variances):.2g} to {max(run.variances):.2g}"
        print(f"{run.name:<24}{run.score:>20.3f}{ends:>24}")
    kept, *others = runs
    wrong = [one.rule for one in kept.report.findings if one.severity != "note"]
    rules = ", ".join(wrong) or "self-normalizing"
    print("\n" + fill(f"Audit of the first, trained: {rules}", 80))
    low, high = THEOREM_1.variance
    assert all(low <= variance <= high for variance in kept.variances)
    assert kept.score > 0.03 + max(run.score for run in others)
    print("Every layer of the kept network is in theorem 1's range, and it learns most.")
    if asked.output:
        asked.output.mkdir(parents=True, exist_ok=True)
        draw(runs, asked.output)


if __name__ == "__main__":
    main()
