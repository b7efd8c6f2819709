"""Networks as people write them, with the mistakes that people make."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from selfnorm.init import initialize_


def plain(depth: int = 6, width: int = 64, *, outputs: int = 10) -> nn.Sequential:
    """A right one: LeCun's weights, SELU."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), nn.SELU()]
    return initialize_(nn.Sequential(*layers, nn.Linear(width, outputs)))


class Functional(nn.Module):
    """Calls SELU as a function, one linear layer twice."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.first, self.again = nn.Linear(width, width), nn.Linear(width, width)
        self.head = nn.Linear(width, 3)
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.selu(self.first(x))
        x = torch.selu(self.again(x))
        x = self.again(x).selu() if hasattr(x, "selu") else functional.selu(self.again(x))
        return self.head(x)


def vgg() -> tuple[nn.Module, Tensor]:
    """Convolution, batch normalization, ReLU, pooling; dropout in the head."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (32, 64):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.Conv2d(channels, channels, 2, stride=2))
        layers.append(nn.ReLU(inplace=True))
    head = [nn.Linear(64 * 64, 128), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(128, 10)]
    return nn.Sequential(*layers, nn.Flatten(), *head), torch.randn(32, 3, 32, 32)


class BasicBlock(nn.Module):
    """As in torchvision: an in-place addition, one ReLU used twice."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """A small one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(BasicBlock(32, 32), BasicBlock(32, 32))
        self.layer2 = nn.Sequential(BasicBlock(32, 64, 2), BasicBlock(64, 64))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def resnet() -> tuple[nn.Module, Tensor]:
    """The ResNet and images."""
    return ResNet(), torch.randn(32, 3, 32, 32)


class MixerBlock(nn.Module):
    """Mixes tokens, then channels; pre-norm, GELU, residual."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens = nn.Sequential(
            nn.Linear(tokens, 64), nn.GELU(), nn.Dropout(0.1), nn.Linear(64, tokens)
        )
        self.channels = nn.Sequential(
            nn.Linear(width, 128), nn.GELU(), nn.Dropout(0.1), nn.Linear(128, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    """MLP-Mixer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 64, 4, stride=4)
        self.blocks = nn.ModuleList(MixerBlock(64, 64) for _ in range(3))
        self.norm = nn.LayerNorm(64)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def mixer() -> tuple[nn.Module, Tensor]:
    """MLP-Mixer and images."""
    return Mixer(), torch.randn(32, 3, 32, 32)


class Reader(nn.Module):
    """Tokens, an LSTM, a head with functional ReLU and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 48)
        self.lstm = nn.LSTM(48, 64, batch_first=True)
        self.hidden = nn.Linear(64, 64)
        self.head = nn.Linear(64, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        states, _ = self.lstm(self.embed(tokens))
        x = functional.relu(self.hidden(states[:, -1]))
        x = functional.dropout(x, 0.2, self.training)
        return self.head(x)


def reader() -> tuple[nn.Module, Tensor]:
    """The LSTM classifier and tokens."""
    return Reader(), torch.randint(100, (64, 12))


def generator() -> tuple[nn.Module, Tensor]:
    """Transposed convolutions, batch normalization, ReLU; tanh at the output."""
    layers: list[nn.Module] = [nn.Linear(64, 64 * 64), nn.Unflatten(1, (64, 8, 8))]
    channels = 64
    for width in (48, 32):
        layers += [nn.BatchNorm2d(channels), nn.ReLU(True)]
        layers.append(nn.ConvTranspose2d(channels, width, 4, 2, 1, bias=False))
        channels = width
    layers += [nn.BatchNorm2d(32), nn.ReLU(True), nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Tanh()]
    return nn.Sequential(*layers), torch.randn(64, 64)


class Autoencoder(nn.Module):
    """ELU without LeCun's weights; sigmoid at the output."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(96, 64), nn.ELU(), nn.Dropout(0.1), nn.Linear(64, 32), nn.ELU()
        )
        self.decoder = nn.Sequential(nn.Linear(32, 64), nn.ELU(), nn.Linear(64, 96), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


def autoencoder() -> tuple[nn.Module, Tensor]:
    """The autoencoder and rows."""
    return Autoencoder(), torch.randn(256, 96)


NETWORKS = {
    "vgg": vgg,
    "resnet": resnet,
    "mixer": mixer,
    "lstm": reader,
    "generator": generator,
    "autoencoder": autoencoder,
}
