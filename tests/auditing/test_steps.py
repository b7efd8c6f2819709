"""What a report says to do: in few steps, by lines that work."""

import re

import pytest
import torch
from torch import nn

import selfnorm
from selfnorm.auditing import Finding, Report
from selfnorm.auditing._groups import groups
from selfnorm.auditing._steps import number_of, steps
from support.networks import resnet

X = torch.randn(256, 64, generator=torch.Generator().manual_seed(0))
LINE = re.compile(r"(?:model, changes = )?selfnorm\.(?:convert|init\.initialize_)\(model[^()]*\)")


def stack(*behind: type[nn.Module], depth: int = 3) -> nn.Sequential:
    """Linear layers with torch's default weights, and what stands behind each."""
    torch.manual_seed(0)
    layers = [m for _ in range(depth) for m in (nn.Linear(64, 64), *(kind() for kind in behind))]
    return nn.Sequential(*layers, nn.Linear(64, 2))


def normed(*behind: type[nn.Module]) -> nn.Sequential:
    """The same with a batch normalization behind the first layer."""
    model = stack(*behind)
    return nn.Sequential(model[0], nn.BatchNorm1d(64), *model[1:])


def pooled() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 64)), nn.Conv1d(1, 32, 9), nn.SELU(), nn.MaxPool1d(4),
        nn.Conv1d(32, 32, 9), nn.SELU(), nn.Flatten(), nn.Linear(192, 2),
    )  # fmt: skip


def done(model: nn.Module, inputs: torch.Tensor) -> tuple[list[str], Report]:
    """The lines that a report says, and an audit when they were run."""
    names = {"selfnorm": selfnorm, "model": model, "inputs": inputs}
    lines: list[str] = []
    for step in steps(selfnorm.audit(model, inputs).findings):
        found = LINE.match(step.text)
        assert found, step.text
        lines.append(found[0])
        exec(found[0], names)  # noqa: S102 - the advice
    return lines, selfnorm.audit(names["model"], inputs)  # pyright: ignore


def relu_resnet() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return resnet()


@pytest.mark.parametrize(
    ("case", "line"),
    [
        (lambda: (stack(nn.SELU), X), "selfnorm.init.initialize_(model)"),
        (lambda: (stack(nn.ReLU), X), "model, changes = selfnorm.convert(model)"),
        (lambda: (normed(nn.SELU, nn.Dropout), X), "model, changes = selfnorm.convert(model)"),
        (lambda: (stack(nn.ReLU, nn.AlphaDropout), X), "model, changes = selfnorm.convert(model)"),
        (relu_resnet, "model, changes = selfnorm.convert(model)"),
        (lambda: (pooled(), X), "model, changes = selfnorm.convert(model, example=inputs)"),
        (
            lambda: (selfnorm.init.initialize_(normed(nn.SELU)), X),
            "model, changes = selfnorm.convert(model, init=None)",
        ),
    ],
    ids=["init", "relu", "norm and dropout", "alpha dropout", "resnet", "pooled", "right weights"],
)
def test_one_line_mends_what_one_line_can(case, line: str) -> None:
    lines, report = done(*case())
    assert lines == [line]
    assert report.ok, report


def test_every_finding_has_its_step() -> None:
    x = torch.rand(256, 64)
    report = selfnorm.audit(normed(nn.ReLU), x)
    found = steps(report.findings)
    assert [step.text.split(":")[0] for step in found] == [
        "Subtract the mean and divide by the deviation, taken over the training data",
        "model, changes = selfnorm.convert(model), before training",
    ]
    numbers = {g.first.rule: number_of(g, found) for g in groups(report.findings)}
    assert numbers["input-not-standardized"] == 1
    others = {name: at for name, at in numbers.items() if name != "input-not-standardized"}
    assert others
    assert {at for name, at in others.items() if name != "variance-drift"} == {2}
    assert "(step 1)" in str(report)
    assert "step 1" in report.to_html()


def finding(rule: str, module: str, fix: str, severity: str = "error") -> Finding:
    return Finding(rule, severity, module, "seen", "expected", "why", fix)  # pyright: ignore


def test_ways_to_mend_one_rule_are_steps_of_their_own() -> None:
    told = [
        finding("rule", "a", "Take a out."),
        finding("rule", "b", "Put SELU behind b."),
        finding("rule", "c", "Take c out."),
    ]
    assert [s.text for s in steps(told)] == ["Take a out. Likewise c.", "Put SELU behind b."]


def test_many_long_names_are_counted() -> None:
    names = [f"encoder.blocks.{k}.convolution" for k in range(9)]
    (step,) = steps([finding("rule", name, f"Take {name} out.") for name in names])
    assert step.text.endswith(f"Likewise {', '.join(names[1:3])} and 6 more.")


def test_what_is_no_number_comes_first() -> None:
    x = X.clone()
    x[3, 4] = torch.nan
    first, *_ = steps(selfnorm.audit(stack(nn.SELU), x).findings)
    assert first.text.startswith("Fill in or drop what is missing")


def test_torchs_own_blocks_are_not_promised() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(64, 4, 64, dropout=0.0, batch_first=True)
    model = nn.Sequential(layer, nn.Linear(64, 2))
    report = selfnorm.audit(model, X.view(64, 4, 64))
    assert "selfnorm.convert leaves torch's own Transformer layers" in str(report)
    assert "makes it one" not in str(report)
