"""One plain network of 100 layers, eight ways: which of them train, and what do their layers do?

What one learns: activation and initialization decide how a deep plain network starts, and not where
it ends. In training weights align with what activations have in common, and the variance leaves the
range in which SELU keeps it; other networks of this depth lose their signal or never learn. Weights
that are kept orthogonal cannot amplify any direction, so every layer stays in theorem 1's range,
and with SELU shaped for the depth the network learns well. Same rows, width, optimizer and seed for
all; each is trained at the same learning rates, and the one that validates better is shown.

`make demo` runs this with `--epochs 15 --deep 1000 --output demo`, which adds a network of 1,000
layers and draws demo/depth.png.
"""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import selfnorm
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


he_normal_ = partial(nn.init.kaiming_normal_, nonlinearity="relu")
he_orthogonal_ = partial(nn.init.orthogonal_, gain=2**0.5)


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
    """Train one network; its layers before and after, and its accuracy on held-out rows."""
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
    return Run(
        contender.name,
        rate,
        [layer.variance for layer in before],
        [layer.variance for layer in after],
        [epoch.loss for epoch in history.epochs],
        history.best.validation_loss,
        score,
    )


if __name__ == "__main__":
    import time,sys
    for n in range(8):
        t=time.time(); r=train((n,100,1e-3,15)); print(r.name, r.accuracy, r.losses[-1], min(r.before),max(r.before),min(r.after),max(r.after), time.time()-t, flush=True)
    t=time.time(); r=train((0,1000,1e-3,10)); print(r.name, r.accuracy, r.losses[-1], min(r.before),max(r.before),min(r.after),max(r.after), time.time()-t)
