"""Mistakes that people make with SELU, and whether an audit names the cause."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import selfnorm
from selfnorm.auditing import Report
from selfnorm.init import initialize_

WIDTH, ROWS = 128, 256
Made = tuple[nn.Module, Any]


@dataclass(frozen=True)
class Mistake:
    """What was done, and which finding has to say so."""

    name: str
    make: Callable[[], Made]
    rule: str
    says: str
    module: str | None = None
    severity: str = "error"


def standard(*shape: int) -> Tensor:
    return torch.randn(*shape)


def plain(
    depth: int = 8,
    width: int = WIDTH,
    activation: Callable[[], nn.Module] = nn.SELU,
    extra: Callable[[], nn.Module] | None = None,
    init: Callable[[nn.Module], object] | None = initialize_,
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), activation()]
        if extra is not None:
            layers.append(extra())
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    if init is not None:
        init(model)
    return model


def of_weights(change: Callable[[Tensor], object], **more: Any) -> Callable[[], Made]:
    """A right network, its weights drawn by something else."""

    def make() -> Made:
        model = plain(**more)
        with torch.no_grad():
            for layer in model:
                if isinstance(layer, nn.Linear):
                    change(layer.weight)
        return model, standard(ROWS, WIDTH)

    return make


def convolutional(change: Callable[[nn.Sequential], object] | None = None, **conv: Any) -> Made:
    layers: list[nn.Module] = []
    channels = 3
    for _ in range(4):
        layers += [nn.Conv2d(channels, 48, 3, **conv), nn.SELU()]
        channels = 48
    model = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(10))
    images = standard(32, 3, 16, 16)
    model(images)
    initialize_(model)
    if change is not None:
        change(model)
    return model, images


def lecun_skipped_for_conv() -> Made:
    def default(model: nn.Sequential) -> None:
        for layer in model:
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()

    return convolutional(default)


def kernel_forgotten() -> Made:
    def wrong(model: nn.Sequential) -> None:
        for layer in model:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=layer.in_channels**-0.5)

    return convolutional(wrong)


class Residual(nn.Module):
    """Blocks of `x + f(x)`."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.stem = nn.Linear(WIDTH, WIDTH)
        self.blocks = nn.ModuleList(plain(2)[:4] for _ in range(4))
        self.head = nn.Linear(WIDTH, 10)
        self.scale = scale
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.selu(self.stem(x))
        for block in self.blocks:
            x = x + block(x)
            if self.scale != 1:
                x = self.scale * x
        return self.head(x)


class Overwriting(nn.Module):
    """Writes into what SELU gave."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.act = selfnorm.nn.SELU(inplace=True)
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x))
        h += 1.0
        return self.second(h)


class Tied(nn.Module):
    """Embeds tokens."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, WIDTH)
        self.body = plain(4)
        nn.init.normal_(self.embed.weight, std=size)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.body(self.embed(tokens))


class Joined(nn.Module):
    """Joins a SELU branch with raw input."""

    def __init__(self) -> None:
        super().__init__()
        self.branch, self.rest = plain(2)[:4], plain(2, WIDTH)
        self.join = nn.Linear(WIDTH + 4, WIDTH)
        initialize_(self)

    def forward(self, x: Tensor, raw: Tensor) -> Tensor:
        return self.rest(nn.functional.selu(self.join(torch.cat([self.branch(x), raw], 1))))


def decayed() -> Made:
    model = plain()
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                layer.weight *= torch.empty(
                    WIDTH if layer.out_features == WIDTH else 10, 1
                ).uniform_(0.5, 0.9)
    return model, standard(ROWS, WIDTH)


def with_bias(size: float) -> Callable[[], Made]:
    def make() -> Made:
        model = plain()
        for layer in model:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.bias, std=size)
        return model, standard(ROWS, WIDTH)

    return make


def given(inputs: Callable[[], Tensor], **more: Any) -> Callable[[], Made]:
    return lambda: (plain(**more), inputs())


def pixels() -> Tensor:
    return torch.randint(0, 256, (ROWS, WIDTH)).float()


def constant_columns() -> Tensor:
    x = standard(ROWS, WIDTH)
    x[:, :40] = 0
    return x


def own_units() -> Tensor:
    return standard(ROWS, WIDTH) * 10 ** torch.linspace(-2, 3, WIDTH)


def two_linears() -> Made:
    layers = list(plain())
    del layers[5]
    return nn.Sequential(*layers), standard(ROWS, WIDTH)


def pooled() -> Made:
    conv = [nn.Conv2d(3, 32, 3), nn.SELU(), nn.MaxPool2d(4), nn.Conv2d(32, 32, 3), nn.SELU()]
    model = nn.Sequential(*conv, nn.Flatten(), nn.Linear(32 * 25, 10))
    return initialize_(model), standard(32, 3, 30, 30)


def averaged() -> Made:
    made, images = pooled()
    assert isinstance(made, nn.Sequential)
    made[2] = nn.AvgPool2d(4)
    return made, images


def padded() -> Made:
    conv = [nn.Conv2d(3, 32, 5, padding=2), nn.SELU(), nn.Conv2d(32, 32, 5, padding=2), nn.SELU()]
    return initialize_(nn.Sequential(*conv, nn.Flatten(), nn.Linear(288, 10))), standard(
        64, 3, 3, 3
    )


def grown_from_a_point() -> Made:
    """DCGAN's first layer: of 4 x 4 taps each output position gets one."""
    layers = [nn.ConvTranspose2d(64, 64, 4), nn.SELU(), nn.Conv2d(64, 3, 3)]
    return initialize_(nn.Sequential(*layers)), standard(ROWS, 64, 1, 1)


def half() -> Made:
    model = plain(4, activation=lambda: nn.SELU(inplace=True)).bfloat16()
    return model, standard(ROWS, WIDTH).bfloat16()


def hot() -> Made:
    return plain(2).half(), (standard(ROWS, WIDTH) * 3e4).half()


def exploding() -> Made:
    model = plain(30)
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                layer.weight *= 2**0.5
    return model, standard(ROWS, WIDTH)


def transposed() -> Made:
    def block(channels: int) -> list[nn.Module]:
        return [nn.ConvTranspose2d(channels, 32, 4, stride=2, padding=1), nn.SELU()]

    model = nn.Sequential(*block(64), *block(32), nn.Conv2d(32, 3, 3))
    initialize_(model)
    for layer in model:
        if isinstance(layer, nn.ConvTranspose2d):  # as torch counts it: out * kernel
            fan_in, _ = nn.init._calculate_fan_in_and_fan_out(layer.weight)
            nn.init.normal_(layer.weight, std=fan_in**-0.5)
    return model, standard(32, 64, 8, 8)


def reused() -> Made:
    model = plain()
    seen = model[0]
    assert isinstance(seen, nn.Linear)
    nn.init.kaiming_normal_(seen.weight)
    return nn.Sequential(seen, nn.SELU(), seen, nn.SELU(), model[-1]), standard(ROWS, WIDTH)


def forgotten() -> Made:
    model = plain()
    layer = model[6]
    assert isinstance(layer, nn.Linear)
    layer.reset_parameters()
    return model, standard(ROWS, WIDTH)


kaiming = nn.init.kaiming_normal_
MISTAKES = [
    Mistake(
        "torch's default",
        lambda: (plain(init=None), standard(ROWS, WIDTH)),
        "selu-without-lecun",
        "torch's default",
    ),
    Mistake(
        "kaiming_uniform_(a=sqrt(5))",
        of_weights(lambda w: nn.init.kaiming_uniform_(w, a=5**0.5)),
        "selu-without-lecun",
        "torch's default, kaiming_uniform_(a=sqrt(5))",
        "",
    ),
    Mistake(
        "torch's gain for SELU",
        of_weights(lambda w: kaiming(w, nonlinearity="selu")),
        "selu-without-lecun",
        "gain is 3/4",
        "",
    ),
    Mistake("He", of_weights(kaiming), "selu-without-lecun", "He's, kaiming_normal_", ""),
    Mistake(
        "He uniform",
        of_weights(nn.init.kaiming_uniform_),
        "selu-without-lecun",
        "He's, kaiming_uniform_",
        "",
    ),
    Mistake(
        "Xavier, conic",
        lambda: (
            nn.Sequential(nn.Linear(WIDTH, 32), nn.SELU(), nn.Linear(32, 10)).apply(
                lambda m: nn.init.xavier_uniform_(m.weight) if isinstance(m, nn.Linear) else None
            ),
            standard(ROWS, WIDTH),
        ),
        "wrong-init",
        "Xavier's",
        "0",
    ),
    Mistake(
        "truncated, uncorrected",
        of_weights(
            lambda w: nn.init.trunc_normal_(
                w, std=WIDTH**-0.5, a=-2 * WIDTH**-0.5, b=2 * WIDTH**-0.5
            )
        ),
        "selu-without-lecun",
        "cut at two deviations without correction",
        "",
    ),
    Mistake(
        "normal of deviation 0.02",
        of_weights(lambda w: nn.init.normal_(w, std=0.02)),
        "selu-without-lecun",
        "deviation 0.02",
        "",
    ),
    Mistake(
        "randn", of_weights(lambda w: w.normal_()), "selu-without-lecun", "deviation 1, randn", ""
    ),
    Mistake("zeros", of_weights(lambda w: w.zero_()), "selu-without-lecun", "zeros", ""),
    Mistake(
        "conv left at torch's default",
        lecun_skipped_for_conv,
        "selu-without-lecun",
        "torch's default",
        "",
    ),
    Mistake(
        "fan-in without the kernel",
        kernel_forgotten,
        "selu-without-lecun",
        "without the kernel",
        "",
    ),
    Mistake(
        "ConvTranspose by torch's fan-in",
        transposed,
        "selu-without-lecun",
        "the fan-in that torch counts",
        "",
    ),
    Mistake("shared layer, He", reused, "wrong-init", "He's", "0"),
    Mistake("one layer forgotten", forgotten, "wrong-init", "torch's default", "6"),
    Mistake("weight decay", decayed, "selu-without-lecun", "shrunk", "", "error"),
    Mistake("biases of 0.7", with_bias(0.7), "nonzero-bias", "root mean square 0.7", "0"),
    Mistake("biases of 0.2", with_bias(0.2), "nonzero-bias", "root mean square 0.", "0", "warning"),
    Mistake(
        "ReLU",
        lambda: (plain(activation=nn.ReLU), standard(ROWS, WIDTH)),
        "wrong-activation",
        "relu",
        "1",
    ),
    Mistake(
        "ELU for SELU",
        lambda: (plain(activation=nn.ELU), standard(ROWS, WIDTH)),
        "wrong-activation",
        "elu",
        "1",
    ),
    Mistake(
        "one GELU among SELUs",
        lambda: (
            nn.Sequential(*[nn.GELU() if k == 5 else m for k, m in enumerate(plain())]),
            standard(ROWS, WIDTH),
        ),
        "wrong-activation",
        "gelu",
        "5",
    ),
    Mistake(
        "no activation between two linears",
        two_linears,
        "missing-activation",
        "without an activation",
        "4",
        "warning",
    ),
    Mistake(
        "plain dropout",
        lambda: (plain(extra=lambda: nn.Dropout(0.1)), standard(ROWS, WIDTH)),
        "plain-dropout",
        "Dropout with p = 0.1",
        "2",
    ),
    Mistake(
        "alpha dropout after ReLU",
        lambda: (
            plain(activation=nn.ReLU, extra=lambda: nn.AlphaDropout(0.1)),
            standard(ROWS, WIDTH),
        ),
        "alpha-dropout-misplaced",
        "after relu",
        "2",
    ),
    Mistake(
        "alpha dropout before SELU",
        lambda: (
            nn.Sequential(
                nn.Linear(WIDTH, WIDTH), nn.AlphaDropout(0.1), nn.SELU(), nn.Linear(WIDTH, 3)
            ),
            standard(ROWS, WIDTH),
        ),
        "alpha-dropout-misplaced",
        "between 0 and its SELU",
        "1",
        "warning",
    ),
    Mistake(
        "AlphaDropout(.5), 30 layers",
        lambda: (plain(30, extra=lambda: nn.AlphaDropout(0.5)), standard(ROWS, WIDTH)),
        "dropout-budget",
        "p = 0.5 over 30 layers",
        "",
    ),
    Mistake(
        "AlphaDropout(.1), 30 layers",
        lambda: (plain(30, extra=lambda: selfnorm.nn.AlphaDropout(0.1)), standard(ROWS, WIDTH)),
        "dropout-budget",
        "p = 0.1 over 30 layers leaves 0.05",
        "",
        "warning",
    ),
    Mistake(
        "BatchNorm left in",
        lambda: (plain(extra=lambda: nn.BatchNorm1d(WIDTH)), standard(ROWS, WIDTH)),
        "leftover-normalization",
        "BatchNorm1d",
        "2",
        "warning",
    ),
    Mistake(
        "LayerNorm left in",
        lambda: (plain(extra=lambda: nn.LayerNorm(WIDTH)), standard(ROWS, WIDTH)),
        "leftover-normalization",
        "LayerNorm",
        "2",
        "warning",
    ),
    Mistake(
        "unscaled residuals",
        lambda: (Residual(), standard(ROWS, WIDTH)),
        "unscaled-residual",
        "an addition",
        "",
        "warning",
    ),
    Mistake("max pooling", pooled, "pooling", "MaxPool2d gives mean +1", "2", "warning"),
    Mistake("average pooling", averaged, "pooling", "AvgPool2d", "2", "warning"),
    Mistake(
        "transposed convolution of one pixel",
        grown_from_a_point,
        "zero-padding",
        "94% of the terms",
        "0",
        "warning",
    ),
    Mistake("mostly padding", padded, "zero-padding", "padded zeros", "0", "warning"),
    Mistake(
        "raw branch joined",
        lambda: (Joined(), (standard(ROWS, WIDTH), 40 * standard(ROWS, 4))),
        "concatenation",
        "joins parts",
        "",
        "warning",
    ),
    Mistake("bytes", given(pixels), "input-not-standardized", "bytes of images", "0"),
    Mistake(
        "unit interval",
        given(lambda: torch.rand(ROWS, WIDTH)),
        "input-not-standardized",
        "scaled to [0, 1]",
        "0",
    ),
    Mistake(
        "columns in their units",
        given(own_units),
        "input-not-standardized",
        "in their own units",
        "0",
    ),
    Mistake(
        "constant columns",
        given(constant_columns),
        "constant-feature",
        "40 of 128 features never change",
        "0",
        "warning",
    ),
    Mistake(
        "small embeddings",
        lambda: (Tied(0.02), torch.randint(50, (ROWS,))),
        "embedding-variance",
        "second moment 0.0004",
        "embed",
    ),
    Mistake(
        "in-place write",
        lambda: (Overwriting(), standard(ROWS, WIDTH)),
        "in-place-write",
        "the backward pass fails",
        "act",
    ),
    Mistake(
        "half precision in place", half, "half-precision", "torch's SELU in place", "1", "warning"
    ),
    Mistake("float16 overflow", hot, "non-finite", "infinities", "0"),
    Mistake(
        "weights too large, deep",
        exploding,
        "gradient-drift",
        "times that at the last",
        "1",
        "warning",
    ),
    Mistake(
        "variance lost in depth",
        of_weights(lambda w: kaiming(w, nonlinearity="selu"), depth=30),
        "variance-drift",
        "Placed: the weights",
    ),
]


def audited(mistake: Mistake) -> Report:
    torch.manual_seed(1)
    model, inputs = mistake.make()
    return selfnorm.audit(model, inputs)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_the_cause_is_named(mistake: Mistake) -> None:
    report = audited(mistake)
    found = [f for f in report.findings if f.rule == mistake.rule]
    assert found, report
    first = found[0]
    assert mistake.says in f"{first.seen} {first.why}", first
    assert first.severity == mistake.severity, first
    assert mistake.module is None or first.module == mistake.module, first
    assert not report.ok
