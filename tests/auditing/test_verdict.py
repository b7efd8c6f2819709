"""What a report says first: the verdict, which is earned, and what to do."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

import selfnorm
from selfnorm.auditing import Report

X = torch.randn(256, 64, generator=torch.Generator().manual_seed(0))


def lines(report: Report) -> list[str]:
    return str(report).splitlines()


def todo(report: Report) -> list[str]:
    """The block behind `Do this:`, its lines joined."""
    found = lines(report)
    if "Do this:" not in found:
        return []
    start = found.index("Do this:") + 1
    block = found[start : found.index("", start)]
    steps: list[str] = []
    for line in block:
        if line.strip()[:1].isdigit() and line.strip()[1:2] == ".":
            steps.append(line.strip().split(". ", 1)[1])
        else:
            steps[-1] += " " + line.strip()
    return steps


def test_a_network_of_relu_is_told_in_one_sentence_what_it_is() -> None:
    torch.manual_seed(0)
    layers = [m for _ in range(4) for m in (nn.Linear(64, 64), nn.ReLU())]
    report = selfnorm.audit(nn.Sequential(*layers, nn.Linear(64, 2)), X)
    said = " ".join(lines(report)[1:3])
    assert said.startswith("Not a SELU network: it has 4 relu; ")
    assert said.endswith("selfnorm.convert(model) makes it one.")
    (step,) = todo(report)
    assert step == (
        "model, changes = selfnorm.convert(model), before training: SELU for relu, LeCun's "
        "weights. print(changes) names what it left."
    )


def test_a_cause_is_mended_once() -> None:
    torch.manual_seed(0)
    layers = [m for _ in range(4) for m in (nn.Linear(64, 64), nn.SELU())]
    report = selfnorm.audit(nn.Sequential(*layers, nn.Linear(64, 2)), X)
    assert lines(report)[1].startswith("Not self-normalizing: ")
    steps = todo(report)
    assert len(steps) == 1
    assert steps[0].startswith("selfnorm.init.initialize_(model)")
    assert len({finding.rule for finding in report.findings}) > 2
    page = report.to_html()
    assert page.index("Do this") < page.index("Errors")


def test_a_right_network_has_nothing_to_do() -> None:
    torch.manual_seed(0)
    report = selfnorm.audit(selfnorm.nn.MLP(64, 2, width=64, depth=4), X)
    assert lines(report)[1] == "Self-normalizing: no findings."
    assert todo(report) == []
    inside = "Within theorem 1's box, which suffices and is not needed: "
    assert inside in " ".join(lines(report)[-3:])
    assert "4 of 4 hidden layers by mean and variance." in " ".join(lines(report)[-3:])
    assert inside[:22] in report.to_html().replace("&#39;", "'")
    assert "Do this" not in report.to_html()


def test_where_nothing_was_judged_nothing_is_praised() -> None:
    torch.manual_seed(0)
    report = selfnorm.audit(nn.LSTM(64, 64), X[:, None])
    assert " ".join(lines(report)[1:3]).startswith("Nothing here that the theory covers: no SELU")


class Overwriting(nn.Module):
    """Writes over SELU's output, in the first batch alone."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(64, 64), nn.Linear(64, 2)
        self.calls = [0]
        selfnorm.init.initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        self.calls[0] += 1
        x = nn.functional.selu(self.one(x), inplace=True)
        if self.calls[0] == 1:
            x.mul_(1.0 + 1e-3)
        return self.two(x)


def test_a_backward_pass_that_fails_in_one_batch_is_told() -> None:
    loader = DataLoader(X, batch_size=64)  # pyright: ignore[reportArgumentType]
    report = selfnorm.audit(Overwriting(), loader)
    assert any(finding.rule == "in-place-write" for finding in report.findings)
    assert not report.ok


class Masked(nn.Module):
    """Attention with a causal mask of minus infinity."""

    def __init__(self, *, whole: bool = False) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(64, 64), nn.Linear(64, 64)
        self.value, self.act, self.out = nn.Linear(64, 64), nn.SELU(), nn.Linear(64, 2)
        self.whole = whole
        selfnorm.init.initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.query(x) @ self.key(x).transpose(-1, -2) / 64
        mask = torch.ones(4, 4).triu(0 if self.whole else 1) > 0
        scores = scores.masked_fill(mask, -math.inf)
        return self.out(self.act(self.value(scores.softmax(-1) @ x)))


@pytest.mark.parametrize("whole", [False, True])
def test_a_mask_of_minus_infinity_is_none_but_for_a_whole_row(*, whole: bool) -> None:
    report = selfnorm.audit(Masked(whole=whole), X.view(64, 4, 64))
    found = [finding for finding in report.findings if finding.rule == "non-finite"]
    assert bool(found) is whole


def test_a_head_of_zeros_keeps_no_gradient_for_ever() -> None:
    torch.manual_seed(0)
    model = selfnorm.nn.MLP(64, 2, width=64, depth=4)
    nn.init.zeros_(model.output.weight)
    assert selfnorm.audit(model, X).ok
    with torch.no_grad():
        model.linear3.weight.zero_()
    assert not selfnorm.audit(model, X).ok  # a hidden layer of zeros passes nothing on


class Tied(nn.Module):
    """A decoder's weight is the embedding's, and a list's is used by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.decode = nn.Embedding(50, 64), nn.Linear(64, 50, bias=False)
        self.decode.weight = self.embed.weight
        self.more = nn.ParameterList([nn.Parameter(torch.randn(64, 64) / 8)])
        self.spare = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.selu(self.embed(x) @ self.more[0].t())
        return nn.functional.linear(x, self.embed.weight)


def test_a_module_is_used_if_one_of_its_parameters_is() -> None:
    report = selfnorm.audit(Tied(), torch.arange(50)[:, None])
    assert set(report.recording.unused) == {"spare"}
    layer = nn.TransformerEncoderLayer(64, 4, 64, batch_first=True)
    assert not selfnorm.audit(layer, X.view(64, 4, 64)).recording.unused


def normal(x: Tensor) -> Tensor:
    """Its standard deviation is made 1, its mean 0."""
    return (x - x.mean()) / x.std()


@pytest.mark.parametrize(
    "activation",
    [
        nn.LeakyReLU(0.5), nn.ELU(1.67), nn.CELU(2.0), nn.Hardtanh(-3, 3), nn.Softplus(beta=5),
        nn.ReLU6(), nn.PReLU(init=0.7), nn.GELU(approximate="tanh"), nn.LeakyReLU(), nn.ReLU(),
    ],
    ids=repr,
)  # fmt: skip
def test_the_theory_of_an_activation_is_that_of_its_parameters(activation: nn.Module) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(256, 256)
    selfnorm.init.initialize_(linear)
    model = nn.Sequential(linear, activation, nn.Linear(256, 2))
    report = selfnorm.audit(model, normal(torch.randn(4096, 256)))
    layer = report.layers[1]
    assert layer.predicted is not None
    assert float(layer.predicted.variance) == pytest.approx(layer.variance, rel=0.03)
    assert float(layer.predicted.mean) == pytest.approx(layer.mean, abs=0.02)
    assert "curve" not in report.to_json()


class Attention(nn.Module):
    """Dropout on its weights, where alpha dropout has no place."""

    def __init__(self, drop: nn.Module) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(64, 64), nn.Linear(64, 64)
        self.drop, self.act, self.out = drop, nn.SELU(), nn.Linear(64, 2)
        selfnorm.init.initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.query(x) @ self.key(x).transpose(-1, -2) / 64
        return self.out(self.act(self.drop(scores.softmax(-1)) @ x))


def test_plain_dropout_is_wrong_beside_selu_alone() -> None:
    def rules(model: nn.Module, x: Tensor) -> set[str]:
        return {finding.rule for finding in selfnorm.audit(model, x).findings}

    assert "plain-dropout" not in rules(Attention(nn.Dropout(0.1)), X.view(64, 4, 64))
    first, second = nn.Linear(64, 64), nn.Linear(64, 2)
    for row in (
        [first, nn.SELU(), nn.Dropout(0.1), second],
        [first, nn.Dropout(0.1), nn.SELU(), second],
        [first, nn.SELU(), nn.Flatten(), nn.Dropout(0.1), second],
    ):
        assert "plain-dropout" in rules(nn.Sequential(*row), X)
    row = [nn.Dropout(0.1), first, nn.SELU(), second, nn.Dropout(0.1)]
    assert "plain-dropout" not in rules(nn.Sequential(*row), X)


class Quiet(nn.Module):
    """What the second layer reads is a fifth of what it should be; weights may make up for it."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.head = nn.Linear(64, 256), nn.Linear(256, 256), nn.Linear(256, 3)
        selfnorm.init.initialize_(self)
        with torch.no_grad():
            self.two.weight.mul_(gain)

    def forward(self, x: Tensor) -> Tensor:
        hidden = 0.2 * functional.selu(self.one(x))
        return self.head(functional.selu(self.two(hidden)))


def test_weights_that_make_up_for_what_they_read_are_right() -> None:
    for gain, wrong in ((5.0, []), (2.5, ["two"])):
        findings = selfnorm.audit(Quiet(gain), X).findings
        assert [f.module for f in findings if f.rule in {"weight-drift", "wrong-init"}] == wrong


def test_what_is_to_do_is_told_once() -> None:
    torch.manual_seed(0)
    model = selfnorm.nn.MLP(64, 3, width=64, depth=6)
    raw = selfnorm.audit(model, torch.randint(0, 256, (512, 64)).float())
    assert {f.rule for f in raw.findings} >= {"input-not-standardized", "variance-drift"}
    assert len(todo(raw)) == 1
    assert todo(raw)[0].startswith("Subtract the mean")
    much = selfnorm.audit(selfnorm.nn.MLP(64, 3, width=64, depth=8, dropout=0.5), X)
    assert {f.rule for f in much.findings} >= {"dropout-budget", "gradient-drift"}
    assert todo(much) == ["Lower p to 0.29, or use dropout in some of the layers only."]


def test_what_is_true_of_several_modules_names_them() -> None:
    torch.manual_seed(0)
    layers = [m for _ in range(3) for m in (nn.Linear(64, 64), nn.SELU(), nn.SELU())]
    model = selfnorm.init.initialize_(nn.Sequential(*layers, nn.Linear(64, 2)))
    assert todo(selfnorm.audit(model, X)) == ["Take 2 out. Likewise 5, 8."]


def test_a_pointer_points_at_something() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(selfnorm.nn.MLP(64, 1, width=64, depth=4), nn.Softmax(1))
    report = selfnorm.audit(model, X)
    pointed = {f.fix.removeprefix("Mend ").rstrip(".") for f in report.findings if "Mend" in f.fix}
    assert pointed == {"constant-output"} <= {f.rule for f in report.findings}
