"""A recurrent network of one layer reads digits pixel by pixel: sixty-four steps are a depth, too.

What one learns: a recurrent network is as deep as its sequence is long, with one matrix in all of
its layers. Kept orthogonal, it neither amplifies nor forgets; `sqrt(1 - share)` and `sqrt(share)`
weigh state and input so that their sum keeps variance 1; and SELU is shaped for the sixty-four
steps. So it is ahead of an LSTM of as many units, which has four times its weights, after as many
epochs, and the variance of its state is near 1 at each step. `--output FOLDER` draws both.
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

STEPS, UNITS, SHARE, BATCH = 64, 64, 0.05, 64
NETWORKS = {  # learning rates: the better of .003 and .01, found with seed 0
    "SELU, kept orthogonal": 1e-2,
    "ReLU, kept orthogonal": 1e-2,
    "tanh, kept orthogonal": 1e-2,
    "LSTM": 1e-2,
}
MEASURE = "accuracy on 360 held-out digits"


class Recurrent(nn.Module):
    """`state <- f(sqrt(1 - share) * W state + sqrt(share) * V input)`."""

    def __init__(self, activation: nn.Module, gain: float = 1.0) -> None:
        super().__init__()
        self.input, self.state = nn.Linear(1, UNITS), nn.Linear(UNITS, UNITS, bias=False)
        self.activation, self.output, self.gain = activation, nn.Linear(UNITS, 10), gain
        self.register_buffer("start", torch.randn(UNITS))  # a state as all later ones
        selfnorm.init.initialize_(self, distribution="orthogonal")

    def forward(self, x: Tensor) -> Tensor:
        """From (rows, steps) to (rows, classes)."""
        state = self.start.expand(len(x), -1)
        for pixel in x.split(1, dim=1):
            old, new = self.state(state), self.input(pixel)
            state = self.activation(self.gain * ((1 - SHARE) ** 0.5 * old + SHARE**0.5 * new))
        return self.output(state)


class LSTM(nn.Module):
    """Torch's, with forget gates that begin open (Jozefowicz et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.output = nn.LSTM(1, UNITS, batch_first=True), nn.Linear(UNITS, 10)
        self.lstm.bias_hh_l0.data[UNITS : 2 * UNITS] = 1

    def forward(self, x: Tensor) -> Tensor:
        """From (rows, steps) to (rows, classes)."""
        return self.output(self.lstm(x[..., None])[0][:, -1])


@dataclass(frozen=True)
class Trained:
    """A network's accuracy on held-out digits, its losses, and what an audit says."""

    name: str
    score: float
    losses: list[float]
    report: selfnorm.auditing.Report

    @property
    def variances(self) -> list[float]:
        """Of the state, at each step."""
        return [layer.variance for layer in self.report.layers if layer.role == "activation"]


def train(name: str, rows: tuple[Tensor, ...], epochs: int, seed: int) -> Trained:
    """Cross-entropy, Adam, a cosine, clipped gradients."""
    pixels, digits, held, answers = rows
    torch.manual_seed(seed)
    model = {
        "SELU": lambda: Recurrent(selfnorm.nn.SELU(depth=STEPS)),
        "ReLU": lambda: Recurrent(nn.ReLU(), gain=2**0.5),
        "tanh": lambda: Recurrent(nn.Tanh()),
        "LSTM": LSTM,
    }[name[:4]]()
    optimizer = torch.optim.Adam(model.parameters(), lr=NETWORKS[name])
    if "kept" in name:
        selfnorm.optim.keep_orthogonal(optimizer, model, include=["state"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(pixels)).split(BATCH):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(pixels[batch]), digits[batch])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item() * len(batch) / len(pixels)
        schedule.step()
        losses.append(total)
    model.eval()
    with torch.no_grad():
        right = model(held).argmax(1) == answers
    return Trained(name, float(right.double().mean()), losses, selfnorm.audit(model, pixels[:512]))


def compare(seed: int, *, quick: bool = False) -> list[Trained]:
    """All networks, on the same rows."""
    torch.set_num_threads(1)  # layers this small are no quicker on more
    pixels, labels = (torch.from_numpy(part) for part in load_digits(return_X_y=True))
    pixels = ((pixels - pixels.mean()) / pixels.std()).float()
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(seed))
    learned, held = order.split([1437, 360])
    rows = pixels[learned], labels[learned], pixels[held], labels[held]
    return [train(name, rows, 4 if quick else 12, seed) for name in NETWORKS]


def draw(runs: list[Trained], folder: Path) -> None:
    """The loss of each epoch, and the state's variance at each step."""
    layers = {run.name: run.variances for run in runs if run.variances}
    title = f"Digits, pixel by pixel: {UNITS} recurrent units, {STEPS} steps"
    figure, (panel,) = plots.layers_figure(layers, title=title, panels=["Training loss"])
    for run in runs:
        panel.plot(run.losses)
    panel.text(0, runs[-1].losses[0], " LSTM", fontsize=8, va="bottom")
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter("{x:g}")
    panel.set_xlabel("epoch")
    figure.axes[-1].set_xlabel("step of the sequence")
    plots.save(figure, folder / "recurrent.png", colors=64)
    plots.save(plots.darken(figure), folder / "recurrent-dark.png", colors=64)


def main() -> None:
    """Train, print, draw if asked to, and assert what the docstring says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder for recurrent.png, light and dark")
    asked = parser.parse_args()
    runs = compare(asked.seed, quick=asked.quick)
    print(f"Digits, pixel by pixel: {UNITS} recurrent units, {STEPS} steps\n")
    print(f"{'':<24}{'accuracy, held out':>20}{'variance by step':>24}")
    for run in runs:
        ends = f"{min(run.variances):.2g} to {max(run.variances):.2g}" if run.variances else ""
        print(f"{run.name:<24}{run.score:>20.3f}{ends:>24}")
    kept, *others = runs
    wrong = sorted({one.rule for one in kept.report.findings if one.severity != "note"})
    rules = ", ".join(wrong) or "self-normalizing"
    print("\n" + fill(f"Audit of the first, trained: {rules}", 80))
    assert all(0.5 < variance < 2 for variance in kept.variances)
    assert kept.score > 0.05 + max(run.score for run in others)
    print("At each step its state has a variance near 1, and it has learned most.")
    if asked.output:
        asked.output.mkdir(parents=True, exist_ok=True)
        draw(runs, asked.output)


if __name__ == "__main__":
    main()
