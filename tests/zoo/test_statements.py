"""The judge of reports itself: what is true passes, and each kind of falsehood is seen."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tests.zoo._advice import Advice
from tests.zoo._named import is_so
from tests.zoo._origins import Origin, Origins
from tests.zoo._statements import Statements
from tests.zoo._witness import witness
from torch import Tensor, nn

import selfnorm
from selfnorm.auditing import Finding, Report

Change = Callable[[Finding], Finding]


def network() -> tuple[nn.Module, dict[str, Origin]]:
    """Torch's weights, dropout behind SELU, and two linear layers in a row."""
    with (origins := Origins()):
        model = nn.Sequential(
            nn.Linear(32, 64), nn.SELU(), nn.Dropout(0.2), nn.Linear(64, 64), nn.SELU(),
            nn.Linear(64, 64), nn.Linear(64, 64), nn.SELU(), nn.Linear(64, 3),
        )  # fmt: skip
    return model, origins.of(model)


@pytest.fixture(scope="module")
def judged() -> tuple[Statements, Advice]:
    torch.manual_seed(0)
    model, origins = network()
    x = torch.randn(256, 32)
    report = selfnorm.audit(model, x)
    seen = witness(model, x)
    return Statements(model, x, report, seen, origins), Advice(model, x, report)


def changed(report: Report, rule: str, change: Change) -> Report:
    findings = tuple(change(f) if f.rule == rule else f for f in report.findings)
    assert findings != report.findings
    return replace(report, findings=findings)


def test_a_true_report_passes(judged: tuple[Statements, Advice]) -> None:
    statements, advice = judged
    rules = {finding.rule for finding in statements.report.findings}
    assert rules >= {"selu-without-lecun", "plain-dropout", "missing-activation"}
    assert not [*statements.false()]
    assert not [*advice.failing()]
    assert advice.done >= 3


@pytest.mark.parametrize(
    ("rule", "old", "new", "says"),
    [
        ("plain-dropout", "variance 0", "variance 7", "nothing there has variance 7"),
        ("plain-dropout", "p = 0.2", "p = 0.3", "p is 0.2"),
        ("plain-dropout", "Dropout with", "AlphaDropout with", "no AlphaDropout ran there"),
        ("missing-activation", "goes to 6", "goes to 8", "no way to 8 is without an activation"),
        ("missing-activation", "its", "shrunk, as by weight decay; its", "training is named"),
    ],
)
def test_what_is_false_is_seen(
    judged: tuple[Statements, Advice], rule: str, old: str, new: str, says: str
) -> None:
    statements, _ = judged
    report = changed(
        statements.report, rule, lambda f: replace(f, seen=f.seen.replace(old, new, 1))
    )
    assert any(says in told for told in replace(statements, report=report).false())


def test_a_fix_that_does_not_help_is_seen(judged: tuple[Statements, Advice]) -> None:
    _, advice = judged
    report = changed(
        advice.report,
        "missing-activation",
        lambda f: replace(f, fix="selfnorm.init.initialize_(model), before training."),
    )
    (told,) = Advice(advice.model, advice.inputs, report).failing()
    assert told.endswith("It stays")


@pytest.mark.parametrize(
    ("draw", "claim", "wrong"),
    [
        (lambda w: nn.init.kaiming_uniform_(w, a=5**0.5),
         "torch's default, kaiming_uniform_(a=sqrt(5))", "He's, kaiming_uniform_ for ReLU"),
        (lambda w: w.data.normal_(0, 0.02), "normal of deviation 0.02, BERT's and GPT's",
         "normal of deviation 0.01, AlexNet's"),
        (nn.init.xavier_uniform_, "Xavier's, xavier_uniform_",
         "xavier_normal_ with the gain of ReLU"),
        (nn.init.orthogonal_, "orthogonal_ with a gain of 1", "zeros"),
    ],
)  # fmt: skip
def test_a_draw_is_what_it_was(draw: Callable[[Tensor], object], claim: str, wrong: str) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 48)
    with (origins := Origins()):
        draw(layer.weight)
    origin = origins.of(layer).get("weight")
    assert (origin is None) is ("orthogonal" in claim)
    assert is_so(claim, layer.weight, 64, origin, layer)
    assert not is_so(wrong, layer.weight, 64, origin, layer)
    assert not is_so("of words that nobody knows", layer.weight, 64, origin, layer)
