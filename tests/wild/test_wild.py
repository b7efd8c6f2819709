"""Networks as people write them: verdict and causes as found, and what the mend leaves."""

import copy

import pytest
import torch
from benchmarks.wild.__main__ import made
from benchmarks.wild.networks import CASES, Case

import selfnorm

# Errors and warnings as found, and what is left when it is mended.
TOLD: dict[str, tuple[set[str], set[str]]] = {}
NAMED = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def told(case: Case, *, mended: bool) -> set[str]:
    report = selfnorm.audit(made(case, 0, mended=mended), case.task().inputs(0))
    return {finding.rule for finding in report.findings if finding.severity != "note"}


@NAMED
def test_the_causes_are_named(case: Case) -> None:
    assert told(case, mended=False) == TOLD[case.name][0]


@NAMED
def test_the_mend_leaves_only_what_is_said(case: Case) -> None:
    assert told(case, mended=True) == TOLD[case.name][1]


@NAMED
def test_the_mended_network_is_one_like_any_other(case: Case) -> None:
    model = made(case, 0, mended=True)
    inputs = case.task().inputs(0)
    model(*inputs).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    model.eval()
    with torch.no_grad():
        expected = model(*inputs)
        assert bool(expected.isfinite().all())
        assert torch.equal(copy.deepcopy(model)(*inputs), expected)
