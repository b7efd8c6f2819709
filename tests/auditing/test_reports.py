"""Networks of public reports, re-created in small: the audit names what was the matter."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import selfnorm
from auditing.test_mistakes import standard
from selfnorm.init import initialize_

WIDTH, ROWS = 64, 256


@dataclass(frozen=True)
class Reported:
    """Where it was reported, the network, and the finding that tells of it."""

    source: str
    make: Callable[[], nn.Module]
    rule: str
    says: str
    inputs: Callable[[], Tensor] = lambda: standard(ROWS, WIDTH)


def layers(
    depth: int,
    *behind: Callable[[], nn.Module],
    draw: Callable[[Tensor], object] | None = None,
) -> nn.Sequential:
    """Linear layers with LeCun's weights, or drawn otherwise, and what stands behind each."""
    parts: list[nn.Module] = []
    for _ in range(depth):
        parts += [nn.Linear(WIDTH, WIDTH), *(kind() for kind in behind)]
    model = initialize_(nn.Sequential(*parts, nn.Linear(WIDTH, 4)))
    if draw is not None:
        for layer in model:
            if isinstance(layer, nn.Linear):
                draw(layer.weight)
    return model


def as_torch() -> nn.Module:
    model = layers(8, nn.SELU)
    for layer in model:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    return model


def selu_gain(weight: Tensor) -> object:
    return nn.init.kaiming_uniform_(weight, nonlinearity="selu")


def both_fans(weight: Tensor) -> object:
    return nn.init.normal_(weight, std=2 / math.sqrt(sum(weight.shape)))


def thousandth(weight: Tensor) -> object:
    return nn.init.normal_(weight, std=math.sqrt(1e-3 / weight.shape[1]))


class Idle(nn.Module):
    """Alpha dropout as a function, with torch's default of `training`."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = initialize_(nn.Linear(WIDTH, WIDTH)), nn.Linear(WIDTH, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(functional.alpha_dropout(functional.selu(self.one(x)), 0.1))


class Skipping(nn.Module):
    """`selu(A h W + h V)`: neighbors, and a skip connection that nobody scales."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.own, self.last = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(functional.selu(self.near(x.roll(1, 0)) + self.own(x)))


class Flow(nn.Module):
    """A vector field: time is joined to standardized features as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(WIDTH + 1, WIDTH), nn.SELU(), nn.Linear(WIDTH, WIDTH), nn.SELU(),
            nn.Linear(WIDTH, WIDTH),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.net(torch.cat([x, torch.linspace(0, 1, len(x))[:, None]], 1))


class Speech(nn.Module):
    """A residual block of an anti-spoofing network: SELU and batch normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.last = nn.BatchNorm1d(16), nn.Linear(16, 2)
        self.one, self.two = (nn.Conv1d(16, 16, 3, padding=1) for _ in range(2))
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.two(functional.selu(self.norm(self.one(x))))
        return self.last((x + y).mean(-1))


def narrowing() -> nn.Module:
    """Layers that become narrower, with Xavier's weights, as Keras draws them unless it is told."""
    widths = [4 * WIDTH, WIDTH, 16]
    parts = [m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b), nn.SELU())]
    for layer in parts[::2]:
        nn.init.xavier_uniform_(layer.weight)  # pyright: ignore
        nn.init.zeros_(layer.bias)  # pyright: ignore
    return nn.Sequential(*parts, nn.Linear(16, 4))


class Extracting(nn.Module):
    """Super-resolution: features of all layers side by side, times 0.1."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.one, self.two = nn.Linear(4 * WIDTH, WIDTH), nn.Linear(WIDTH, 4)
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        found: list[Tensor] = []
        for layer in self.layers:
            x = functional.selu(layer(x))
            found.append(x)
        return self.two(functional.selu(self.one(0.1 * torch.cat(found, 1))))


def digits() -> nn.Module:
    """The example of the day for MNIST, SELU in place of ReLU."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.SELU(), nn.Conv2d(32, 64, 3), nn.SELU(), nn.MaxPool2d(2),
        nn.Dropout(0.25), nn.Flatten(), nn.Linear(64 * 16, 128), nn.SELU(), nn.Dropout(0.5),
        nn.Linear(128, 10),
    )  # fmt: skip


def pixels() -> Tensor:
    """Standardized by one mean and one deviation: those of the border are nearly constant."""
    x = standard(ROWS, WIDTH) * torch.linspace(0.01, 2, WIDTH) + torch.linspace(0, 3, WIDTH)
    return (x - x.mean()) / x.std()


def far() -> Tensor:
    x = standard(ROWS, WIDTH)
    return 456 * (x - x.mean()) / x.std() + 123


REPORTS = [
    Reported(
        "pytorch/pytorch issue 54055: the gain of 'selu'",
        lambda: layers(8, nn.SELU, draw=selu_gain),
        "selu-without-lecun",
        "kaiming_uniform_(nonlinearity='selu'), whose gain is 3/4",
    ),
    Reported(
        "pytorch/pytorch issue 1667: a deviation was taken for a limit",
        as_torch,
        "selu-without-lecun",
        "torch's default, kaiming_uniform_(a=sqrt(5))",
    ),
    Reported(
        "torch/nn issue 449: gradients of very deep networks die out",
        as_torch,
        "variance-drift",
        "Placed: the weights",
    ),
    Reported(
        "deepchem/deepchem issue 601: 2 / sqrt(fan_in + fan_out)",
        lambda: layers(8, nn.SELU, draw=both_fans),
        "selu-without-lecun",
        "tau is 2",
    ),
    Reported(
        "nothinglo/Deep-Photo-Enhancer issue 68: a thousandth of LeCun's variance",
        lambda: layers(8, nn.SELU, draw=thousandth),
        "selu-without-lecun",
        "tau is 0.001",
    ),
    Reported(
        "stats.stackexchange 529595: lightness in [0, 1]",
        lambda: layers(4, nn.SELU),
        "input-not-standardized",
        "scaled to [0, 1], not standardized",
        lambda: torch.rand(ROWS, WIDTH),
    ),
    Reported(
        "ageron/handson-ml issue 88: plain dropout with SELU",
        lambda: layers(4, nn.SELU, lambda: nn.Dropout(0.2)),
        "plain-dropout",
        "",
    ),
    Reported(
        "civisanalytics/muffnn pull request 92: alpha dropout behind another activation",
        lambda: layers(4, nn.ReLU, lambda: nn.AlphaDropout(0.2)),
        "alpha-dropout-misplaced",
        "relu",
    ),
    Reported(
        "MCAT and its descendants: ELU and alpha dropout, called self-normalizing",
        lambda: layers(2, nn.ELU, lambda: nn.AlphaDropout(0.25)),
        "wrong-activation",
        "elu stands between layers with weights",
    ),
    Reported(
        "keras-team/keras pull request 6990: half of the units dropped",
        lambda: layers(8, nn.SELU, lambda: nn.AlphaDropout(0.5)),
        "dropout-budget",
        "",
    ),
    Reported(
        "torch.nn.functional.alpha_dropout: training is False unless it is passed",
        Idle,
        "idle-dropout",
        "it was called without training=True",
    ),
    Reported(
        "DMoN: a skip connection that is added",
        Skipping,
        "unscaled-residual",
        "gives",
    ),
    Reported(
        "atong01/conditional-flow-matching: torch's weights before SELU",
        Flow,
        "selu-without-lecun",
        "torch's default",
    ),
    Reported(
        "RawNet2, AASIST: SELU behind batch normalization",
        Speech,
        "leftover-normalization",
        "BatchNorm1d normalizes what SELU is to keep",
        lambda: standard(32, 16, 24),
    ),
    Reported(
        "cchallu/nbeatsx issue 1: 'lecun_normal' is a branch that does nothing",
        as_torch,
        "selu-without-lecun",
        "torch's default, kaiming_uniform_(a=sqrt(5))",
    ),
    Reported(
        "keras-team/keras pull request 8776: LeCun's weights are often forgotten",
        narrowing,
        "selu-without-lecun",
        "Xavier's, xavier_uniform_",
        lambda: standard(ROWS, 4 * WIDTH),
    ),
    Reported(
        "jiny2001/dcscn-super-resolution issue 29: joined features times 0.1",
        Extracting,
        "variance-drift",
        "multiplies the second moment by 0.01",
    ),
    Reported(
        "keras-team/keras pull request 6969: SELU in place of ReLU in the example for MNIST",
        digits,
        "pooling",
        "The largest of k standard values has a positive mean",
        lambda: standard(32, 1, 12, 12),
    ),
    Reported(
        "ageron/handson-ml issue 138: one mean and deviation for all pixels",
        lambda: layers(4, nn.SELU),
        "input-not-standardized",
        "features are off",
        pixels,
    ),
    Reported(
        "bioinf-jku/SNNs issue 30: inputs of mean 123 and deviation 456",
        lambda: layers(8, nn.SELU),
        "input-not-standardized",
        "the input has mean +123, variance 2.08e+05",
        far,
    ),
]


@pytest.mark.parametrize("reported", REPORTS, ids=lambda one: one.source.split(":")[0])
def test_what_was_reported_is_named(reported: Reported) -> None:
    torch.manual_seed(0)
    report = selfnorm.audit(reported.make(), reported.inputs())
    found = [one for one in report.findings if one.rule == reported.rule]
    assert found, report
    assert any(reported.says in f"{one.seen} {one.why}" for one in found), report
    assert not report.ok
