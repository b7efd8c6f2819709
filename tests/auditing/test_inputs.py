"""What a model makes of its inputs before anything that is trained belongs to the input."""

import pytest
import torch
from torch import Tensor, nn

import selfnorm
from selfnorm.nn import FourierFeatures, PeriodicFeatures, Standardize
from support.samples import normal


class Prepared(nn.Module):
    """A right network behind what is done to its inputs."""

    def __init__(self, prepare, features: int) -> None:
        super().__init__()
        self.prepare = prepare
        torch.manual_seed(0)
        self.net = selfnorm.nn.MLP(features, 3, width=128, depth=4)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.net(self.prepare(*inputs))


RAW = normal(512, 64) * torch.logspace(-2, 3, 64) + 50
BYTES = torch.randint(256, (512, 64), generator=torch.Generator().manual_seed(0)).float()
TIME = torch.rand(512, 1, generator=torch.Generator().manual_seed(0))
RIGHT = {
    "in units of their own": (Standardize(64).fit(RAW), 64, (RAW,)),
    "running": (Standardize(64, running=True), 64, (RAW,)),
    "bytes": (lambda x: (x / 255 - 0.5) / 0.289, 64, (BYTES,)),
    "logarithms": (lambda x: (torch.log1p(x) - 4.55) / 0.96, 64, (BYTES,)),
    "waves": (PeriodicFeatures(1, 32), 64, (TIME,)),
    "random waves": (FourierFeatures(3, 64), 64, (normal(512, 3),)),
    "joined": (
        lambda x, t: torch.cat([(x - RAW.mean(0)) / RAW.std(0), 12**0.5 * (t - 0.5)], 1),
        65,
        (RAW, TIME),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_prepared_well_is_right(name: str) -> None:
    prepare, features, inputs = RIGHT[name]
    model = Prepared(prepare, features)
    report = selfnorm.audit(model, inputs)
    assert not report.findings, str(report)
    assert report.layers[0].name == "net.linear1"


@pytest.mark.parametrize("prepare", [lambda x: x, lambda x: x / 255, lambda x: x - x.mean()])
def test_what_is_not_is_told_of_what_the_weights_read(prepare) -> None:
    report = selfnorm.audit(Prepared(prepare, 64), BYTES)
    (found,) = [one for one in report.findings if one.rule == "input-not-standardized"]
    assert found.severity == "error"
    (features,) = report.features
    assert features.variance == pytest.approx(float(prepare(BYTES).var(correction=0)), rel=1e-6)


def test_what_is_trained_is_a_layer() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.full((64,), 3.0))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale

    report = selfnorm.audit(Prepared(Scaled(), 64), normal(512, 64))
    assert report.layers[0].module == "prepare"
    assert not report.ok
