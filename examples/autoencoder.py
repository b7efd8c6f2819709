"""A deep autoencoder: twelve plain layers on each side of eight numbers.

What one learns: an autoencoder is twice as deep as it looks, and only the SELU network that is kept
orthogonal uses that depth: others stay behind eight principal components. Its bottleneck is the
place to look at: it has fewer units than inputs, and finds the directions that vary most, so that
the decoder is given more variance than the encoder was, and works it off layer by layer.
`--output FOLDER` draws what becomes of digits that were held out.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import Tensor, nn

import selfnorm
from selfnorm import plots

DEPTH, WIDTH, CODE, BATCH = 12, 64, 8, 64
# Learning rates: the better of .001 and .004, found with seed 0.
NETWORKS = {"SELU, kept orthogonal": 4e-3, "ReLU + He": 1e-3, "ReLU + BatchNorm": 4e-3}
MEASURE = "squared error on held-out digits, a share of their variance"


@dataclass(frozen=True)
class Trained:
    """A network's error on held-out digits, what it makes of them, and what an audit says."""

    name: str
    score: float
    made: Tensor
    report: selfnorm.auditing.Report | None = None

    @property
    def variances(self) -> list[float]:
        """Of each layer's activations."""
        layers = self.report.layers if self.report else ()
        return [layer.variance for layer in layers if layer.role == "activation"]


def half(name: str, inputs: int, outputs: int) -> nn.Sequential:
    """An encoder or a decoder."""
    if name.startswith("SELU"):  # each of the two is shaped for its half of the depth
        sizes = {"width": WIDTH, "depth": DEPTH, "growth": 2**0.5}
        return selfnorm.nn.MLP(inputs, outputs, weights="orthogonal", **sizes)
    layers: list[nn.Module] = []
    for fan_in in (inputs, *(WIDTH,) * (DEPTH - 1)):
        layers.append(nn.Linear(fan_in, WIDTH))
        nn.init.kaiming_normal_(layers[-1].weight, nonlinearity="relu")
        nn.init.zeros_(layers[-1].bias)
        layers += [nn.BatchNorm1d(WIDTH), nn.ReLU()] if "Norm" in name else [nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, outputs))


def train(name: str, images: Tensor, held: Tensor, epochs: int, seed: int) -> Trained:
    """Squared error, Adam, a cosine."""
    torch.manual_seed(seed)
    model = nn.Sequential(half(name, 64, CODE), half(name, CODE, 64))
    optimizer = torch.optim.Adam(model.parameters(), lr=NETWORKS[name])
    if name.startswith("SELU"):
        selfnorm.optim.keep_orthogonal(optimizer, model)  # all but the last layer
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(images[rows]), images[rows]).backward()
            optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        made = model(held)
    error = float(nn.functional.mse_loss(made, held) / held.var())
    return Trained(name, error, made, selfnorm.audit(model, images[:512]))


def compare(seed: int, *, quick: bool = False) -> list[Trained]:
    """All networks, on the same rows."""
    torch.set_num_threads(1)  # layers this small are no quicker on more
    images, held = split(seed)
    runs = [train(name, images, held, 8 if quick else 20, seed) for name in NETWORKS]
    return [*runs, principal(images, held)]


def split(seed: int) -> tuple[Tensor, Tensor]:
    """Digits to learn and digits held out, in units of their own deviation."""
    images = torch.from_numpy(load_digits().data).float()
    images = (images - images.mean()) / images.std()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images[order[:1437]], images[order[1437:]]


def principal(images: Tensor, held: Tensor) -> Trained:
    """As many principal components: the best that a linear network can do."""
    pca = PCA(CODE, random_state=0).fit(images.numpy())
    made = torch.from_numpy(pca.inverse_transform(pca.transform(held.numpy())))
    error = float(nn.functional.mse_loss(made, held) / held.var())
    return Trained(f"{CODE} principal components", error, made)


def draw(runs: list[Trained], seed: int, folder: Path) -> None:
    """Held-out digits, and what each network makes of them."""
    title = f"Digits through {CODE} numbers: {DEPTH} + {DEPTH} layers"
    layers = {run.name: run.variances for run in runs[:-1]}
    figure, (panel,) = plots.layers_figure(layers, title=title, panels=["Held out, and rebuilt"])
    rows = [split(seed)[1], *(run.made for run in runs)]
    digits = torch.stack([row[:8] for row in rows]).unflatten(2, (8, 8))
    digits = nn.functional.pad(digits, (1,) * 4, value=torch.nan)
    picture = digits.transpose(1, 2).flatten(2).flatten(0, 1)
    panel.imshow(picture.numpy(), cmap="gray", vmin=-0.8, vmax=1.9, aspect="auto")
    names = ("held out", *(run.name.replace(" ", "\n", 1) for run in runs))
    panel.set_yticks([4.5 + 10 * k for k in range(len(rows))], names, fontsize=8)
    panel.set_xticks([])
    panel.grid(visible=False)
    plots.save(figure, folder / "autoencoder.png", colors=64)
    plots.save(plots.darken(figure), folder / "autoencoder-dark.png", colors=64)


def main() -> None:
    """Train, print, draw if asked to, and assert what the docstring says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder for autoencoder.png, light and dark")
    asked = parser.parse_args()
    runs = compare(asked.seed, quick=asked.quick)
    print(f"Digits through {CODE} numbers: {DEPTH} + {DEPTH} plain layers of {WIDTH}\n")
    print(f"{'':<24}{'error, share of variance':>26}{'variance by layer':>24}")
    for run in runs:
        ends = f"{min(run.variances):.2g} to {max(run.variances):.2g}" if run.report else ""
        print(f"{run.name:<24}{run.score:>26.3f}{ends:>24}")
    kept, *others = runs
    wrong = [one.rule for one in kept.report.findings if one.severity != "note"]
    rules = ", ".join(wrong) or "self-normalizing"
    print("\n" + fill(f"Audit of the first, trained: {rules}", 80))
    assert kept.score < min(run.score for run in others)
    print("Only the kept SELU network is better than principal components.")
    if asked.output:
        asked.output.mkdir(parents=True, exist_ok=True)
        draw(runs, asked.seed, asked.output)


if __name__ == "__main__":
    main()
