"""The report as text: one screen, and all of it."""

import torch
from torch import nn

import selfnorm
from selfnorm.auditing import Report

X = torch.randn(256, 64, generator=torch.Generator().manual_seed(0))


def wrong(depth: int) -> Report:
    """Torch's default weights, pixels, dropout, a normalization, two linear layers in a row."""
    torch.manual_seed(0)
    layers = [m for _ in range(depth) for m in (nn.Linear(64, 64), nn.SELU(), nn.Dropout(0.1))]
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), *layers, nn.Linear(64, 2))
    return selfnorm.audit(model, torch.rand(256, 64))


def test_it_is_short_whatever_the_depth_and_says_where_the_whole_is() -> None:
    for depth in (4, 40):
        report = wrong(depth)
        lines = str(report).splitlines()
        assert len(lines) < 40
        many = len(report.layers)
        assert lines[-1] == (
            f"6 of {many} layers. Everything: print(report.full()), or report.to_html()."
        )


def test_all_of_it_has_every_finding_reason_and_layer() -> None:
    report = wrong(12)
    whole = " ".join(report.full().split())
    assert max(map(len, report.full().splitlines())) <= 80
    assert report.full().splitlines()[:3] == str(report).splitlines()[:3]
    for finding in report.findings:
        assert finding.rule in whole
        assert " ".join(finding.seen.split()) in whole
    for text in {f.why for f in report.findings if f.rule != "wrong-init"}:
        assert text.split(". ")[0][:60] in whole
    rows = [line.split()[0] for line in report.full().splitlines() if line.split()]
    assert {layer.name for layer in report.layers} <= set(rows)
    assert "theorem 1's box" in whole
    assert "theorem 1's box" not in str(report)


def test_a_cause_that_was_told_is_not_told_again() -> None:
    text = " ".join(str(wrong(4)).split())
    assert text.count("torch's default, kaiming_uniform_(a=sqrt(5))") == 1
    assert "wrong-init in 0, 14 (step 2): likewise" in text
    assert text.count("Placed:") == 1


def test_few_findings_are_told_with_their_reasons() -> None:
    torch.manual_seed(0)
    model = selfnorm.nn.MLP(64, 2, width=64, depth=4)
    nn.init.kaiming_normal_(model.linear3.weight)
    text = " ".join(str(selfnorm.audit(model, X)).split())
    assert "Expected: tau = 1" in text
    assert "(Klambauer et al. 2017, Eq. 3" in text


def test_what_fades_layer_by_layer_is_the_weights_doing() -> None:
    torch.manual_seed(0)
    layers = [m for _ in range(64) for m in (nn.Linear(64, 64), nn.SELU())]
    report = selfnorm.audit(nn.Sequential(*layers, nn.Linear(64, 2)), X)
    assert "constant-output" not in {finding.rule for finding in report.findings}


def test_names_of_layers_keep_their_room() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.projection_in, self.projection_out = nn.Linear(64, 64), nn.Linear(64, 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.projection_out(nn.functional.selu(self.projection_in(x)))

    report = selfnorm.audit(nn.Sequential(Block(), nn.SELU(), Block()), X)
    assert "0.projection_out" in str(report).split("what each layer puts out")[1]
