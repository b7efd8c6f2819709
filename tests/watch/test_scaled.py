"""Weights whose product is multiplied by a number: what the network reads of them counts."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import selfnorm
from support.samples import normal

X = normal(256, 64)


class Scaled(nn.Module):
    """A layer in NTK parametrization, or one of its relatives."""

    def __init__(self, size: float, way: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(size * torch.randn(64, 64))
        self.bias = nn.Parameter(torch.zeros(64))
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


WAYS = {
    "behind": lambda m, x: x @ m.weight / 8 + m.bias,
    "behind a linear": lambda m, x: functional.linear(x, m.weight) * 64**-0.5 + m.bias,
    "weights": lambda m, x: functional.linear(x, m.weight * 0.125, m.bias),
}


def network(size: float, way: Callable[[nn.Module, Tensor], Tensor]) -> nn.Module:
    torch.manual_seed(0)
    head = selfnorm.init.initialize_(nn.Linear(64, 3))
    return nn.Sequential(Scaled(size, way), nn.SELU(), Scaled(size, way), nn.SELU(), head)


@pytest.mark.parametrize("name", WAYS)
def test_weights_of_variance_1_and_a_factor_are_right(name: str) -> None:
    report = selfnorm.audit(network(1.0, WAYS[name]), X)
    assert report.ok, report
    for layer in list(report.recording.of("linear"))[:2]:
        assert 0.8 < layer.weights[0].tau.mean() < 1.2
        assert 0.8 < layer.data_gain < 1.2


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("size", [0.5, 1.0])
def test_a_conversion_draws_them_with_the_factor(name: str, size: float) -> None:
    converted, _ = selfnorm.convert(network(size, WAYS[name]), example=X)
    assert selfnorm.audit(converted, X).ok
    assert 0.8 < float(converted[0].weight.detach().var()) < 1.25


@pytest.mark.parametrize("factor", [0.3, 8**-0.5, 3.0])
def test_a_factor_of_right_weights_is_a_layer_by_itself(factor: float) -> None:
    """As that of attention's queries, or of a branch."""
    torch.manual_seed(0)
    model = Scaled(0.125, lambda m, x: factor * functional.linear(x, m.weight))
    roles = [layer.role for layer in selfnorm.audit(model, X).layers]
    assert roles == ["linear", "scale"]


def test_a_product_that_another_reads_too_is_kept() -> None:
    def way(m: nn.Module, x: Tensor) -> Tensor:
        product = x @ m.weight
        return functional.selu(product / 8) @ product.T

    layers = selfnorm.audit(Scaled(1.0, way), X).layers
    assert [layer.role for layer in layers] == ["linear", "scale", "activation", "product"]
