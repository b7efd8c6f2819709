"""Infinities, nan and what overflows are findings, and neither warnings nor errors of NumPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import selfnorm
from selfnorm.init import initialize_


class Mixed(nn.Module):
    """An addition, a concatenation, a product, another activation, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 32)
        self.third, self.head = nn.Linear(64, 32), nn.Linear(32, 1)
        self.drop = nn.AlphaDropout(0.1)
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        h = self.drop(torch.selu(self.first(x)))
        h = h + torch.selu(self.second(h))
        h = torch.relu(self.third(torch.cat([h, h * 0.5], 1)))
        return self.head(h * torch.sigmoid(h))


WEIGHTS: dict[str, Callable[[nn.Parameter], object]] = {
    "as they are": lambda p: p,
    "zero": lambda p: p.zero_(),
    "nan": lambda p: p.fill_(np.nan),
    "infinite": lambda p: p.fill_(np.inf),
    "one nan": lambda p: p.view(-1)[0].fill_(np.nan),
    "constant and huge": lambda p: p.fill_(1e30),
    "huge": lambda p: p.mul_(1e15),
}
INPUTS: dict[str, Callable[[], Tensor]] = {
    "standard": lambda: torch.randn(64, 16),
    "zero": lambda: torch.zeros(64, 16),
    "constant": lambda: torch.ones(64, 16),
    "one row": lambda: torch.randn(1, 16),
    "huge": lambda: torch.randn(64, 16) * 1e30,
    "infinite": lambda: torch.full((64, 16), np.inf),
    "some nan": lambda: torch.randn(64, 16).masked_fill(torch.rand(64, 16) < 0.1, np.nan),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("inputs", INPUTS)
def test_nothing_escapes(weights: str, inputs: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = Mixed()
    with torch.no_grad():
        for parameter in model.parameters():
            WEIGHTS[weights](parameter)
    report = selfnorm.audit(model.to(dtype), INPUTS[inputs]().to(dtype))
    assert any(f.rule == "non-finite" for f in report.findings) == any(
        layer.non_finite for layer in report.layers
    )
    assert str(report)
    assert report.to_html()
    assert report.to_json()


@pytest.mark.filterwarnings("ignore::selfnorm.errors.SelfNormWarning")
def test_float64_beyond_squares() -> None:
    """Moments and gradients whose squares are beyond float64 are infinite, and no error."""
    model = Mixed().double()
    with torch.no_grad():
        model.head.weight.mul_(1e200)
    report = selfnorm.audit(model, torch.randn(64, 16, dtype=torch.float64))
    assert report.to_html()
    assert any(np.isinf(layer.second_moment) for layer in report.layers)
    with selfnorm.monitor(model, every=1) as monitor:
        model(torch.randn(64, 16, dtype=torch.float64)).sum().backward()
    assert any(np.isinf(record.omega) for record in monitor.records)


def test_a_constant_of_any_size_has_a_histogram() -> None:
    model = nn.Sequential(nn.Linear(1, 8), nn.SELU(), nn.Linear(8, 1))
    with torch.no_grad():
        model[0].bias.fill_(1e20)
    report = selfnorm.audit(model, torch.randn(64, 1))
    for layer in report.layers:
        assert layer.histogram.counts.sum() == 64 * layer.shape[1]
        assert np.all(np.diff(layer.histogram.edges) > 0)
