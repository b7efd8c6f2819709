"""The paper's seven kinds of networks, several of one shape trained as one.

Every parameter leads with the members, `(members, ...)`, so that each member can have a learning
rate and a dropout rate of its own.

Sources: Klambauer et al. 2017 (SELU); He et al. 2015 (ReLU with MSRA's start); Ba et al. 2016
(LayerNorm); Ioffe and Szegedy 2015 (BatchNorm); Salimans and Kingma 2016 (WeightNorm); Srivastava
et al. 2015 (Highway); He et al. 2016 (ResNet, with activations in front).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import torch
from torch import Tensor, nn

import selfnorm
from reproductions._counts import Counts
from selfnorm import ops

_GATE = -1.0  # a highway's gates are mostly closed at the start, as its authors advise


@dataclass(frozen=True)
class Shape:
    """Inputs, hidden layers, units of each, outputs; and a dropout rate for each member."""

    inputs: int
    depth: int
    width: int
    outputs: int
    dropout: tuple[float, ...] = (0.0,)

    @property
    def members(self) -> int:
        """How many networks."""
        return len(self.dropout)


class Linear(selfnorm.nn.MemberLinear):
    """Members' linear layers, of dense rows or of counts; He's variance with a gain of 2."""

    def __init__(self, members: int, inputs: int, units: int, *, gain: float = 1.0) -> None:
        super().__init__(members, inputs, units)
        self.weight.data.mul_(gain**0.5)

    def matrix(self) -> Tensor:
        """The weights, (members, units, inputs)."""
        return self.weight

    def forward(self, input: Tensor | Counts) -> Tensor:  # noqa: A002 - as torch calls it
        """Each member's outputs, (members, rows, units)."""
        if isinstance(input, Counts):
            return input.times(self.matrix(), self.bias)
        return torch.matmul(input, self.matrix().mT) + self.bias[:, None]


class WeightNormLinear(Linear):
    """Rows of a direction and a size: weight = size * direction / |direction|."""

    def __init__(self, members: int, inputs: int, units: int, *, gain: float = 1.0) -> None:
        super().__init__(members, inputs, units, gain=gain)
        self.size = nn.Parameter(self.weight.detach().norm(dim=2))

    def matrix(self) -> Tensor:
        """The weights that follow from both."""
        return self.weight * (self.size / self.weight.norm(dim=2))[:, :, None]


class LayerNorm(nn.Module):
    """Each row normalized over its units, then scaled and shifted."""

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(members, width))
        self.bias = nn.Parameter(torch.zeros(members, width))

    def forward(self, x: Tensor) -> Tensor:
        """(members, rows, units), normalized."""
        normal = nn.functional.layer_norm(x, x.shape[-1:])
        return torch.addcmul(self.bias[:, None], normal, self.weight[:, None])


class BatchNorm(nn.Module):
    """Each unit of each member normalized over the rows, as torch does it."""

    mean: Tensor
    variance: Tensor

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(members, width))
        self.bias = nn.Parameter(torch.zeros(members, width))
        self.register_buffer("mean", torch.zeros(members * width))
        self.register_buffer("variance", torch.ones(members * width))

    def forward(self, x: Tensor) -> Tensor:
        """(members, rows, units), normalized by the batch; in evaluation by running figures."""
        members, rows, units = x.shape
        flat = nn.functional.batch_norm(
            x.transpose(0, 1).reshape(rows, members * units),
            self.mean,
            self.variance,
            self.weight.flatten(),
            self.bias.flatten(),
            self.training,
        )
        return flat.view(rows, members, units).transpose(0, 1)


class Dropout(nn.Module):
    """Dropout or alpha dropout, at each member's rate."""

    def __init__(self, rates: Sequence[float], *, alpha: bool) -> None:
        super().__init__()
        self.runs = [(rate, len(list(same))) for rate, same in groupby(rates)]
        self.drop = ops.alpha_dropout if alpha else nn.functional.dropout

    def forward(self, x: Tensor) -> Tensor:
        """`x`, of which units are dropped in training."""
        if not self.training or not any(rate for rate, _ in self.runs):
            return x
        parts = zip(x.split([many for _, many in self.runs]), self.runs, strict=True)
        return torch.cat([self.drop(one, rate, True) if rate else one for one, (rate, _) in parts])


class Highway(nn.Module):
    """`gate * f(x) + (1 - gate) * x`."""

    def __init__(self, inner: nn.Module, members: int, width: int) -> None:
        super().__init__()
        self.inner = inner
        self.gate = Linear(members, width, width)
        nn.init.constant_(self.gate.bias, _GATE)

    def forward(self, x: Tensor) -> Tensor:
        """As many units as before."""
        return torch.lerp(x, self.inner(x), torch.sigmoid(self.gate(x)))


class Skip(nn.Module):
    """`x + f(x)`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """As many units as before."""
        return x + self.inner(x)


def of_any_depth(made: Callable[[], nn.Module]) -> Callable[[int], nn.Module]:
    """An activation that does not go by the number of layers."""
    return lambda _: made()


relu = of_any_depth(nn.ReLU)


@dataclass(frozen=True)
class Method:
    """How networks differ: activation, start, norm, weights, dropout, wiring.

    `activation` is made for a number of layers. Weights have a variance of `gain / inputs`, or
    start as `selfnorm.init.initialize_` makes them by `start`; `keep` is whether hidden weights
    are to be kept orthogonal.
    """

    activation: Callable[[int], nn.Module] = relu
    gain: float = 2.0
    start: dict[str, Any] | None = None
    norm: Callable[[int, int], nn.Module] | None = None
    linear: type[Linear] = Linear
    alpha: bool = False
    wiring: Literal["plain", "highway", "residual"] = "plain"
    keep: bool = False

    @property
    def dropout(self) -> tuple[float, float]:
        """The paper's rates: none, and a twentieth of alpha dropout or half of plain dropout."""
        return (0.0, 0.05) if self.alpha else (0.0, 0.5)

    def grid(
        self, rates: Sequence[float], *, both: bool
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The learning rates and dropout rates of members, one for each pair of the two.

        Without `both` no member has dropout.
        """
        drops = self.dropout if both else self.dropout[:1]
        return tuple(rates) * len(drops), tuple(drop for drop in drops for _ in rates)


METHODS = {
    "SNN": Method(of_any_depth(selfnorm.nn.SELU), gain=1.0, alpha=True),
    "MSRAinit": Method(),
    "LayerNorm": Method(norm=LayerNorm),
    "Highway": Method(wiring="highway"),
    "ResNet": Method(norm=BatchNorm, wiring="residual"),
    "WeightNorm": Method(linear=WeightNormLinear),
    "BatchNorm": Method(norm=BatchNorm),
}
"""The seven, by the paper's names."""


def build(method: Method, shape: Shape) -> nn.Sequential:
    """`depth` hidden layers and an output layer; maps (rows, inputs) to (members, rows, outputs).

    Weights come from torch's default generator. A residual network has its first layer and then as
    many blocks of two layers as come nearest to the depth, one at least.
    """
    members, width = shape.members, shape.width

    def linear(inputs: int) -> nn.Module:
        return method.linear(members, inputs, width, gain=method.gain)

    def behind() -> list[nn.Module]:
        norm = [method.norm(members, width)] if method.norm else []
        return [*norm, method.activation(shape.depth), Dropout(shape.dropout, alpha=method.alpha)]

    layers = [linear(shape.inputs)]
    if method.wiring == "residual":
        for _ in range(max(1, (shape.depth - 1) // 2)):
            block = [*behind(), linear(width), *behind(), linear(width)]
            layers.append(Skip(nn.Sequential(*block)))
        layers += behind()
    else:
        layers += behind()
        for _ in range(shape.depth - 1):
            layer = [linear(width), *behind()]
            highway = method.wiring == "highway"
            layers += [Highway(nn.Sequential(*layer), members, width)] if highway else layer
    model = nn.Sequential(*layers, Linear(members, width, shape.outputs))
    return model if method.start is None else selfnorm.init.initialize_(model, **method.start)
