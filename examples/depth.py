"""One plain network of 100 layers, eight ways: which of them train, and what do their layers do?

What one learns: activation and initialization decide how a deep plain network starts, and not where
it ends. In training weights align with what activations have in common, and the variance leaves the
range in which SELU keeps it; other networks of this depth lose their signal or never learn. Weights
that are kept orthogonal cannot amplify any direction, so every layer stays in theorem 1's range,
and with SELU shaped for the depth the network learns well. Same rows, width, optimizer and seed for
all; each is trained at the same learning rates, and the one that validates better is shown.

`make demo` runs this with `--epochs 6 --deep 1000 --output demo`, which adds a network of 1,000
layers and draws demo/depth.png.
"""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import selfnorm
from selfnorm import plots
from selfnorm.init import lecun_normal_, lecun_orthogonal_
from selfnorm.theory import THEOREM_1
from selfnorm.training import Options, Rows, Shuffled
from selfnorm.watch import observe

WIDTH, ROWS_A_STEP = 64, 64
RATES = (1e-3, 3e-3)


@dataclass(frozen=True)
class Contender:
    """One way to make a deep plain network, and whether its weights are kept orthogonal."""

    name: str
    activation: Callable[[], nn.Module]
    initialize: Callable[[Tensor], object]
    batch_norm: bool = False
    keep: bool = False

    def build(self, depth: int) -> nn.Sequential:
        """The network: 64 pixels in, 10 digits out."""
        layers: list[nn.Module] = []
        for layer in range(depth):
            layers.append(self._linear(WIDTH if layer else 64, WIDTH))
            layers += [nn.BatchNorm1d(WIDTH)] if self.batch_norm else []
            layers.append(self.activation())
        return nn.Sequential(*layers, self._linear(WIDTH, 10))

    def _linear(self, fan_in: int, units: int) -> nn.Linear:
        linear = nn.Linear(fan_in, units)
        self.initialize(linear.weight.data)
        nn.init.zeros_(linear.bias)
        return linear


@dataclass(frozen=True)
class Run:
    """What came of a training."""

    name: str
    rate: float
    before: list[float]
    after: list[float]
    losses: list[float]
    validated: float
    accuracy: float
    rules: list[str]


he_normal_ = partial(nn.init.kaiming_normal_, nonlinearity="relu")


def contenders(depth: int) -> list[Contender]:
    """Eight networks; for ReLU kept orthogonal, He's gain is in the activation."""
    shaped = partial(selfnorm.nn.SELU, depth=depth)
    return [
        Contender("SELU shaped, kept", shaped, lecun_orthogonal_, keep=True),
        Contender("SELU, kept", selfnorm.nn.SELU, lecun_orthogonal_, keep=True),
        Contender("SELU + LeCun", selfnorm.nn.SELU, lecun_normal_),
        Contender("ReLU + He", nn.ReLU, he_normal_),
        Contender("ReLU + BatchNorm", nn.ReLU, he_normal_, batch_norm=True),
        Contender("tanh + Xavier", nn.Tanh, nn.init.xavier_normal_),
        Contender("ReLU, kept", ScaledReLU, lecun_orthogonal_, keep=True),
        Contender("tanh, kept", nn.Tanh, lecun_orthogonal_, keep=True),
    ]


class ScaledReLU(nn.Module):
    """ReLU with He's factor, which orthogonal weights of LeCun's size leave to the activation."""

    def forward(self, x: Tensor) -> Tensor:
        """The square root of 2 times ReLU."""
        return 2**0.5 * torch.relu(x)


def digits() -> tuple[Rows, Rows, Rows]:
    """Rows to train, to choose by, and to measure; each pixel standardized."""
    pixels, labels = load_digits(return_X_y=True)
    rest, held, targets, answers = train_test_split(
        pixels, labels, test_size=0.15, random_state=0, stratify=labels
    )
    train, check, learned, checked = train_test_split(
        rest, targets, test_size=0.15, random_state=0, stratify=targets
    )
    mean, deviation = train.mean(0), np.maximum(train.std(0), 1e-6)  # some pixels are always 0

    def rows(images: np.ndarray, classes: np.ndarray) -> Rows:
        standard = ((images - mean) / deviation).clip(-10, 10)
        return Rows(torch.from_numpy(standard).float(), torch.from_numpy(classes))

    return rows(train, learned), rows(check, checked), rows(held, answers)


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Share of right answers."""
    return float((outputs.argmax(1) == targets).double().mean())


def train(task: tuple[int, int, float, int]) -> Run:
    """Train one network; its layers before and after, its accuracy, and what an audit says."""
    number, depth, rate, epochs = task
    torch.set_num_threads(1)  # the networks are trained side by side
    torch.manual_seed(0)
    training, validation, test = digits()
    contender = contenders(depth)[number]
    model = contender.build(depth)
    roles = ("activation",)
    before = observe(model, training.inputs, roles=roles)
    history = selfnorm.training.fit(
        model,
        Shuffled(training, ROWS_A_STEP),
        validation,
        loss=nn.functional.cross_entropy,
        score=accuracy,
        options=Options(
            epochs=epochs, patience=epochs, learning_rate=rate, keep_orthogonal=contender.keep
        ),
    )
    after = observe(model, training.inputs, roles=roles)
    with torch.no_grad():
        score = accuracy(model(test.inputs), test.targets)
    is_selu = "SELU" in contender.name  # what an audit says of others is that they are not
    report = selfnorm.audit(model, training.inputs[:256]) if is_selu else None
    return Run(
        contender.name,
        rate,
        [layer.variance for layer in before],
        [layer.variance for layer in after],
        [epoch.loss for epoch in history.epochs],
        history.best.validation_loss,
        score,
        [one.rule for one in report.findings if one.severity != "note"] if report else [],
    )


def show(run: Run) -> None:
    """A line: the rate, accuracy, the last loss, and the variance at the start and the end."""
    middle, last = len(run.after) // 2 - 1, len(run.after) - 1
    layers = "".join(f"{run.after[layer]:>8.2g}" for layer in (0, middle, last))
    figures = f"{run.rate:>6g}{run.accuracy:>9.3f}{run.losses[-1]:>7.2g}{run.before[-1]:>9.2g}"
    print(f"{run.name:<24}{figures}{layers}", flush=True)


def in_range(variances: list[float]) -> bool:
    """Whether theorem 1 holds them."""
    low, high = THEOREM_1.variance
    return all(low <= variance <= high for variance in variances)


def said(best: list[Run]) -> str:
    """What the table shows, in words that are asserted."""
    shaped, kept, free, *others = best
    worst = max(*free.after, 1 / min(free.after))
    assert all(in_range(run.after) for run in (shaped, kept))
    assert not in_range(free.after)
    assert shaped.accuracy > max(run.accuracy for run in (free, *others[:3]))
    rival = max(others, key=lambda run: run.accuracy)
    return (
        f"Kept orthogonal, every SELU layer ends in theorem 1's range; with LeCun's\n"
        f"weights alone variances end up to {worst:.2g} times off. The best other network is\n"
        f"{rival.name!r}: accuracy {rival.accuracy:.3f}, variance of its last layer "
        f"{rival.after[-1]:.2g}."
    )


def main() -> None:
    """Train the networks side by side, print, draw if asked to, and assert what is said."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--deep", type=int, help="layers of one more network of the first kind")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--output", type=Path, help="folder for depth.png and depth-dark.png")
    asked = parser.parse_args()

    train_rows, _, test_rows = (len(part) for part in digits())
    rates = " and ".join(f"{rate:g}" for rate in RATES)
    print(
        f"Digits, {train_rows:,} rows, {asked.epochs} epochs: plain networks, {asked.depth} layers "
        f"of {WIDTH};\nof learning rates {rates} the one that validates better\n"
    )
    print(f"{'':30}{'accuracy':>9}{'loss':>7}{'variance':>9}{'at the end, layer':>24}")
    ends = f"{1:>8}{asked.depth // 2:>8}{asked.depth:>8}"
    print(f"{'network':<24}{'rate':>6}{f'{test_rows} rows':>9}{'':7}{'at start':>9}{ends}")
    numbers = range(len(contenders(asked.depth)))
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        deep = asked.deep and pool.submit(train, (0, asked.deep, RATES[0], asked.epochs))
        jobs = [
            [pool.submit(train, (number, asked.depth, rate, asked.epochs)) for rate in RATES]
            for number in numbers
        ]
        best: list[Run] = []
        for several in jobs:
            best.append(min((job.result() for job in several), key=lambda run: run.validated))
            show(best[-1])
        if deep:
            deepest = replace(deep.result(), name=f"{best[0].name}, {asked.deep:,}")
            show(deepest)
            assert in_range(deepest.after)
    print("\nAudit, trained:")
    for run in best[:3]:
        print(f"{run.name:<24}{', '.join(run.rules) or 'self-normalizing'}")
    print(f"\n{said(best)}")
    if asked.output is not None:
        curves = [*best, deepest] if deep else best
        asked.output.mkdir(parents=True, exist_ok=True)
        drawn = plots.depth_figure(
            [plots.Curve(r.name, r.before, r.after, r.accuracy, r.losses) for r in curves],
            title=f"digits: plain networks of {asked.depth} layers, {train_rows:,} rows",
            score=f"accuracy, {test_rows:,} held-out rows",
        )
        plots.save(drawn, asked.output / "depth.png")
        plots.save(plots.darken(drawn), asked.output / "depth-dark.png")
        print(f"\nWrote {asked.output / 'depth.png'}, and depth-dark.png for dark pages")


if __name__ == "__main__":
    main()
