"""One deep plain network, four ways: which of them trains, and what do its layers do?

What one learns: activation and initialization decide how a deep plain network starts. With LeCun's
weights each of 32 SELU layers begins with variance near 1; with Xavier's, tanh's falls to a
hundredth. They do not decide where it ends: in training SELU's variance moves as well, and given
enough epochs the others learn, too. Same rows, width, depth, optimizer, learning rate and seed.

`make demo` runs this with `--epochs 30 --output demo`, which draws demo/depth.png.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import selfnorm
from selfnorm import plots
from selfnorm.training import Options, Rows, Shuffled
from selfnorm.watch import observe

DEPTH, WIDTH, RATE = 32, 128, 1e-3
LAYERS = (1, DEPTH // 2, DEPTH)


@dataclass(frozen=True)
class Contender:
    """One way to make a deep plain network: activation, initialization, normalization."""

    name: str
    activation: Callable[[], nn.Module]
    initialize: Callable[[Tensor], object]
    batch_norm: bool = False

    def build(self) -> nn.Sequential:
        """The network: 64 pixels in, 10 digits out."""
        layers: list[nn.Module] = []
        for layer in range(DEPTH):
            layers.append(self._linear(WIDTH if layer else 64, WIDTH))
            layers += [nn.BatchNorm1d(WIDTH)] if self.batch_norm else []
            layers.append(self.activation())
        return nn.Sequential(*layers, self._linear(WIDTH, 10))

    def _linear(self, fan_in: int, units: int) -> nn.Linear:
        linear = nn.Linear(fan_in, units)
        self.initialize(linear.weight.data)
        nn.init.zeros_(linear.bias)
        return linear


def he_normal_(weight: Tensor) -> Tensor:
    """Normal weights of variance 2/fan_in."""
    return nn.init.kaiming_normal_(weight, nonlinearity="relu")


CONTENDERS = (
    Contender("SELU + LeCun", selfnorm.nn.SELU, selfnorm.init.lecun_normal_),
    Contender("ReLU + He", nn.ReLU, he_normal_),
    Contender("ReLU + He + BatchNorm", nn.ReLU, he_normal_, batch_norm=True),
    Contender("tanh + Xavier", nn.Tanh, nn.init.xavier_normal_),
)


def digits() -> tuple[Rows, Rows, Rows]:
    """Rows to train, to choose the best epoch, and to measure; each pixel standardized."""
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


def contest(contender: Contender, epochs: int) -> plots.Curve:
    """Train one network; its layers before and after, and its accuracy on held-out rows."""
    training, validation, test = digits()
    torch.manual_seed(0)
    model = contender.build()
    options = Options(epochs=epochs, patience=epochs, learning_rate=RATE)
    roles = ("activation",)
    before = observe(model, training.inputs, roles=roles)
    selfnorm.training.fit(
        model,
        Shuffled(training, options.batch_rows(len(training))),
        validation,
        loss=nn.functional.cross_entropy,
        score=accuracy,
        options=options,
    )
    after = observe(model, training.inputs, roles=roles)
    with torch.no_grad():
        score = accuracy(model(test.inputs), test.targets)
    variances = ([layer.variance for layer in moment] for moment in (before, after))
    return plots.Curve(contender.name, *variances, score)


def show(curve: plots.Curve) -> None:
    """Accuracy, and the variance at the first, middle and last layer."""
    for when, variances in (("start", curve.before), ("end", curve.after)):
        name, score = (curve.name, f"{curve.score:.3f}") if when == "start" else ("", "")
        shown = "".join(f"{variances[layer - 1]:>8.2g}" for layer in LAYERS)
        print(f"{name:<22}{score:>10}   {when:<6}{shown}")


def main() -> None:
    """Train four networks, print, draw if asked to, and assert what the docstring says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--output", type=Path, help="folder for depth.png and depth-dark.png")
    asked = parser.parse_args()

    training, _, test = digits()
    print(
        f"Digits: plain networks of {DEPTH} layers, {len(training):,} rows, {asked.epochs} epochs\n"
    )
    print(f"{'':<22}{'accuracy':>10}{'variance at layer':>33}")
    print(f"{'network':<22}{f'{len(test)} rows':>10}{'':9}" + "".join(f"{n:>8}" for n in LAYERS))
    curves: list[plots.Curve] = []
    for contender in CONTENDERS:
        curves.append(contest(contender, asked.epochs))
        show(curves[-1])

    selu, _, _, tanh = curves
    assert all(0.5 < variance < 2 for variance in selu.before)
    assert tanh.before[-1] < 0.05
    assert max(selu.after) > 2
    assert selu.score > 0.8
    print(
        f"\nAt the start every SELU layer has variance {min(selu.before):.2f} to "
        f"{max(selu.before):.2f}, tanh's last {tanh.before[-1]:.2g}.\n"
        f"Training moves SELU's variance, too: up to {max(selu.after):.2g}."
    )
    if asked.output is not None:
        asked.output.mkdir(parents=True, exist_ok=True)
        drawn = plots.depth_figure(
            curves,
            title=f"digits: a plain network of {DEPTH} layers, {len(training):,} rows",
            score=f"accuracy, {len(test):,} held-out rows",
        )
        plots.save(drawn, asked.output / "depth.png")
        plots.save(plots.darken(drawn), asked.output / "depth-dark.png")
        print(f"\nWrote {asked.output / 'depth.png'}, and depth-dark.png for dark pages")


if __name__ == "__main__":
    main()
