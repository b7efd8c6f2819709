"""What a finding advises mends it: done as it says, and audited again."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

import selfnorm
from auditing.test_planted import (
    ROWS,
    WIDTH,
    Decoder,
    Embedded,
    Net,
    Stacked,
    drawn,
    growing,
    heavy_tailed,
    one_feature,
    overwritten,
    parametrized,
    selu,
    standard,
)
from selfnorm.init import initialize_

Mended = nn.Module | None
LIKEWISE, GIVEN = re.compile(r"likewise ([\w., ]+?):"), re.compile(r"get_parameter\('.*?'\)")
CALL = re.compile(r"selfnorm\.[\w.]+\(model(?:[^()]|\([^()]*\))*\)")


@dataclass(frozen=True)
class Advised:
    """A network, the rule that speaks of it, and what its advice is taken to mean."""

    name: str
    make: Callable[[], nn.Module]
    rule: str
    mend: Callable[..., Mended]
    inputs: Callable[[], Tensor] = standard


def as_written(
    model: nn.Module, fix: str, report: selfnorm.auditing.Report | None = None
) -> Mended:
    """Run the line itself, for each weight that it names."""
    found = CALL.search(fix)
    assert found, fix
    line = found.group()
    others = names.group(1).split(", ") if (names := LIKEWISE.search(fix)) else []
    lines = [line, *(GIVEN.sub(f"get_parameter({name!r})", line) for name in others)]
    for one in lines:
        names = {"selfnorm": selfnorm, "model": model, "report": report}
        made = eval(one, names)  # noqa: S307
    return made[0] if isinstance(made, tuple) else None


def number(fix: str) -> float:
    found = re.search(r"by (\d+\.?\d*)", fix)
    assert found, fix
    return float(found.group(1))


def step(changed: Callable[[nn.Module, Tensor], Tensor], words: str) -> Callable[..., Mended]:
    """Another step between the layers, as these words say."""

    def mend(model: nn.Module, fix: str) -> None:
        assert words in fix, fix
        model.step = changed  # pyright: ignore

    return mend


def scaled_weights(model: nn.Module, fix: str) -> None:
    for layer in model.hidden:  # pyright: ignore
        layer.weight_orig.data *= number(fix)


class Scaled(Decoder):
    """The decoder reads this many times as much."""

    factor = 1.0

    def forward(self, x: Tensor) -> Tensor:
        x = functional.selu(self.narrow(functional.selu(self.wide(x))))
        x = functional.selu(functional.linear(self.factor * x, self.narrow.weight.t()))
        return functional.linear(x, self.wide.weight.t())


def scale(model: nn.Module, fix: str) -> None:
    model.factor = number(fix)  # pyright: ignore


class Bagged(Embedded):
    factor = 1.0

    def forward(self, tokens: Tensor) -> Tensor:
        return self.body(self.factor * self.embed(tokens))


def without(index: int, words: str) -> Callable[..., Mended]:
    """A sequence without one of its modules."""

    def mend(model: nn.Module, fix: str) -> nn.Module:
        assert words in fix, fix
        return nn.Sequential(*[m for k, m in enumerate(model.children()) if k != index])

    return mend


def unbound(model: nn.Module, fix: str) -> Mended:
    """Without what computes the weights."""
    assert "Take SpectralNorm off" in fix.replace("_", "")
    for layer in model.hidden:  # pyright: ignore
        nn.utils.parametrize.remove_parametrizations(layer, "weight")
    return as_written(model, fix)


def normed() -> nn.Module:
    layers = [nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), nn.SELU()]
    return initialize_(
        nn.Sequential(*layers, nn.Linear(WIDTH, WIDTH), nn.SELU(), nn.Linear(WIDTH, 2))
    )


def relus() -> nn.Module:
    layers = [m for _ in range(3) for m in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 2))


def default() -> nn.Module:
    model = Net(selu)
    for layer in [*model.hidden, model.head]:
        layer.reset_parameters()  # pyright: ignore
    return model


def one_forgotten() -> nn.Module:
    model = Net(selu)
    model.hidden[2].reset_parameters()  # pyright: ignore
    return model


def with_biases() -> nn.Module:
    model = Net(selu)
    nn.init.ones_(model.hidden[1].bias)  # pyright: ignore
    return model


def alpha(layer: nn.Module, x: Tensor) -> Tensor:
    return functional.alpha_dropout(selu(layer, x), 0.02, training=True)


ADVISED = [
    Advised("default", default, "selu-without-lecun", as_written),
    Advised("one forgotten", one_forgotten, "wrong-init", as_written),
    Advised("biases", with_biases, "nonzero-bias", as_written),
    Advised("of one sign", lambda: drawn(lambda w: w.abs_()), "one-sided-weights", as_written),
    Advised("copies", lambda: drawn(lambda w: w.copy_(w[:1].expand_as(w))), "repeated-units",
            as_written),
    Advised("transposed convolutions", growing, "selu-without-lecun", as_written,
            lambda: torch.randn(32, 32, 4, 4)),
    Advised("einsum", lambda: Stacked(lambda x, w: torch.einsum("bki,kio->bko", x, w)),
            "selu-without-lecun", as_written, lambda: torch.randn(ROWS, 4, WIDTH)),
    Advised("bmm", lambda: Stacked(torch.bmm), "selu-without-lecun", as_written,
            lambda: torch.randn(4, ROWS, WIDTH)),
    Advised("pruned", lambda: parametrized(lambda m: prune.random_unstructured(m, "weight", 0.8)),
            "selu-without-lecun", scaled_weights),
    Advised("spectral norm", lambda: parametrized(parametrizations.spectral_norm),
            "selu-without-lecun", unbound),
    Advised("tied", Scaled, "tied-weight", scale),
    Advised("a bag", lambda: Bagged(nn.EmbeddingBag(50, WIDTH, mode="sum")), "embedding-variance",
            scale, lambda: torch.randint(50, (ROWS, 20))),
    Advised("0.3", lambda: Net(lambda layer, x: 0.3 * selu(layer, x)), "variance-drift",
            step(selu, "Leave out the factor 0.3 of mul()")),
    Advised("0.5", lambda: Net(lambda layer, x: 0.5 * (x + selu(layer, x)), 8), "variance-drift",
            step(lambda layer, x: 0.5**0.5 * (x + selu(layer, x)), "the sum by 0.5 ** 0.5")),
    Advised("clamped", lambda: Net(lambda layer, x: selu(layer, x).clamp(-1, 1)),
            "wrong-activation", step(selu, "Take hardtanh() out")),
    Advised("overwritten", lambda: Net(overwritten), "unread-layer", step(selu, "x = selu(x)")),
    Advised("idle", lambda: Net(lambda layer, x: functional.alpha_dropout(selu(layer, x), 0.02)),
            "idle-dropout", step(alpha, "Pass training=self.training")),
    Advised("swish by hand", lambda: Net(lambda layer, x: layer(x) * layer(x).sigmoid()),
            "variance-drift", step(selu, "mul()")),
    Advised("one feature", one_feature, "constant-output", without(3, "Take 3 out")),
    Advised("output", lambda: nn.Sequential(Net(selu, outputs=1), nn.SELU()), "bounded-output",
            without(1, "Take 1 out")),
    Advised("norms", normed, "leftover-normalization", as_written),
    Advised("relu", relus, "wrong-activation", as_written),
]  # fmt: skip


@pytest.mark.parametrize("advised", ADVISED, ids=lambda advised: advised.name)
def test_what_is_advised_mends_it(advised: Advised) -> None:
    torch.manual_seed(0)
    model, x = advised.make(), advised.inputs()
    report = selfnorm.audit(model, x)
    found = [f for f in report.findings if f.rule == advised.rule]
    assert found
    said = (found[0].fix, report) if advised.mend is as_written else (found[0].fix,)
    made = advised.mend(model, *said)
    after = selfnorm.audit(model if made is None else made, x)
    assert advised.rule not in {f.rule for f in after.findings}, f"{found[0].fix}\n{after}"


def test_heavy_tails_are_mended_by_ranks() -> None:
    torch.manual_seed(0)
    model, x = Net(selu), heavy_tailed()
    assert not selfnorm.audit(model, x).ok
    ranks = x.argsort(0).argsort(0)
    assert selfnorm.audit(model, torch.special.ndtri((ranks + 0.5) / ROWS)).ok
