"""Mistakes in networks of other people's making, and whether the true cause is named."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

import selfnorm
from selfnorm.init import initialize_

WIDTH, ROWS = 64, 256
Step = Callable[[nn.Module, Tensor], Tensor]


class Net(nn.Module):
    """Hidden layers, each followed by a step of one's own."""

    def __init__(self, step: Step, depth: int = 5, outputs: int = 10) -> None:
        super().__init__()
        self.step = step
        self.hidden = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(depth))
        self.head = nn.Linear(WIDTH, outputs)
        initialize_(self)

    def forward(self, x: Tensor) -> Any:
        for layer in self.hidden:
            x = self.step(layer, x)
        return self.head(x)


def selu(layer: nn.Module, x: Tensor) -> Tensor:
    return functional.selu(layer(x))


def drawn(change: Callable[[Tensor], object]) -> Net:
    """A right network, its weights drawn by something else."""
    model = Net(selu)
    with torch.no_grad():
        for layer in model.hidden:
            change(layer.weight)  # pyright: ignore
    return model


def parametrized(change: Callable[[nn.Module], object]) -> Net:
    model = Net(selu)
    for layer in model.hidden:
        change(layer)
    return model


class Stacked(nn.Module):
    """Matrices (K, in, out) that a product multiplies with."""

    def __init__(self, multiply: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.multiply = multiply
        limit = WIDTH**-0.5
        self.weights = nn.ParameterList(
            nn.Parameter(torch.empty(4, WIDTH, WIDTH).uniform_(-limit, limit)) for _ in range(4)
        )
        self.head = initialize_(nn.Linear(WIDTH, 2))

    def forward(self, x: Tensor) -> Tensor:
        for weight in self.weights:
            x = functional.selu(self.multiply(x, weight))
        return self.head(x)


class Decoder(nn.Module):
    """What encodes decodes, transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(WIDTH, 32), nn.Linear(32, 8)
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.selu(self.narrow(functional.selu(self.wide(x))))
        x = functional.selu(functional.linear(x, self.narrow.weight.t()))
        return functional.linear(x, self.wide.weight.t())


class Embedded(nn.Module):
    """Tokens, embedded."""

    def __init__(self, embed: nn.Module) -> None:
        super().__init__()
        self.embed, self.body = embed, Net(selu)
        initialize_(self)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.body(self.embed(tokens))


def overwritten(layer: nn.Module, x: Tensor) -> Tensor:
    hidden = layer(x)
    functional.selu(hidden)
    return hidden


def cut(layer: nn.Module, x: Tensor) -> Tensor:
    return functional.selu(layer(x)).detach()


def zeroed(layer: nn.Module, x: Tensor) -> Tensor:
    x = functional.selu(layer(x)).clone()
    x[:, ::2] = 0
    return x


def standard() -> Tensor:
    return torch.randn(ROWS, WIDTH)


def heavy_tailed() -> Tensor:
    x = torch.exp(2.5 * torch.randn(20 * ROWS, WIDTH))
    x = (x - x.mean(0)) / x.std(0)
    return x[:ROWS]


def padded() -> Tensor:
    tokens = torch.randint(1, 50, (ROWS,))
    tokens[::2] = 0
    return tokens


def one_feature() -> nn.Module:
    layers = [nn.Linear(WIDTH, WIDTH), nn.SELU(), nn.Linear(WIDTH, 1), nn.LayerNorm(1)]
    return initialize_(nn.Sequential(*layers, nn.Linear(1, WIDTH), nn.SELU(), nn.Linear(WIDTH, 3)))


def holed() -> Tensor:
    x = standard()
    x[0, 3] = math.nan
    return x


def gated(layer: nn.Module, x: Tensor) -> Tensor:
    return selu(layer, x) * torch.sigmoid(x)


def noisy(layer: nn.Module, x: Tensor) -> Tensor:
    x = selu(layer, x)
    return x * (1 + 0.5 * torch.randn_like(x))


def with_length(g: float) -> Callable[[nn.Module], object]:
    """Weight normalization with this length for all units."""

    def norm(layer: nn.Module) -> None:
        parametrizations.weight_norm(layer)
        nn.init.constant_(layer.parametrizations.weight.original0, g)  # pyright: ignore

    return norm


def unlike() -> nn.Module:
    widths = (WIDTH, 512, WIDTH, 512, 32)
    layers = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.SELU())]
    model = nn.Sequential(*layers, nn.Linear(32, 3))
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight)  # pyright: ignore
        nn.init.zeros_(layer.bias)  # pyright: ignore
    return model


class Recurrent(nn.Module):
    """What a recurrence ends at, weighed."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.body = nn.LSTM(WIDTH, WIDTH, batch_first=True), Net(selu)
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.rnn(x)[0][:, -1])


def growing() -> nn.Module:
    layers = [m for _ in range(3) for m in (nn.ConvTranspose2d(32, 32, 3, stride=2), nn.SELU())]
    return nn.Sequential(*layers, nn.Conv2d(32, 3, 1))


@dataclass(frozen=True)
class Planted:
    """A mistake, the rule that has to name it, and words of what it says."""

    name: str
    make: Callable[[], nn.Module]
    rule: str
    says: str
    inputs: Callable[[], Tensor] = standard


PLANTED = [
    Planted(
        "alpha dropout that never acts",
        lambda: Net(lambda layer, x: functional.alpha_dropout(selu(layer, x), 0.2)),
        "idle-dropout",
        "alpha_dropout() with p = 0.2 is off in training",
    ),
    Planted(
        "SELU on a regression's output",
        lambda: nn.Sequential(Net(selu, outputs=1), nn.SELU()),
        "bounded-output",
        "last layer of the model's 1 output",
    ),
    Planted("heavy tails", lambda: Net(selu), "heavy-tailed-input", "mean squares", heavy_tailed),
    Planted("tied decoder", Decoder, "tied-weight", "narrow.weight is narrow's, transposed"),
    Planted("one feature normalized", one_feature, "constant-output", "3 (LayerNorm)"),
    Planted("SELU overwritten", lambda: Net(overwritten), "unread-layer", "nothing reads"),
    Planted("SELU twice", lambda: Net(lambda layer, x: torch.selu(selu(layer, x))),
            "wrong-activation", "selu stands behind selu"),
    Planted("clamped", lambda: Net(lambda layer, x: selu(layer, x).clamp(-1, 1)),
            "wrong-activation", "hardtanh stands behind selu"),
    Planted("squared", lambda: Net(lambda layer, x: selu(layer, x) ** 2, 2), "wrong-activation",
            "pow stands behind selu"),
    Planted("graph cut", lambda: Net(cut, 3), "no-gradient", "no gradient reaches hidden.2"),
    Planted("half of the units written over", lambda: Net(zeroed), "variance-drift",
            "setitem() (use 2) multiplies the second moment by 0.4"),
    Planted("0.3 * block(x)", lambda: Net(lambda layer, x: 0.3 * selu(layer, x)),
            "variance-drift", "mul() multiplies the second moment by 0.09"),
    Planted("0.5 * (x + f(x))", lambda: Net(lambda layer, x: 0.5 * (x + selu(layer, x)), 8),
            "variance-drift", "multiplies the second moment by 0.4"),
    Planted("sum of a bag", lambda: Embedded(nn.EmbeddingBag(50, WIDTH, mode="sum")),
            "embedding-variance", "in bags", lambda: torch.randint(50, (ROWS, 20))),
    Planted("padding", lambda: Embedded(nn.Embedding(50, WIDTH, padding_idx=0)), "padded-rows",
            "50% of the rows", padded),
    Planted("one row in all units", lambda: drawn(lambda w: w.copy_(w[:1].expand_as(w))),
            "repeated-units", "correlate by 1.00"),
    Planted("weights of one sign", lambda: drawn(lambda w: w.abs_()), "one-sided-weights",
            "sum to omega = +6"),
    Planted("std = 1/fan_in", lambda: drawn(lambda w: w.normal_(std=1 / WIDTH)),
            "selu-without-lecun", "a deviation of 1/fan_in"),
    Planted("variance 1/sqrt(fan_in)", lambda: drawn(lambda w: w.normal_(std=WIDTH**-0.25)),
            "selu-without-lecun", "a variance of 1/sqrt(fan_in)"),
    Planted("GPT-2's", lambda: drawn(lambda w: w.normal_(std=0.02 / math.sqrt(24))),
            "selu-without-lecun", "GPT-2's of 12 blocks"),
    Planted("policy heads", lambda: drawn(lambda w: nn.init.orthogonal_(w, 0.01)),
            "selu-without-lecun", "a gain of 0.01"),
    Planted("orthogonal, for ReLU", lambda: drawn(lambda w: nn.init.orthogonal_(w, 2**0.5)),
            "selu-without-lecun", "orthogonal_ with the gain of ReLU"),
    Planted("0.5/sqrt(numel)", lambda: drawn(lambda w: w.normal_(std=0.5 * w.numel() ** -0.5)),
            "selu-without-lecun", "0.5/sqrt(numel)"),
    Planted("a constant", lambda: drawn(lambda w: w.fill_(0.01)), "selu-without-lecun",
            "one value for all, 0.01"),
    Planted("a gain", lambda: drawn(lambda w: w.mul_(1.3)), "selu-without-lecun",
            "cause is unknown: a deviation of 0.16"),
    Planted("pruned", lambda: parametrized(lambda m: prune.random_unstructured(m, "weight", 0.8)),
            "selu-without-lecun", "LeCun's, of which 80% were set to 0"),
    Planted("units without weights", lambda: drawn(lambda w: w[: WIDTH // 2].zero_()),
            "selu-without-lecun", "LeCun's, of which those of 32 of 64 units are 0"),
    Planted("sparse", lambda: drawn(lambda w: nn.init.sparse_(w, 0.9, std=0.1)),
            "selu-without-lecun", "normal of deviation 0.1, of which 90% were set to 0"),
    Planted("weight normalization's g", lambda: parametrized(with_length(2.0)),
            "selu-without-lecun", "weight normalization with g = 2"),
    Planted("layers of unlike shape", unlike, "selu-without-lecun", "tau is 0.2"),
    Planted("a small head", unlike, "wrong-init", "initialized by Xavier's, xavier_uniform_"),
    Planted("softmax over one number", lambda: nn.Sequential(Net(selu, outputs=1), nn.Softmax(1)),
            "constant-output", "gives its one value"),
    Planted("nan", lambda: Net(selu), "non-finite", "nan, in 1 of 64 features (number 3)", holed),
    Planted("a recurrence", Recurrent, "variance-drift", "rnn multiplies the second moment by 0.",
            lambda: torch.randn(ROWS, 8, WIDTH)),
    Planted("a gate", lambda: Net(gated), "variance-drift",
            "mul() (use 2) multiplies the second moment by 0.2"),
    Planted("noise that multiplies", lambda: Net(noisy, 8), "variance-drift",
            "7 calls as mul() multiply the second moment, by 1.2"),
    Planted("unit length", lambda: Net(lambda layer, x: functional.normalize(selu(layer, x))),
            "variance-drift", "normalize() multiplies the second moment"),
    Planted("spectral norm", lambda: parametrized(parametrizations.spectral_norm),
            "selu-without-lecun", "SpectralNorm, which decides the size"),
    Planted("transposed convolutions", growing, "selu-without-lecun", "torch's default",
            lambda: torch.randn(16, 32, 4, 4)),
    Planted("einsum", lambda: Stacked(lambda x, w: torch.einsum("bki,kio->bko", x, w)),
            "selu-without-lecun", "limits of 1/sqrt(fan_in)", lambda: torch.randn(ROWS, 4, WIDTH)),
    Planted("bmm", lambda: Stacked(torch.bmm), "selu-without-lecun", "limits of 1/sqrt(fan_in)",
            lambda: torch.randn(4, ROWS, WIDTH)),
]  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_the_true_cause_is_named(planted: Planted) -> None:
    torch.manual_seed(0)
    report = selfnorm.audit(planted.make(), planted.inputs())
    found = [finding for finding in report.findings if finding.rule == planted.rule]
    assert found, report
    assert any(planted.says in f"{f.seen} {f.why}" for f in found), found[0]
    assert "decay" not in str(report) or "decay" in planted.says or "unknown" in planted.says


def test_targets_that_selu_cannot_reach() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Net(selu, outputs=3), nn.SELU())
    x, y = standard(), torch.randn(ROWS, 3) - 2
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 64)
    found = selfnorm.audit(model, loader, loss=functional.mse_loss).findings
    assert [f.severity for f in found if f.rule == "bounded-output"] == ["error"]
    assert "targets go down to -" in found[0].seen


@dataclass
class Output:
    """As libraries return it."""

    logits: Tensor
    loss: Tensor | None = None


class Holder:
    """An object with a tensor among its attributes."""

    def __init__(self, logits: Tensor) -> None:
        self.logits, self.name = logits, "logits"


@pytest.mark.parametrize("wrap", [Output, Holder, lambda x: {"a": [Output(x)]}])
def test_outputs_of_any_form_have_gradients(wrap: Callable[[Tensor], object]) -> None:
    class Wrapped(Net):
        def forward(self, x: Tensor) -> object:
            return wrap(super().forward(x))

    torch.manual_seed(0)
    report = selfnorm.audit(Wrapped(selu), standard())
    assert report.ok, report
    assert report.layers[0].gradient > 0
    assert report.recording.outputs == (len(report.layers) - 1,)


def test_where_no_gradient_arrives_that_is_told() -> None:
    class Detached(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).detach()

    torch.manual_seed(0)
    found = selfnorm.audit(Detached(selu), standard()).findings
    assert [finding.rule for finding in found] == ["no-gradient"]
    assert "no gradient arrived at any layer" in found[0].seen


def test_what_is_kept_is_read() -> None:
    """An output that a module keeps, for a loss elsewhere."""

    def kept(layer: nn.Module, x: Tensor) -> Tensor:
        layer.code = functional.selu(layer(x))  # pyright: ignore
        return functional.selu(layer(x))

    torch.manual_seed(0)
    assert selfnorm.audit(Net(kept), standard()).ok


def test_a_sparse_bag_of_words_is_not_constant() -> None:
    torch.manual_seed(0)
    words = ((torch.rand(ROWS, 512) < 0.01).float() - 0.01) / 0.0995
    model = initialize_(nn.Sequential(nn.Linear(512, WIDTH), nn.SELU(), nn.Linear(WIDTH, 2)))
    assert not selfnorm.audit(model, words).findings
