"""The claim of the whole: variance stays in theorem 1's interval [.8, 1.5] through a deep stack."""

import pytest
import torch
from torch import Tensor, nn

from selfnorm.init import initialize_

LOW, HIGH = 0.8, 1.5
SEED = 0


def seeded(seed: int = SEED) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=seeded(1))


def stack(layers: list[nn.Module]) -> nn.Sequential:
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.SELU())))


@torch.no_grad()
def variances(model: nn.Sequential, values: Tensor) -> list[float]:
    found = []
    for part in model:
        values = part(values)
        if isinstance(part, nn.SELU):
            found.append(values.var().item())
    return found


OPTIONS = [
    *({"distribution": name} for name in ("normal", "uniform", "orthogonal")),
    {"truncated": True},
    {"exact": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_dense_stack_keeps_its_variance(options) -> None:
    model = stack([nn.Linear(512, 512) for _ in range(30)])
    initialize_(model, generator=seeded(), **options)
    assert all(LOW <= variance <= HIGH for variance in variances(model, normal(512, 512)))


def test_torchs_initializations_do_not() -> None:
    model = stack([nn.Linear(512, 512) for _ in range(30)])
    for layer in model[::2]:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="selu", generator=seeded())
        nn.init.zeros_(layer.bias)
    assert variances(model, normal(512, 512))[-1] < LOW / 10


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_convolutions_keep_their_variance(options) -> None:
    model = stack([nn.Conv2d(64, 64, 3, padding=1, padding_mode="circular") for _ in range(16)])
    initialize_(model, generator=seeded(), **options)
    assert all(LOW <= variance <= HIGH for variance in variances(model, normal(8, 64, 8, 8)))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_transposed_convolutions_keep_it_in_every_phase(options) -> None:
    model = stack([nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1) for _ in range(4)])
    initialize_(model, generator=seeded(), **options)
    values = normal(16, 64, 5, 5)
    for layer, selu in zip(model[::2], model[1::2], strict=True):
        with torch.no_grad():
            values = selu(layer(values))
        middle = values[:, :, 2:-2, 2:-2]  # one input at each border lacks a neighbor
        for phase in (middle[..., i::2, j::2] for i in (0, 1) for j in (0, 1)):
            assert LOW <= phase.var().item() <= HIGH


def test_torchs_default_for_transposed_convolutions_does_not() -> None:
    torch.manual_seed(SEED)
    model = stack([nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1) for _ in range(4)])
    assert variances(model, normal(16, 64, 5, 5))[-1] < LOW / 10
