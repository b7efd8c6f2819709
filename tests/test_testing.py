"""The assertion for other people's tests."""

import pytest
import torch
from torch import nn

import selfnorm
from selfnorm.errors import ArgumentError
from selfnorm.testing import assert_self_normalizing
from support.samples import normal


def wrong() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 64), nn.SELU(), nn.Linear(64, 64), nn.SELU())


def test_a_right_network_passes_and_gives_its_report() -> None:
    torch.manual_seed(0)
    model = selfnorm.init.initialize_(wrong())
    report = assert_self_normalizing(model, normal(512, 64))
    assert report.ok
    assert len(report.layers) == 4


def test_the_failure_reads_like_the_report() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_self_normalizing(wrong(), normal(512, 64))
    text = str(caught.value)
    assert text.startswith("Audit of Sequential: 4 layers, 512 rows")
    for words in ("Do this:", "selfnorm.init.initialize_(model)", "what each layer puts out"):
        assert words in text


def test_the_traceback_ends_at_the_callers_line() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_self_normalizing(wrong(), normal(512, 64))
    shown = caught.traceback.filter(caught)
    assert shown[-1].path.name == "test_testing.py"


def test_rules_may_be_allowed() -> None:
    found = {finding.rule for finding in selfnorm.audit(wrong(), normal(512, 64)).findings}
    report = assert_self_normalizing(wrong(), normal(512, 64), allow=found)
    assert not report.findings


def test_a_rule_that_is_none_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"got 'wrong-int'\. Did you mean 'wrong-init'"):
        assert_self_normalizing(wrong(), normal(8, 64), allow=["wrong-int"])
