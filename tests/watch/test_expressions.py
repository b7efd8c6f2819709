"""What is written by hand is judged by what it does."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import selfnorm
from selfnorm.auditing import Report
from selfnorm.init import initialize_
from selfnorm.theory import selu_constants

ALPHA, SCALE = selu_constants().alpha, selu_constants().scale
X = torch.randn(256, 64, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Two hidden layers, and a function of each number, or of each row, behind them."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 3)
        self.function = function
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.function(self.two(self.function(self.one(x)))))


def audited(function: Callable[[Tensor], Tensor]) -> Report:
    return selfnorm.audit(Net(function), X)


def by_masks(x: Tensor) -> Tensor:
    positive = (x > 0).float()
    return SCALE * (positive * x + (1 - positive) * ALPHA * torch.expm1(x))


def by_maximum(x: Tensor) -> Tensor:
    return SCALE * (torch.maximum(x, 0 * x) + ALPHA * torch.minimum(x.exp() - 1, 0 * x))


class Compiled(torch.autograd.Function):
    """A kernel, of which nothing is seen."""

    @staticmethod
    def forward(_ctx: object, x: Tensor) -> Tensor:
        return functional.selu(x)

    @staticmethod
    def backward(_ctx: object, gradient: Tensor) -> Tensor:  # pyright: ignore
        return gradient


class Kernel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Compiled.apply(x)  # pyright: ignore


@pytest.mark.parametrize(
    "function",
    [
        lambda x: SCALE * functional.elu(x, ALPHA),
        lambda x: SCALE * torch.where(x >= 0, x, ALPHA * torch.exp(x) - ALPHA),
        lambda x: torch.where(x > 0, SCALE * x, SCALE * ALPHA * (x.exp() - 1)),
        lambda x: SCALE * (functional.relu(x) + ALPHA * (x.clamp(max=0).exp() - 1)),
        lambda x: 1.0507 * functional.elu(x.clone(), 1.67326),
        by_masks,
        by_maximum,
        Kernel(),
    ],
    ids=["elu", "where", "where last", "relu", "rounded", "masks", "maximum", "kernel"],
)
def test_selu_by_hand_is_selu(function: Callable[[Tensor], Tensor]) -> None:
    report = audited(function)
    assert [layer.role for layer in report.layers] == [*["linear", "activation"] * 2, "linear"]
    assert [layer.activation for layer in report.recording.selus] == ["selu"] * 2
    assert [layer.inputs for layer in report.layers] == [(k - 1,) for k in range(5)]
    assert report.ok, report


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x: x.clamp(min=0), "relu"),
        (lambda x: x * torch.sigmoid(x), "silu"),
        (lambda x: SCALE * torch.where(x > 0, x, x.exp() - 1), "exp+sub+where+mul"),
        (lambda x: functional.selu(x).abs(), "abs"),
        (lambda x: functional.selu(x).clamp(-1, 1), "hardtanh"),
        (torch.sin, "sin"),
    ],
    ids=["relu", "silu", "alpha forgotten", "abs behind", "clamp behind", "sin"],
)
def test_another_function_is_another(function: Callable[[Tensor], Tensor], name: str) -> None:
    report = audited(function)
    found = [finding for finding in report.findings if finding.rule == "wrong-activation"]
    assert len(found) == 2
    assert found[0].seen.startswith(name), found[0]
    assert "missing-activation" not in {finding.rule for finding in report.findings}


@pytest.mark.parametrize(
    "function",
    [
        lambda x: functional.selu(x).clamp(-50, 50),
        lambda x: functional.selu(x) * 1.0 + 0.0,
        lambda x: -functional.selu(x),
    ],
    ids=["clamp", "one", "minus"],
)
def test_what_does_not_bend_is_no_activation(function: Callable[[Tensor], Tensor]) -> None:
    assert audited(function).ok


def test_a_factor_in_front_of_selu_is_a_layer_by_itself() -> None:
    report = audited(lambda x: functional.selu(0.5**0.5 * (x + x.roll(1, 1))))
    roles = ["linear", "addition", "scale", "activation"]
    assert [layer.role for layer in report.layers] == [*roles * 2, "linear"]
    assert report.ok, report


def layer_norm(x: Tensor) -> Tensor:
    x = functional.selu(x)
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-5).sqrt()


def rms_norm(x: Tensor) -> Tensor:
    x = functional.selu(x)
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def batch_norm(x: Tensor) -> Tensor:
    x = functional.selu(x)
    centered = x - x.mean(0)
    return centered / (centered.square().mean(0) + 1e-5) ** 0.5


@pytest.mark.parametrize("function", [layer_norm, rms_norm, batch_norm])
def test_a_normalization_by_hand_is_one(function: Callable[[Tensor], Tensor]) -> None:
    report = audited(function)
    assert [layer.role for layer in report.layers] == [
        *["linear", "activation", "normalization"] * 2,
        "linear",
    ]
    assert {f.rule for f in report.findings} == {"leftover-normalization"}, report


class Pooled(nn.Module):
    """A mean that other layers read stays a layer; softmax by hand is one."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.head = nn.Linear(64, 64), nn.Linear(64, 3)
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.selu(self.one(x))
        scores = (x @ x.transpose(-1, -2)) / 8
        weights = (scores - scores.amax(-1, keepdim=True)).exp()
        weights = weights / weights.sum(-1, keepdim=True)
        return self.head((weights @ x).mean(1))


def test_a_softmax_by_hand_is_one() -> None:
    layers = selfnorm.audit(Pooled(), X.view(16, 16, 64)).layers
    named = [layer.activation or layer.role for layer in layers]
    assert named == ["linear", "selu", "product", "softmax", "product", "pooling", "linear"]
