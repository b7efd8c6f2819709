"""Networks as people write them: verdict and causes as found, and what the mend leaves."""

import copy

import pytest
import torch
from benchmarks.wild.__main__ import made
from benchmarks.wild.networks import CASES, Case

import selfnorm

# Errors and warnings as found, and what is left when it is mended.
TOLD = {
    "flow matching": (
        "input-not-standardized nonzero-bias saturation selu-without-lecun variance-drift",
        "",
    ),
    "omics block": (
        (
            "alpha-dropout-misplaced dead-units input-not-standardized nonzero-bias variance-drift "
            "wrong-activation wrong-init"
        ),
        "",
    ),
    "anti-spoofing": (
        (
            "input-not-standardized leftover-normalization nonzero-bias pooling selu-without-lecun "
            "unscaled-residual wrong-init"
        ),
        "dead-units pooling variance-drift",
    ),
    "forecasting": (
        "input-not-standardized nonzero-bias selu-without-lecun variance-drift wrong-init",
        "unscaled-residual",
    ),
    "graph": ("unscaled-residual wrong-init", ""),
    "tables": ("dead-units plain-dropout saturation variance-drift", ""),
    "toxicity": ("input-not-standardized saturation variance-drift", ""),
    "policy": ("input-not-standardized nonzero-bias selu-without-lecun variance-drift", ""),
    "transformer": (
        "leftover-normalization nonzero-bias plain-dropout selu-without-lecun wrong-init",
        "leftover-normalization unscaled-residual",
    ),
    "generator": ("leftover-normalization selu-without-lecun", ""),
    "twenty layers": ("plain-dropout wrong-init", ""),
}
NAMED = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def told(case: Case, *, mended: bool) -> set[str]:
    report = selfnorm.audit(made(case, 0, mended=mended), case.task().inputs(0))
    return {finding.rule for finding in report.findings if finding.severity != "note"}


@NAMED
def test_the_causes_are_named(case: Case) -> None:
    assert told(case, mended=False) == set(TOLD[case.name][0].split())


@NAMED
def test_the_mend_leaves_only_what_is_said(case: Case) -> None:
    assert told(case, mended=True) == set(TOLD[case.name][1].split())


@NAMED
def test_the_mended_network_is_one_like_any_other(case: Case) -> None:
    model = made(case, 0, mended=True)
    inputs = case.task().inputs(0)
    model(*inputs).square().mean().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    model.eval()
    with torch.no_grad():
        expected = model(*inputs)
        assert bool(expected.isfinite().all())
        assert torch.equal(copy.deepcopy(model)(*inputs), expected)
