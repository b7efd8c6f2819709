"""Networks of torch alone, of kinds that are common: what `make test` has of the zoo."""

from collections import OrderedDict
from typing import Any

import torch
from tests.zoo._network import Made, Shelf, images, rows
from torch import Tensor, nn
from torch.nn import functional

SHELF = Shelf()


class Bottleneck(nn.Module):
    """An inverted residual with squeeze-and-excite; its last norm starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = 3 * width
        self.expand = nn.Conv2d(width, inner, 1, bias=False)
        self.deep = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.project = nn.Conv2d(inner, width, 1, bias=False)
        self.one, self.two, self.three = (nn.BatchNorm2d(n) for n in (inner, inner, width))
        self.squeeze, self.excite = nn.Conv2d(inner, 8, 1), nn.Conv2d(8, inner, 1)
        self.act = nn.ReLU(inplace=True)
        nn.init.kaiming_normal_(self.deep.weight, mode="fan_out")
        nn.init.zeros_(self.three.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.one(self.expand(x)))
        y = self.act(self.two(self.deep(y)))
        gate = self.excite(self.act(self.squeeze(y.mean((2, 3), keepdim=True))))
        return x + self.three(self.project(y * torch.sigmoid(gate)))


@SHELF("torch")
def mobile() -> Made:
    stem = [nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()]
    blocks = [Bottleneck(16) for _ in range(2)]
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5)]
    return nn.Sequential(*stem, *blocks, *head, *end), images(rows=8, size=16)


class Scaled(nn.Module):
    """A block whose branch a layer scale keeps small, and whose norm takes a mask."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = Normed(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.gamma = nn.Parameter(1e-5 * torch.ones(width))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.down(functional.gelu(self.up(self.norm(x, mask))))
        return x + self.gamma * y


class Normed(nn.Module):
    """A normalization that takes a mask, too."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x if mask is None else x * mask
        return self.weight * functional.layer_norm(x, x.shape[-1:])


class Given(OrderedDict[str, Tensor]):
    """What a model of a library gives: its entries are attributes."""

    def __getattr__(self, name: str) -> Tensor:
        return self[name]


class Body(nn.Module):
    """Gives an object of a class of its own, and takes what nobody gives."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 32)
        self.blocks = nn.ModuleList(Scaled(32) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor | None = None, **_more: Any) -> Given:
        x = self.first(x)
        for block in self.blocks:
            x = block(x, mask)
        return Given(last=x)


class Headed(nn.Module):
    """Reads an attribute of what its body gives."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = Body(), nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).last)


@SHELF("torch")
def layer_scale() -> Made:
    return Headed(), rows()


class Standardized(nn.Conv2d):
    """A convolution that standardizes its weight: scaling it does nothing."""

    def __init__(self, *settings: int) -> None:
        super().__init__(*settings, padding=1)
        self.gain = nn.Parameter(1.7 * torch.ones(self.out_channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        flat = self.weight.flatten(1)
        weight = functional.batch_norm(flat.T, None, None, training=True).T / flat.shape[1] ** 0.5
        weight = self.gain * weight.view_as(self.weight)
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding)


@SHELF("torch")
def standardized() -> Made:
    layers: list[nn.Module] = []
    for inputs in (3, 16, 16, 16):
        layers += [Standardized(inputs, 16, 3), nn.ReLU(), nn.AvgPool2d(2, 1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(5)), images(rows=4, size=12)


@SHELF("torch")
def transformer() -> Made:
    model = nn.Transformer(16, 4, 1, 1, 32, batch_first=True)
    return model, (torch.randn(4, 5, 16), torch.randn(4, 5, 16))


@SHELF("torch")
def autoencoder() -> Made:
    """Spectral and weight normalization, transposed convolutions, an image at the end."""
    norm = nn.utils.parametrizations.weight_norm
    model = nn.Sequential(
        norm(nn.Conv2d(1, 16, 4, 2, 1)), nn.LeakyReLU(0.2), nn.Dropout2d(0.05),
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(16, 32, 4, 2, 1)), nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.InstanceNorm2d(16), nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, 2, 1), nn.Sigmoid(),
    )  # fmt: skip
    return model, images(rows=8, size=16, channels=1)
