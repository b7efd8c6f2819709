"""SELU networks as people write them, each with the smallest mend.

Small modules of the same shape, written anew after public code; `Case.source` says where such
networks stand. `mended` takes the network as found and what it is called with.
"""

# ruff: noqa: D102 - a `forward` is what its class says

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

import selfnorm
from benchmarks.wild import tasks
from benchmarks.wild.tasks import Task


@dataclass(frozen=True)
class Case:
    """A network as found, how it is mended, and what it learns.

    Attributes:
        name: What it is, in the words of those who use it.
        source: Where networks of this shape stand.
        found: Makes it as it is written there.
        mended: Makes the mended one of it and of the inputs; the body is what a user types.
        task: What it learns here: real data that packages bring along.
    """

    name: str
    source: str
    found: Callable[[], nn.Module]
    mended: Callable[[nn.Module, tuple[Tensor, ...]], nn.Module]
    task: Callable[[], Task]


def converted(model: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    """What `convert` makes of it, with an example."""
    return selfnorm.convert(model, example=inputs)[0]


def standardized(model: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    """The inputs standardized, and the rest converted."""
    front = selfnorm.nn.Standardize(inputs[0].shape[1], dim=1).fit(inputs[0])
    return selfnorm.convert(nn.Sequential(front, model), example=inputs)[0]


# --- flow matching ---------------------------------------------------------------------------


class Velocity(nn.Module):
    """Point and time in one, three layers of 64 SELUs, torch's own weights."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            *(nn.Linear(3, 64), nn.SELU(), nn.Linear(64, 64), nn.SELU()),
            *(nn.Linear(64, 64), nn.SELU(), nn.Linear(64, 2)),
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.net(torch.cat([x, t], -1))


class WavesVelocity(nn.Module):
    """The same, with time as waves of variance 1."""

    def __init__(self) -> None:
        super().__init__()
        self.point, self.time = selfnorm.nn.Standardize(2), selfnorm.nn.PeriodicFeatures(1, 4)
        self.net = selfnorm.nn.MLP(2 + 8, 2, width=64, depth=3)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.net(torch.cat([self.point(x), self.time(t)], -1))


# --- omics, drugs, tables --------------------------------------------------------------------


def omics() -> nn.Module:
    """Blocks of Linear, ELU and AlphaDropout(.25), which are called self-normalizing."""

    def block(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(inputs, outputs), nn.ELU(), nn.AlphaDropout(0.25))

    return nn.Sequential(block(30, 256), block(256, 256), nn.Linear(256, 2))


def tox21() -> nn.Module:
    """Counts in, several tasks out: SELU and alpha dropout, LeCun weights, no standardization."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((64, 256), (256, 256), (256, 256)):
        layers += [nn.Linear(inputs, outputs), nn.SELU(), nn.AlphaDropout(0.05)]
        nn.init.normal_(layers[-3].weight, std=inputs**-0.5)
        nn.init.zeros_(layers[-3].bias)
    return nn.Sequential(*layers, nn.Linear(256, 10))


class Scale(nn.Module):
    """A learned factor on each feature."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class ScaledLinear(nn.Module):
    """Weights of variance 1 and a factor of 1 / sqrt(inputs); biases of variance 1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight / len(self.weight) ** 0.5 + self.bias


def tabular() -> nn.Module:
    """The stack of RealMLP: a scaling layer, three layers, SELU with plain dropout."""
    layers: list[nn.Module] = [Scale(13)]
    for inputs in (13, 256, 256):
        layers += [ScaledLinear(inputs, 256), nn.SELU(), nn.Dropout(0.15)]
    return nn.Sequential(*layers, ScaledLinear(256, 3))


def keras_style() -> nn.Module:
    """Twenty dense layers of 100 SELUs with Glorot's weights, Keras's default."""
    layers: list[nn.Module] = [nn.Linear(64, 100), nn.SELU()]
    for _ in range(19):
        layers += [nn.Linear(100, 100), nn.SELU()]
    model = nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(100, 10))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return model


# --- sequences and images --------------------------------------------------------------------


class Stage(nn.Module):
    """Two convolutions with BatchNorm and SELU, a plain sum, and pooling."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm1d(inputs), nn.Conv1d(inputs, outputs, 3, padding=1)
        self.bn2, self.conv2 = nn.BatchNorm1d(outputs), nn.Conv1d(outputs, outputs, 3, padding=1)
        self.selu, self.down = nn.SELU(inplace=True), nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(self.selu(self.bn1(x)))
        out = self.conv2(self.selu(self.bn2(out)))
        return functional.max_pool1d(out + self.down(x), 2)


def spoofing() -> nn.Module:
    """The front end of an anti-spoofing network on raw waves: SELU *and* BatchNorm, residual."""
    stages = (Stage(1, 16), Stage(16, 16), Stage(16, 32))
    return nn.Sequential(*stages, nn.BatchNorm1d(32), nn.SELU(), nn.Flatten(), nn.Linear(256, 10))


class Block(nn.Module):
    """Four layers of SELU, then what is taken off the past and what is told of the future."""

    def __init__(self, past: int, future: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(past, 64)] + [nn.Linear(64, 64) for _ in range(3)])
        self.backcast, self.forecast = nn.Linear(64, past), nn.Linear(64, future)

    def forward(self, past: Tensor) -> tuple[Tensor, Tensor]:
        hidden = past
        for layer in self.layers:
            hidden = torch.selu(layer(hidden))
        return self.backcast(hidden), self.forecast(hidden)


class Forecast(nn.Module):
    """N-BEATS: blocks that hand on what they did not explain. `lecun_normal` was left a `pass`."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(24, 6) for _ in range(4)])

    def forward(self, past: Tensor) -> Tensor:
        told = torch.zeros(len(past), 6)
        for block in self.blocks:
            backcast, forecast = block(past)
            past, told = past - backcast, told + forecast
        return told


def forecasting(model: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    """The past standardized, LeCun's weights; the sums are what the network is about, and stay."""
    front = selfnorm.nn.Standardize(24).fit(inputs[0])
    return nn.Sequential(front, selfnorm.init.initialize_(model))


class Transformer(nn.Module):
    """An encoder's blocks with SELU in place of ReLU in the feed-forward part."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(8, 64), nn.Parameter(0.02 * torch.randn(8, 64))
        layer = nn.TransformerEncoderLayer(64, 4, 128, 0.1, functional.selu, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x) + self.place).mean(1))


def feed_forward(model: nn.Module, _inputs: tuple[Tensor, ...]) -> nn.Module:
    """LeCun's weights, and alpha dropout behind the SELUs; the norms stay."""
    for layer in model.encoder.layers:
        layer.dropout = selfnorm.nn.AlphaDropout(0.1)
    return selfnorm.init.initialize_(model, skip=["place"])


# --- graphs, agents, generators --------------------------------------------------------------


class Graph(nn.Module):
    """Two graph layers `SELU(A H W + H S)`, A normalized by degrees; the sum is not scaled."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.s1 = nn.Linear(64, 64, bias=False), nn.Linear(64, 64)
        self.w2, self.s2 = nn.Linear(64, 64, bias=False), nn.Linear(64, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, h: Tensor, graph: Tensor) -> Tensor:
        h = functional.selu(graph @ self.w1(h) + self.s1(h))
        h = functional.selu(graph @ self.w2(h) + self.s2(h))
        return self.head(h)


def policy() -> nn.Module:
    """A policy on raw observations, with torch's own weights."""
    return nn.Sequential(
        *(nn.Linear(4, 64), nn.SELU(), nn.Linear(64, 64), nn.SELU(), nn.Linear(64, 2))
    )


def running(model: nn.Module, _inputs: tuple[Tensor, ...]) -> nn.Module:
    """Observations standardized by what is seen on the way; LeCun's weights."""
    selfnorm.init.initialize_(model)
    return nn.Sequential(selfnorm.nn.Standardize(4, running=True), model)


def generator() -> nn.Module:
    """From noise to an image: SELU and BatchNorm, DCGAN's weights of deviation .02."""
    model = nn.Sequential(
        *(nn.Linear(16, 128), nn.BatchNorm1d(128), nn.SELU()),
        *(nn.Linear(128, 128), nn.BatchNorm1d(128), nn.SELU(), nn.Linear(128, 64), nn.Tanh()),
    )
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
    return model


def waves(_model: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    """Points standardized, time as waves, LeCun's weights."""
    model = WavesVelocity()
    model.point.fit(inputs[0])
    return model


CASES = (
    Case("flow matching", "conditional-flow-matching and papers that copy its MLP", Velocity, waves,
         tasks.flow),
    Case("omics block", "MCAT and its descendants: survival from slides and omics", omics,
         standardized, tasks.cancer),
    Case("anti-spoofing", "RawNet2, AASIST: speech, raw waves", spoofing, standardized,
         tasks.waves),
    Case("forecasting", "N-BEATS's variants", Forecast, forecasting, tasks.stocks),
    Case("graph", "DMoN: graph clustering", Graph, converted, tasks.graph),
    Case("tables", "RealMLP's stack", tabular, standardized, tasks.wine),
    Case("toxicity", "Tox21 networks: counts of substructures, several tasks", tox21, standardized,
         tasks.several),
    Case("policy", "REINFORCE and PPO on raw observations", policy, running, tasks.pole),
    Case("transformer", "encoders with SELU", Transformer, feed_forward,
         tasks.rows),
    Case("generator", "WGANs with SELU", generator, converted, tasks.images),
    Case("twenty layers", "teaching in Keras: Dense(activation='selu')", keras_style, converted,
         tasks.digits),
)  # fmt: skip
