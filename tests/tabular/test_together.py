"""Rows that are split by group or by time: on one side of every split, and of every fold."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from selfnorm.errors import ArgumentError, TableError
from selfnorm.tabular import SelfNormClassifier, Settings
from selfnorm.tabular._fit import prepare
from selfnorm.tabular._kernel import LAYERS
from selfnorm.tabular._ridge import solve
from selfnorm.tabular._source import read_source
from support.tables import settings, small_table

GROUPS = np.arange(120) % 17


def table() -> pa.Table:
    groups = [None if row < 3 else f"p{one}" for row, one in enumerate(GROUPS)]
    return small_table().append_column("patient", pa.array(groups))


def source(**how: str):
    return read_source(table().drop_columns(["amount"]), "label", **how)


def test_rows_of_a_group_are_on_one_side_of_every_split() -> None:
    read = source(group="patient")
    assert "patient" not in read.table.column_names
    assert len(np.unique(read.together)) == 17 + 3
    one = prepare(read, settings(test=0.2, validation=0.2))
    held = one.test.together
    assert held is not None
    assert 12 <= len(held) <= 36
    assert not set(held) & set(one.together.tolist())
    several = prepare(read, settings(n_estimators=8))
    assert several.left_out is not None
    for label in several.together.unique():
        alike = several.left_out[several.together == label]
        assert (alike == alike[0]).all()


def test_the_latest_rows_are_held_out_by_time() -> None:
    read = source(split_by_time="day")
    assert "day" in read.table.column_names
    ready = prepare(read, settings(test=None, validation=0.2))
    order = np.sort(read.times)
    assert ready.test.times.min() > order[95]
    assert len(ready.test.values) == pytest.approx(18, abs=3)  # a time has several rows
    several = prepare(read, settings(test=None, n_estimators=4, split_by_time="day"))
    assert several.left_out is not None
    learned = np.sort(read.times)[: len(several.training)]
    assert several.test.times.min() > learned[-1]
    assert len(several.together.unique()) == 8


def test_what_a_group_is_told_by_others_is_what_they_would_say() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 4))
    kernel = torch.from_numpy(LAYERS.of(LAYERS.prepared(rows)))
    wanted = torch.from_numpy(rows[:, :1] * rows[:, 1:2])
    block = torch.tensor([2, 11, 29])
    _, left_out = solve(kernel, wanted, 0.1, groups=[block])
    others = torch.tensor([row for row in range(30) if row not in block])
    coefficients, _ = solve(kernel[others][:, others], wanted[others], 0.1)
    said = kernel[block][:, others] @ coefficients
    np.testing.assert_allclose(left_out[block], said, rtol=1e-9)
    _, alone = solve(kernel, wanted, 0.1)
    assert torch.equal(left_out[others], alone[others])


def test_groups_of_an_estimator_keep_copies_apart() -> None:
    rng = np.random.default_rng(0)
    X, y = np.repeat(rng.normal(size=(60, 6)), 3, axis=0), np.repeat(rng.integers(0, 2, 60), 3)
    X = X + rng.normal(scale=0.01, size=X.shape)  # not quite copies, which are known as such
    how = {"epochs": 1, "n_estimators": 4, "width": 16, "random_state": 0}
    fooled = SelfNormClassifier(**how).fit(X, y)
    honest = SelfNormClassifier(**how).fit(X, y, groups=np.repeat(np.arange(60), 3))
    right = [(one.oof_prediction_.argmax(1) == y).mean() for one in (fooled, honest)]
    # Labels at random: 60 of them are right by chance in .5 +- .065.
    assert right[0] > 0.85
    assert right[1] < 0.5 + 3 * 0.065
    with pytest.raises(ArgumentError, match=r"one label a row, of shape \(180,\)"):
        honest.fit(X, y, groups=[1, 2])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"group": "patients"}, "Did you mean 'patient'"),
        ({"split_by_time": "city"}, "'city' holds text"),
        ({"split_by_time": "size"}, "'size' is empty in"),
    ],
)
def test_columns_that_do_not_split_are_told(how: dict[str, str], words: str) -> None:
    with pytest.raises(TableError, match=words):
        source(**how)


def test_one_group_and_two_ways_are_told() -> None:
    with pytest.raises(ArgumentError, match="two groups or more"):
        prepare(replace(source(), together=np.zeros(120, int)), settings(n_estimators=4))
    with pytest.raises(ArgumentError, match="by group or by time"):
        Settings(group="a", split_by_time="b")
