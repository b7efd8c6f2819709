"""Models to be deployed: every way in which the output of a SELU may be read."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import selfnorm
from selfnorm.nn import MLP, SELU, AlphaDropout, SELUAlphaDropout, fuse


class Residual(nn.Module):
    """The SELU's output is read twice, and so is that of the block."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), SELU(), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.one(x))
        return 0.5**0.5 * (h + self.two(h))


class Traced(nn.Module):
    """One reader, behind functions that a factor passes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.drop = nn.Conv2d(3, 4, 3), SELU(), AlphaDropout(0.1)
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.max_pool2d(self.drop(self.act(self.conv(x))), 3)
        return self.fc(h.view(h.size(0), -1))


class Untraced(nn.Module):
    """No one can say in advance who reads the SELU."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), SELU(), nn.Linear(8, 8)
        self.inner = nn.Sequential(SELU(), nn.Linear(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.one(x))
        return self.inner(self.two(h)) if h.sum() > 0 else self.inner[0](h)


class Peeking(nn.Module):
    """Runs the layers of a `Sequential` one by one, and gives one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), SELU(), nn.Linear(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        h = self.layers[1](self.layers[0](x))
        return torch.cat([h, self.layers[2](h)], 1)


class Overwriting(nn.Module):
    """A SELU in place, and another reader of what it wrote into."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), SELU(inplace=True), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        h = self.one(x)
        y = self.two(self.act(h))
        return h + y


class Tied(nn.Module):
    """The reader's weight is another layer's, too."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), SELU(), nn.Linear(8, 8)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.act(self.one(x)))


class Borrowing(nn.Module):
    """The reader's weight serves in a function, too."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), SELU(), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(self.two(self.act(self.one(x))), self.two.weight)


class Aliased(nn.Module):
    """A SELU in place behind what in evaluation gives its own input, which is read again."""

    def __init__(self, between: nn.Module) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), SELU(inplace=True), nn.Linear(8, 8)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        h = self.one(x)
        return self.two(self.act(self.between(h))) + h


class Deciding(nn.Module):
    """It cannot be traced."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class View(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(-1, 8)


class Decoder(nn.Module):
    """Reads the weight of a layer that it does not register."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layers = [layer]

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.layers[0].weight.t())


class Calls(nn.Module):
    """Calls a layer that it does not register."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layers = [layer]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[0](x)


def _tied_to(reader: Callable[[nn.Linear], nn.Module]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        layer = nn.Linear(8, 8)
        return nn.Sequential(nn.Linear(8, 8), SELU(), layer, reader(layer))

    return build


def _patched() -> nn.Module:
    """As accelerate does."""
    model = nn.Sequential(nn.Linear(8, 8), SELU(), nn.Linear(8, 8))
    vars(model[2])["forward"] = functools.partial(_squared, model[2])
    return model


def _squared(layer: Any, x: Tensor) -> Tensor:
    return functional.linear(x, layer.weight**2, layer.bias)


class PlainSubclass(nn.SELU):
    pass


class OurSubclass(SELUAlphaDropout):
    pass


class Relu(nn.Module):
    """What `convert` makes a graph module of."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.one(x))
        x = x + functional.relu(self.two(x))
        return self.three(functional.dropout(x, 0.1, self.training))


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.1),
        nn.ConvTranspose2d(8, 8, 3, groups=2), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(32, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2),
    )  # fmt: skip


def _hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(8, 8), SELU(), nn.Linear(8, 8))
    model[1].register_forward_hook(lambda *seen: seen[-1].tanh())
    return model


def _shared() -> nn.Module:
    act, layer = SELU(), nn.Linear(8, 8)
    return nn.Sequential(layer, act, layer, act, nn.Linear(8, 2))


IMAGES, ROWS = (4, 3, 9, 9), (4, 8)
# A model, the shape of its input, and how many SELUs go into the next layer and how many do not.
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, int]] = {
    "mlp": (lambda: MLP(8, 3, width=16, depth=4, dropout=0.1), ROWS, 4, 0),
    "members": (lambda: MLP(8, 3, width=16, depth=2, members=2), ROWS, 0, 2),
    "fused": (lambda: fuse(nn.Sequential(nn.Linear(8, 8), SELU(), nn.Linear(8, 8))), ROWS, 1, 0),
    "activation": (SELU, ROWS, 0, 1),
    "activation at the end": (lambda: nn.Sequential(nn.Linear(8, 8), SELU()), ROWS, 0, 1),
    "torch's own": (
        lambda: nn.Sequential(nn.Linear(8, 8), nn.SELU(), nn.AlphaDropout(), nn.Linear(8, 8)),
        ROWS, 1, 0,
    ),
    "in place at the start": (
        lambda: nn.Sequential(SELU(inplace=True), nn.Linear(8, 8)), ROWS, 0, 1,
    ),
    "nested": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Linear(8, 8), SELUAlphaDropout(0.1)), nn.Sequential(nn.Linear(8, 8))
        ),
        ROWS, 1, 0,
    ),
    "convolutions": (lambda: selfnorm.convert(_cnn())[0], IMAGES, 3, 0),
    "graph": (lambda: selfnorm.convert(Relu())[0], ROWS, 0, 2),
    "traced": (Traced, IMAGES, 1, 0),
    "residual": (lambda: nn.Sequential(Residual(), Residual()), ROWS, 0, 2),
    "untraced": (Untraced, ROWS, 0, 2),
    "peeking": (Peeking, ROWS, 0, 1),
    "overwriting": (Overwriting, ROWS, 0, 1),
    "tied": (Tied, ROWS, 0, 1),
    "borrowing": (Borrowing, ROWS, 0, 1),
    "weight norm": (
        lambda: nn.Sequential(SELU(), parametrizations.weight_norm(nn.Linear(8, 8))), ROWS, 0, 1,
    ),
    "hooked": (_hooked, ROWS, 0, 1),
    "shared": (_shared, ROWS, 0, 1),
    "several readers in a list": (
        lambda: nn.Sequential(Peeking(), nn.Linear(16, 8), SELU(), nn.Flatten(), nn.Linear(8, 2)),
        ROWS, 1, 1,
    ),
    "identity in place": (lambda: Aliased(nn.Identity()), ROWS, 0, 1),
    "dropout in place": (lambda: Aliased(nn.Dropout()), ROWS, 0, 1),
    "alpha dropout in place": (lambda: Aliased(AlphaDropout()), ROWS, 0, 1),
    "flatten in place": (lambda: Aliased(nn.Flatten()), ROWS, 0, 1),
    "view in place": (lambda: Aliased(View()), ROWS, 0, 1),
    "view in a chain": (lambda: nn.Sequential(
        nn.Linear(8, 8), nn.Flatten(), SELU(inplace=True), nn.Linear(8, 8)), ROWS, 1, 0,
    ),
    "tied decoder": (_tied_to(Decoder), ROWS, 0, 1),
    "called from elsewhere": (_tied_to(Calls), ROWS, 0, 1),
    "untraced elsewhere": (
        lambda: nn.Sequential(Deciding(), nn.Linear(8, 8), SELU(), nn.Linear(8, 8)), ROWS, 0, 1,
    ),
    "patched": (_patched, ROWS, 0, 1),
    "forms": (
        lambda: nn.Sequential(
            nn.Linear(8, 8), SELU(depth=100), AlphaDropout(0.1), nn.Linear(8, 8),
            SELU(True, bidirectional=True), nn.Linear(8, 8), SELUAlphaDropout(0.1, depth=100),
            nn.Linear(8, 8), SELU(depth=8), nn.Linear(8, 8), SELU(True, depth=50),
        ),
        ROWS, 1, 0,
    ),
    "subclasses": (
        lambda: nn.Sequential(
            nn.Linear(8, 8), PlainSubclass(), nn.Linear(8, 8), OurSubclass(), nn.Linear(8, 8)
        ),
        ROWS, 2, 0,
    ),
}  # fmt: skip


def build(name: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    model = MODELS[name][0]().to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.uniform_(-0.5, 0.5)
    return model, torch.randn(MODELS[name][1], dtype=dtype)
