"""Each rule has a model that it speaks of, and a near twin of which it is silent."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import nn

import selfnorm
from auditing.test_aggregation import Graph, nodes, permuted
from auditing.test_mistakes import (
    MISTAKES,
    ROWS,
    WIDTH,
    Joined,
    Made,
    Residual,
    Tied,
    constant_columns,
    convolutional,
    plain,
    pooled,
    standard,
)
from auditing.test_planted import PLANTED, Planted
from selfnorm.auditing import Finding, forget, rule, rule_names
from selfnorm.errors import ArgumentError
from selfnorm.init import initialize_
from selfnorm.recording import Recording
from support.networks import Functional


def right() -> Made:
    return plain(), standard(ROWS, WIDTH)


def correlated() -> Made:
    x = standard(ROWS, WIDTH)
    return plain(), 0.5**0.5 * (x + x[:, :1])


def narrow() -> Made:
    return initialize_(
        nn.Sequential(nn.Linear(8, WIDTH), nn.SELU(), nn.Linear(WIDTH, 2))
    ), standard(ROWS, 8)


class Unused(nn.Module):
    def __init__(self, used: bool) -> None:
        super().__init__()
        self.body, self.more, self.used = plain(2), nn.Linear(10, 2), used

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.more(self.body(x)) if self.used else self.body(x)


def dead() -> Made:
    model = plain(2)
    with torch.no_grad():
        model[0].weight[:40] = 0
    return model, standard(ROWS, WIDTH)


def saturated() -> Made:
    return plain(2), 30 * standard(ROWS, WIDTH)


def together() -> Made:
    """Inputs that move together, weights with a small sum: tau is 1, and yet the sums are wide."""
    model, x = plain(), standard(ROWS, WIDTH)
    with torch.no_grad():
        model[0].weight.mul_(0.96**0.5).add_((0.04 / WIDTH) ** 0.5)  # pyright: ignore
    return model, 0.1**0.5 * x + 0.9**0.5 * x[:, :1]


def rank_one(size: float = 1.0) -> tuple[nn.Sequential, torch.Tensor]:
    """A network whose first layer sees one direction alone, with tau = size; the direction."""
    model = plain(3)
    direction = 1.0 - 2.0 * (torch.randperm(WIDTH) % 2)
    with torch.no_grad():
        model[0].weight.copy_(torch.outer(direction, direction) * (size / WIDTH) ** 0.5)  # pyright: ignore
    return model, direction


def aligned(size: float = 1.0) -> Made:
    """All that the input does it does along that direction."""
    model, direction = rank_one(size)
    return model, standard(ROWS, 1) * direction


class Unknown(nn.Module):
    def __init__(self, *, summed: bool) -> None:
        super().__init__()
        self.one, self.two, self.summed = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2), summed
        initialize_(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.selu(self.one(x))
        return self.two(x.cumsum(-1) if self.summed else x)


def dropped(kind: Callable[[float], nn.Module], p: float, depth: int = 8) -> Callable[[], Made]:
    return lambda: (plain(depth, extra=lambda: kind(p)), standard(ROWS, WIDTH))


def scaled_pool() -> Made:
    model, images = pooled()
    assert isinstance(model, nn.Sequential)
    model[2] = nn.Sequential(nn.Conv2d(32, 32, 4, stride=4), nn.SELU())
    return initialize_(model), images


def gated() -> Made:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.value = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
            self.head = nn.Linear(WIDTH, 2)
            initialize_(self)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.sigmoid(self.gate(x)) * torch.selu(self.value(x)))

    return Gated(), standard(ROWS, WIDTH)


def own_half() -> Made:
    model = plain(4, activation=lambda: selfnorm.nn.SELU(inplace=True)).bfloat16()
    return model, standard(ROWS, WIDTH).bfloat16()


def one_decayed() -> Made:
    model = plain()
    with torch.no_grad():
        model[4].weight *= torch.linspace(0.5, 0.9, WIDTH)[:, None]  # pyright: ignore
    return model, standard(ROWS, WIDTH)


def small_bias() -> Made:
    return initialize_(plain()), standard(ROWS, WIDTH)


NEW = {
    *("heavy-tailed-input", "padded-rows", "tied-weight", "one-sided-weights", "repeated-units"),
    *("idle-dropout", "unread-layer", "constant-output", "no-gradient", "bounded-output"),
}


def of(planted: Planted) -> Made:
    return planted.make(), planted.inputs()


def neighbors(factor: float) -> Callable[[], Made]:
    return lambda: (Graph(torch.matmul), (nodes(), permuted(factor)))


TRIGGERS: dict[str, Callable[[], Made]] = {
    "aggregation": neighbors(4.0),
    "aligned-weights": aligned,
    "correlated-inputs": correlated,
    "weight-drift": one_decayed,
    "small-batch": lambda: (plain(), standard(8, WIDTH)),
    "small-fan-in": narrow,
    "unknown-layer": lambda: (Unknown(summed=True), standard(ROWS, WIDTH)),
    "unused-module": lambda: (Unused(False), standard(ROWS, WIDTH)),
    "dead-units": dead,
    "saturation": saturated,
}
TRIGGERS |= {planted.rule: partial(of, planted) for planted in PLANTED if planted.rule in NEW}
TWINS: dict[str, Callable[[], Made]] = {
    "aggregation": neighbors(1.0),
    "input-not-standardized": lambda: (plain(), standard(ROWS, WIDTH) + 0.2),
    "constant-feature": lambda: (plain(), constant_columns() + 0.1 * standard(ROWS, WIDTH)),
    "correlated-inputs": right,
    "embedding-variance": lambda: (Tied(1.0), torch.randint(50, (ROWS,))),
    "small-batch": lambda: (plain(), standard(32, WIDTH)),
    "selu-without-lecun": right,
    "wrong-init": convolutional,
    "weight-drift": right,
    "aligned-weights": lambda: (rank_one()[0], standard(ROWS, WIDTH)),
    "nonzero-bias": small_bias,
    "small-fan-in": right,
    "wrong-activation": gated,
    "missing-activation": right,
    "in-place-write": lambda: (
        plain(activation=lambda: selfnorm.nn.SELU(inplace=True)),
        standard(ROWS, WIDTH),
    ),
    "half-precision": own_half,
    "plain-dropout": dropped(selfnorm.nn.AlphaDropout, 0.1),
    "alpha-dropout-misplaced": dropped(selfnorm.nn.AlphaDropout, 0.1),
    "dropout-budget": dropped(nn.AlphaDropout, 0.05, 30),
    "leftover-normalization": right,
    "unscaled-residual": lambda: (Residual(0.5**0.5), standard(ROWS, WIDTH)),
    "pooling": scaled_pool,
    "zero-padding": lambda: convolutional(padding=1),
    "concatenation": lambda: (Joined(), (standard(ROWS, WIDTH), standard(ROWS, 4))),
    "unknown-layer": lambda: (Unknown(summed=False), standard(ROWS, WIDTH)),
    "unused-module": lambda: (Unused(True), standard(ROWS, WIDTH)),
    "non-finite": own_half,
    "variance-drift": lambda: (plain(30), standard(ROWS, WIDTH)),
    "gradient-drift": lambda: (plain(30), standard(ROWS, WIDTH)),
    "dead-units": right,
    "saturation": right,
    "padded-rows": lambda: (Tied(1.0), torch.randint(50, (ROWS,))),
    "tied-weight": lambda: (plain(), standard(ROWS, WIDTH)),
    "idle-dropout": dropped(nn.AlphaDropout, 0.1),
    "bounded-output": lambda: (nn.Sequential(*plain()[:2]), standard(ROWS, WIDTH)),
    "no-gradient": lambda: (plain().requires_grad_(False), standard(ROWS, WIDTH)),
}
TWINS |= dict.fromkeys(
    ("heavy-tailed-input", "one-sided-weights", "repeated-units", "unread-layer"), right
)
TWINS["constant-output"] = dropped(lambda _: nn.LayerNorm(WIDTH), 0.0)


def rules_of(made: Made) -> set[str]:
    return {finding.rule for finding in selfnorm.audit(*made).findings}


def seeded(make: Callable[[], Made]) -> Made:
    torch.manual_seed(2)
    return make()


@pytest.mark.parametrize("name", rule_names())
def test_each_rule_speaks_and_is_silent(name: str) -> None:
    triggers = [mistake.make for mistake in MISTAKES if mistake.rule == name]
    trigger = TRIGGERS.get(name) or triggers[0]
    assert name in rules_of(seeded(trigger))
    assert name not in rules_of(seeded(TWINS[name]))


@pytest.mark.parametrize(
    ("activation", "named"),
    [
        (selfnorm.nn.SELU, False),
        (nn.SELU, False),
        (lambda: selfnorm.nn.SELU(inplace=True), True),
        (lambda: selfnorm.nn.SELUAlphaDropout(0.0), True),
        (lambda: nn.SELU(inplace=True), True),
    ],
)
def test_half_precision_names_what_keeps_the_output_alone(
    activation: Callable[[], nn.Module], named: bool
) -> None:
    """Many units saturate; where the input is kept the slope is exact nevertheless."""
    made = plain(2, activation=activation).bfloat16(), (30 * standard(ROWS, WIDTH)).bfloat16()
    assert ("half-precision" in rules_of(made)) is named


@pytest.mark.parametrize(
    ("activation", "named"), [(nn.SELU, False), (lambda: nn.SELU(inplace=True), True)]
)
def test_only_an_output_that_is_needed_must_stay(
    activation: Callable[[], nn.Module], named: bool
) -> None:
    """Plain SELU keeps its input."""
    made = plain(2, activation=activation, extra=lambda: nn.Hardtanh(-9, 9, inplace=True))
    assert ("in-place-write" in rules_of((made, standard(ROWS, WIDTH)))) is named


@pytest.mark.parametrize("name", rule_names())
def test_each_finding_is_whole(name: str) -> None:
    triggers = [mistake.make for mistake in MISTAKES if mistake.rule == name]
    made = seeded(TRIGGERS.get(name) or triggers[0])
    for finding in selfnorm.audit(*made, rules=[name]).findings:
        assert finding.rule == name
        for text in (finding.seen, finding.expected, finding.why, finding.fix):
            assert text.strip()
        assert finding.fix.endswith(".")
        assert "nan" not in finding.seen.split()


CORRECT: list[tuple[int, int]] = [(2, 16), (2, 2048), (8, 64), (16, 256), (64, 16), (64, 128)]


@pytest.mark.parametrize(("depth", "width"), CORRECT)
def test_right_networks_raise_no_alarm(depth: int, width: int) -> None:
    """The whole grid of depths, widths and 20 seeds is in benchmarks/false_alarms.py."""
    for seed in range(3):
        torch.manual_seed(seed)
        model = selfnorm.nn.MLP(width, 10, depth=depth, width=width)
        report = selfnorm.audit(model, torch.randn(256, width))
        assert report.ok, f"seed {seed}\n{report}"


def test_a_functional_network_raises_none() -> None:
    torch.manual_seed(0)
    assert selfnorm.audit(Functional(), torch.randn(ROWS, 64)).ok


@pytest.fixture
def own_rule() -> Iterator[str]:
    @rule("no-model-called-sequential")
    def no_sequential(recording: Recording) -> Iterator[Finding]:
        if recording.model == "Sequential":
            yield Finding(
                "no-model-called-sequential", "error", "", "it is", "not", "Taste.", "Do."
            )

    yield "no-model-called-sequential"
    forget("no-model-called-sequential")


def test_rules_of_ones_own(own_rule: str) -> None:
    report = selfnorm.audit(*right())
    assert [f.rule for f in report.findings if f.severity == "error"] == [own_rule]
    assert not selfnorm.audit(*right(), rules=["wrong-init"]).findings

    def passing(recording: Recording) -> list[Finding]:
        assert recording.layers
        return [Finding("passing", "note", "", "a", "b", "c.", "d.")]

    assert [f.rule for f in selfnorm.audit(*right(), rules=[passing]).findings] == ["passing"]


def test_a_rule_that_is_not_there() -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'wrong-init'"):
        selfnorm.audit(*right(), rules=["wrong_init"])
    with pytest.raises(ArgumentError, match="joined by hyphens; got 'My Rule'"):
        rule("My Rule")


def test_causes_come_before_effects() -> None:
    torch.manual_seed(0)
    model = plain(20, init=None)
    found = selfnorm.audit(model, standard(ROWS, WIDTH)).findings
    errors = [f.rule for f in found if f.severity == "error"]
    assert errors[0] == "selu-without-lecun"
    assert "variance-drift" in errors
    assert not {"wrong-init", "weight-drift"} & set(errors)  # which would tell it again
    assert found[0].covers == tuple(str(k) for k in range(0, 40, 2))
    assert rule_names()[:2] == ("input-not-standardized", "constant-feature")
    assert rule_names()[-1] == "saturation"
    assert rule_names().index("plain-dropout") < rule_names().index("variance-drift")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: (plain(10, init=None), standard(ROWS, WIDTH)), "Placed: the weights"),
        (lambda: (plain(10), 30 * standard(ROWS, WIDTH)), "Placed: the input"),
        (together, "Placed: correlation"),
        (aligned, "Placed: alignment"),
        (dropped(nn.Dropout, 0.5), "Placed: the structure"),
    ],
    ids=["weights", "input", "correlation", "alignment", "structure"],
)
def test_a_departure_is_placed(make: Callable[[], Made], says: str) -> None:
    found = selfnorm.audit(*seeded(make), rules=["variance-drift"]).findings
    assert found, "no drift"
    assert found[0].why.startswith(says), found[0]


def test_a_gradient_that_grows_at_selus_own_rate_is_right() -> None:
    """By 1.035 a layer: 82 times over 128 of them, of which chance alone explains 20."""
    torch.manual_seed(0)
    model = selfnorm.nn.MLP(256, 10, width=256, depth=128)
    report = selfnorm.audit(model, torch.randn(256, 256))
    hidden = [layer for layer in report.layers if layer.role == "activation"]
    assert hidden[0].gradient_norm > 30 * hidden[-1].gradient_norm
    assert not [finding for finding in report.findings if finding.rule == "gradient-drift"]
