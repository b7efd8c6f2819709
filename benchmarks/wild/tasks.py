"""Small real tasks, from data that packages bring along: what a mend is worth where it counts.

Each is learned with Adam, in seconds; a seed decides split, order and noise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from matplotlib import cbook
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional

Inputs = tuple[Tensor, ...]
Loss = Callable[[Tensor, Tensor], Tensor]


class Task(Protocol):
    """What a network learns.

    Attributes:
        what: The data, in words.
        measure: What `run` gives.
        higher: Whether more is better.
    """

    what: str
    measure: str
    higher: bool

    def inputs(self, seed: int) -> Inputs:
        """What the network is called with: some hundred rows to train on."""
        ...

    def run(self, model: nn.Module, rate: float, seed: int) -> tuple[float, float]:
        """Train; the measure on rows to choose the rate by, and on others."""
        ...


@dataclass(frozen=True)
class Supervised:
    """Rows and targets, of which three fifths are learned and a fifth each chosen and judged by."""

    what: str
    measure: str
    higher: bool
    x: Tensor
    y: Tensor
    loss: Loss
    score: Callable[[Tensor, Tensor], float]
    epochs: int = 30
    batch: int = 32

    def inputs(self, seed: int) -> Inputs:
        """The rows to learn."""
        return (self.x[self._parts(seed)[0]],)

    def run(self, model: nn.Module, rate: float, seed: int) -> tuple[float, float]:
        """Train; the score of the two other parts."""
        train, *rest = self._parts(seed)
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        model.train()
        for _ in range(self.epochs):
            order = train[torch.randperm(len(train), generator=generator)]
            for rows in order.split(self.batch)[: max(1, len(order) // self.batch)]:
                optimizer.zero_grad()
                self.loss(model(self.x[rows]), self.y[rows]).backward()
                optimizer.step()
        model.eval()
        with torch.no_grad():
            validated, tested = (self.score(model(self.x[rows]), self.y[rows]) for rows in rest)
        return validated, tested

    def _parts(self, seed: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(1000 + seed)
        order = torch.randperm(len(self.x), generator=generator)
        fifth = len(order) // 5
        return [order[2 * fifth :], order[:fifth], order[fifth : 2 * fifth]]


def _accuracy(output: Tensor, y: Tensor) -> float:
    return float((output.argmax(1) == y).double().mean())


def _classes(what: str, x: np.ndarray, y: np.ndarray, epochs: int = 30, batch: int = 32) -> Task:
    rows = torch.as_tensor(x, dtype=torch.float32)
    return Supervised(
        what, "accuracy", True, rows, torch.as_tensor(y), functional.cross_entropy, _accuracy,
        epochs, batch,
    )  # fmt: skip


@cache
def cancer() -> Task:
    """Raw columns, one row at a time, as where a row is a patient."""
    bunch = datasets.load_breast_cancer()
    return _classes("breast cancer, raw columns, batch 1", bunch.data, bunch.target, 5, 1)


@cache
def wine() -> Task:
    """Raw columns."""
    bunch = datasets.load_wine()
    return _classes("wine, raw columns", bunch.data, bunch.target, 60)


@cache
def digits() -> Task:
    """Pixels, standardized together."""
    x, y = _digits()
    return _classes("digits", (x - x.mean(0)) / x.std(0).clip(1e-9), y, 15)


@cache
def rows() -> Task:
    """A digit as a sequence of its eight rows."""
    x, y = _digits()
    columns = x.reshape(-1, 8)
    columns = (columns - columns.mean(0)) / columns.std(0)
    return _classes("digits, row by row", columns.reshape(-1, 8, 8), y, 15)


@cache
def waves() -> Task:
    """A digit as one channel of 64 samples."""
    x, y = _digits()
    return _classes("digits as waves of 64 samples", x.reshape(-1, 1, 64) / 16, y, 15)


@cache
def several() -> Task:
    """Counts in raw, ten tasks, of whose labels two in five are missing."""
    x, y = _digits()
    labels = torch.eye(10)[torch.as_tensor(y)]
    known = torch.rand(labels.shape, generator=torch.Generator().manual_seed(0)) > 0.4
    labels = labels.where(known, torch.nan)

    def loss(output: Tensor, wanted: Tensor) -> Tensor:
        there = ~wanted.isnan()
        return functional.binary_cross_entropy_with_logits(output[there], wanted[there])

    def score(output: Tensor, wanted: Tensor) -> float:
        there = ~wanted.isnan()
        return float(((output > 0) == (wanted > 0.5))[there].double().mean())

    rows = torch.as_tensor(x, dtype=torch.float32)
    what = "digits, raw counts, ten tasks, two in five labels missing"
    return Supervised(what, "accuracy", True, rows, labels, loss, score, 15)


@cache
def stocks() -> Task:
    """Two years of a share's monthly prices, and the next half year: logarithms, from the last."""
    path = Path(str(cbook.get_sample_data("Stocks.csv", asfileobj=False)))
    lines = [line.split(",") for line in path.read_text().splitlines() if line[:1] in "12"]
    found = []
    for column in range(1, len(lines[0])):
        prices = [float(line[column]) for line in lines if line[column] not in {"", "nan"}]
        logs = np.log(prices)
        found += [logs[at : at + 30] - logs[at + 23] for at in range(len(logs) - 29)]
    windows = torch.as_tensor(np.array(found), dtype=torch.float32)
    windows = windows / windows.std()
    x, y = windows[:, :24], windows[:, 24:]
    what = "prices of shares, 24 months to 6"

    def score(output: Tensor, wanted: Tensor) -> float:
        return float(functional.mse_loss(output, wanted))

    return Supervised(what, "squared error", False, x, y, functional.mse_loss, score, 15)


class _Graph:
    """Digits and their five nearest neighbors; 20 labels of each class are known."""

    what, measure, higher = "digits and their neighbors, 200 labels", "accuracy", True

    def __init__(self) -> None:
        x, y = _digits()
        x = (x - x.mean(0)) / x.std(0).clip(1e-9)
        self.x, self.y = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y)
        near = torch.cdist(self.x, self.x).topk(6, largest=False).indices[:, 1:]
        edges = torch.zeros(len(x), len(x)).scatter_(1, near, 1)
        edges = edges.maximum(edges.T)
        degrees = edges.sum(1).rsqrt()
        self.graph = degrees[:, None] * edges * degrees

    def inputs(self, seed: int) -> Inputs:
        """All nodes."""
        del seed
        return self.x, self.graph

    def run(self, model: nn.Module, rate: float, seed: int) -> tuple[float, float]:
        """Train on all nodes at once."""
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(seed))
        parts = order.split([200, 400, len(order) - 600])
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        for _ in range(100):
            optimizer.zero_grad()
            output = model(self.x, self.graph)
            functional.cross_entropy(output[parts[0]], self.y[parts[0]]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            output = model(self.x, self.graph)
        validated, tested = (_accuracy(output[part], self.y[part]) for part in parts[1:])
        return validated, tested


@cache
def graph() -> Task:
    """Nodes of a graph."""
    return _Graph()


class _Flow:
    """Points of two columns, as a flow from noise: conditional flow matching, straight paths."""

    what, measure = "breast cancer, two raw columns as a flow from noise", "energy distance"
    higher = False

    def __init__(self) -> None:
        bunch = datasets.load_breast_cancer()
        self.x = torch.as_tensor(bunch.data[:, :2], dtype=torch.float32)  # radius and texture

    def inputs(self, seed: int) -> Inputs:
        """Points between noise and data, and the time."""
        return self._between(torch.Generator().manual_seed(seed), self._parts(seed)[0], 512)[:2]

    def run(self, model: nn.Module, rate: float, seed: int) -> tuple[float, float]:
        """Learn the velocity, then let noise flow by Euler's steps."""
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        train, *rest = self._parts(seed)
        for _ in range(1500):
            at, time, velocity = self._between(generator, train, 128)
            optimizer.zero_grad()
            functional.mse_loss(model(at, time), velocity).backward()
            optimizer.step()
        with torch.no_grad():
            x, steps = torch.randn(500, 2, generator=generator), 50
            for step in range(steps):
                x = x + model(x, torch.full((len(x), 1), step / steps)) / steps
        validated, tested = (_energy(x, part, self.x.std(0)) for part in rest)
        return validated, tested

    def _parts(self, seed: int) -> list[Tensor]:
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(1000 + seed))
        return list(self.x[order].split([285, 142, 142]))

    def _between(
        self, generator: torch.Generator, points: Tensor, rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        ends = points[torch.randint(len(points), (rows,), generator=generator)]
        noise = torch.randn(rows, 2, generator=generator)
        time = torch.rand(rows, 1, generator=generator)
        return (1 - time) * noise + time * ends, time, ends - noise


@cache
def flow() -> Task:
    """Points from noise."""
    return _Flow()


class _Images:
    """Digits from noise, against a critic with a gradient penalty."""

    what, measure, higher = "digits from noise, Wasserstein critic", "energy distance", False

    def __init__(self) -> None:
        x, _ = _digits()
        self.x = torch.as_tensor(x / 8 - 1, dtype=torch.float32)

    def inputs(self, seed: int) -> Inputs:
        """Noise."""
        return (torch.randn(512, 16, generator=torch.Generator().manual_seed(seed)),)

    def run(self, model: nn.Module, rate: float, seed: int) -> tuple[float, float]:
        """Three steps of the critic for one of the generator."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.x), generator=generator)
        train, *rest = self.x[order].split([1097, 350, 350])
        critic = nn.Sequential(
            *(nn.Linear(64, 128), nn.LeakyReLU(0.2), nn.Linear(128, 128), nn.LeakyReLU(0.2)),
            nn.Linear(128, 1),
        )
        ours = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.5, 0.9))
        theirs = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
        for step in range(2400):
            fake = model(torch.randn(64, 16, generator=generator))
            if step % 4 == 3:
                ours.zero_grad()
                (-critic(fake).mean()).backward()
                ours.step()
                continue
            real = train[torch.randint(len(train), (64,), generator=generator)]
            share = torch.rand(64, 1, generator=generator)
            between = (share * real + (1 - share) * fake.detach()).requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = 10 * (slope.norm(dim=1) - 1).square().mean()
            theirs.zero_grad()
            (critic(fake.detach()).mean() - critic(real).mean() + penalty).backward()
            theirs.step()
        model.eval()
        with torch.no_grad():
            made = model(torch.randn(500, 16, generator=generator))
        validated, tested = (_energy(made, part, torch.ones(64)) for part in rest)
        return validated, tested


@cache
def images() -> Task:
    """Images from noise."""
    return _Images()


class _Pole:
    """A pole to be balanced on a cart (Barto, Sutton and Anderson 1983), 32 at a time."""

    what, measure, higher = "cart and pole, REINFORCE on raw observations", "steps of 200", True

    def inputs(self, seed: int) -> Inputs:
        """Observations under random pushes."""
        generator = torch.Generator().manual_seed(seed)
        state, seen = self._start(64, generator), []
        for _ in range(16):
            seen.append(state)
            push = torch.randint(2, (len(state),), generator=generator)
            state = self._step(state, push)
        return (torch.cat(seen),)

    def run(self, model: nn.Module, rate: float, seed: int) -> tuple[float, float]:
        """Policy gradients with normalized returns; how long poles stand at the end."""
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        for _ in range(60):
            states, pushes, standing = self._episodes(model, generator)
            returns = torch.zeros_like(standing)
            ahead = torch.zeros(standing.shape[1])
            for time in reversed(range(len(standing))):
                ahead = standing[time] * (1 + 0.99 * ahead)
                returns[time] = ahead
            there = standing > 0
            advantage = (returns - returns[there].mean()) / returns[there].std()
            likelihood = model(states).log_softmax(-1).gather(-1, pushes[..., None])[..., 0]
            optimizer.zero_grad()
            (-(likelihood * advantage)[there].mean()).backward()
            optimizer.step()
        model.eval()
        validated, tested = (
            float(self._episodes(model, generator)[2].sum(0).mean()) for _ in range(2)
        )
        return validated, tested

    @torch.no_grad()
    def _episodes(
        self, model: nn.Module, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        training = model.training
        model.eval()
        state, standing = self._start(32, generator), torch.ones(32)
        states, pushes, all_standing = [], [], []
        for _ in range(200):
            push = torch.multinomial(model(state).softmax(-1), 1, generator=generator)[:, 0]
            states.append(state)
            pushes.append(push)
            all_standing.append(standing)
            state = self._step(state, push)
            fine = (state[:, 0].abs() < 2.4) & (state[:, 2].abs() < math.radians(12))
            standing = standing * fine
            state = torch.where(standing[:, None] > 0, state, 0)
        model.train(training)
        return torch.stack(states), torch.stack(pushes), torch.stack(all_standing)

    @staticmethod
    def _start(poles: int, generator: torch.Generator) -> Tensor:
        return 0.1 * torch.rand(poles, 4, generator=generator) - 0.05

    @staticmethod
    def _step(state: Tensor, push: Tensor) -> Tensor:
        """Euler's step of .02 s: a cart of 1 kg, a pole of .1 kg and 1 m, a push of 10 N."""
        x, v, angle, spin = state.unbind(1)
        sine, cosine = angle.sin(), angle.cos()
        drive = (20.0 * push - 10 + 0.05 * spin.square() * sine) / 1.1
        turn = (9.8 * sine - cosine * drive) / (0.5 * (4 / 3 - 0.1 * cosine.square() / 1.1))
        pull = drive - 0.05 * turn * cosine / 1.1
        moved = (x + 0.02 * v, v + 0.02 * pull, angle + 0.02 * spin, spin + 0.02 * turn)
        return torch.stack(moved, 1)


@cache
def pole() -> Task:
    """Balancing."""
    return _Pole()


def _digits() -> tuple[np.ndarray, np.ndarray]:
    bunch = datasets.load_digits()
    return bunch.data, bunch.target


def _energy(made: Tensor, real: Tensor, unit: Tensor) -> float:
    """Energy distance of two samples (Szekely and Rizzo 2013); 0 for one distribution."""
    made, real = made / unit, real / unit
    across, one, other = torch.cdist(made, real), torch.cdist(made, made), torch.cdist(real, real)
    rows, others = len(made), len(real)
    own = one.sum() / (rows * (rows - 1)) + other.sum() / (others * (others - 1))
    return float(2 * across.mean() - own)
