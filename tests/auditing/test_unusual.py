"""Right networks of unusual form: nothing is said of them but what the theory leaves open."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import selfnorm
from selfnorm.init import initialize_

WIDTH, ROWS = 64, 256
HALF = 0.5**0.5


class Unrolled(nn.Module):
    """A recurrence in a loop, its state begun at zero and its outputs written into a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.again = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        state, states = x.new_zeros(len(x), WIDTH), torch.zeros_like(x)
        for time in range(x.shape[1]):
            state = functional.selu(HALF * (self.read(x[:, time]) + self.again(state)))
            states[:, time] = state
        return self.head(states)


class LowRank(nn.Module):
    """A linear layer with a difference of low rank, which begins at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(WIDTH, WIDTH)
        self.down = nn.Parameter(0.01 * torch.randn(4, WIDTH))
        self.up = nn.Parameter(torch.zeros(WIDTH, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.down.t() @ self.up.t()


class Standardized(nn.Linear):
    """Its weight is centered and scaled before each use."""

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore
        centered = self.weight - self.weight.mean(1, keepdim=True)
        weight = centered / (centered.std(1, keepdim=True) * math.sqrt(self.in_features))
        return functional.linear(x, weight, self.bias)


class Graph(nn.Module):
    """Neighbors are averaged by a matrix that is no weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = (nn.Linear(WIDTH, n) for n in (WIDTH, WIDTH, 3))

    def forward(self, x: Tensor, neighbors: Tensor) -> Tensor:
        x = functional.selu(neighbors @ self.one(x))
        return self.head(functional.selu(neighbors @ self.two(x)))


class Policy(nn.Module):
    """Puts out a distribution, from a last layer near zero."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.SELU())
        self.mean, self.deviation = nn.Linear(WIDTH, 4), nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> torch.distributions.Normal:
        return torch.distributions.Normal(self.mean(self.body(x)), self.deviation.exp())


class Dropped(nn.Module):
    """Residual blocks that are dropped row by row, and a clamp that never acts."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.clamp(-50, 50)
        for block in self.blocks:
            keep = torch.rand_like(x[:, :1]).lt(0.95).float() / 0.95
            x = HALF * (x + keep * functional.selu(block(x)))
        return self.head(x)


def low_rank() -> nn.Module:
    return nn.Sequential(LowRank(), nn.SELU(), LowRank(), nn.SELU(), nn.Linear(WIDTH, 2))


def standardized() -> nn.Module:
    rows = [m for _ in range(3) for m in (Standardized(WIDTH, WIDTH), nn.SELU())]
    return nn.Sequential(*rows, nn.Linear(WIDTH, 2))


def policy() -> nn.Module:
    return Policy()


def graph_inputs() -> tuple[Tensor, Tensor]:
    neighbors = torch.eye(ROWS)[torch.randperm(ROWS)] + torch.eye(ROWS)
    return torch.randn(ROWS, WIDTH), neighbors * HALF


RIGHT: dict[str, tuple[Any, Any]] = {
    "unrolled": (Unrolled, lambda: torch.randn(ROWS, 5, WIDTH)),
    "low rank": (low_rank, lambda: torch.randn(ROWS, WIDTH)),
    "standardized": (standardized, lambda: torch.randn(ROWS, WIDTH)),
    "graph": (Graph, graph_inputs),
    "policy": (policy, lambda: torch.randn(ROWS, WIDTH)),
    "dropped": (Dropped, lambda: torch.randn(ROWS, WIDTH)),
}


@pytest.mark.filterwarnings("ignore::selfnorm.errors.SelfNormWarning")  # of what it does not know
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_network_of_unusual_form_is_right(name: str) -> None:
    torch.manual_seed(0)
    make, inputs = RIGHT[name]
    model = initialize_(make())
    if name == "policy":
        nn.init.orthogonal_(model.mean.weight, 0.01)
    report = selfnorm.audit(model, inputs())
    assert report.ok, report
    assert report.layers[0].gradient > 0
    assert str(report).splitlines()[1].startswith("Self-normalizing: ")
