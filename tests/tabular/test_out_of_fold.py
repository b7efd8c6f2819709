"""Each network is asked about the rows alone that it left out."""

from dataclasses import replace

import pytest
import torch

from selfnorm.nn import MLP
from selfnorm.tabular import _out_of_fold
from selfnorm.tabular._ensemble import Ensemble, Judged
from selfnorm.tabular._fit import prepare
from selfnorm.tabular._out_of_fold import OutOfFold
from selfnorm.tabular.data._split import deal
from selfnorm.training import Rows
from support.tables import settings, small_source


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_what_is_judged_is_the_same(task: str) -> None:
    ready = prepare(small_source(task), settings(n_estimators=5))
    rows, left_out = ready.training, ready.left_out
    assert left_out is not None
    asked = OutOfFold.of(rows, left_out)
    assert asked is not None
    assert len(asked.rows) == left_out.sum(0).max() < len(rows) / 2
    network = Ensemble([MLP(rows.inputs.shape[1], ready.target.outputs, members=5)]).eval()
    with torch.no_grad():
        every, own = network(rows.inputs), network(asked.rows.inputs)
    told = asked.told(own)
    torch.testing.assert_close(told[left_out], every[left_out])
    assert not torch.equal(told[~left_out], every[~left_out])
    judge = Judged(ready.target, left_out)
    expected = float(judge.loss(every, *rows.known)), judge.score(every, *rows.known)
    judge = replace(judge, asked=asked)
    found = float(judge.loss(own, *asked.rows.known)), judge.score(own, *asked.rows.known)
    assert found == pytest.approx(expected, rel=1e-5)


def test_all_are_asked_where_that_is_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows(torch.randn(40, 3), torch.zeros(40))

    def asked(members: int) -> OutOfFold | None:
        dealt = deal(rows.targets.numpy(), members, task="regression", seed=0)
        return OutOfFold.of(rows, torch.from_numpy(dealt))

    assert asked(2) is not None
    assert OutOfFold.of(rows, torch.ones(40, 4).bool()) is None  # rows that a user gave
    monkeypatch.setattr(_out_of_fold, "_MOST_NUMBERS", 8 * 10 * 3 - 1)
    assert asked(8) is None
    monkeypatch.setattr(_out_of_fold, "_MOST_NUMBERS", 8 * 10 * 3)
    assert asked(8) is not None
