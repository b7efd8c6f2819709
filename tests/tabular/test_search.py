"""Cross-validation and search: who is told what, and what is chosen."""

import pickle
from dataclasses import replace
from functools import partial

import joblib
import numpy as np
import pytest

from selfnorm.errors import ArgumentError
from selfnorm.tabular import _search
from selfnorm.tabular._fit import prepare
from selfnorm.tabular._search import search
from selfnorm.tabular._validate import _folds, cross_validate
from support.tables import settings, small_source


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_each_row_is_measured_once_and_never_learned_from(task: str) -> None:
    source = replace(small_source(task), together=np.arange(120) // 4)
    seen: list[int] = []
    for train, test in _folds(source, 5, 0):
        assert not set(source.together[train]) & set(source.together[test])
        seen += test.tolist()
    assert sorted(seen) == list(range(120))


def test_by_time_each_fold_is_told_by_what_came_before() -> None:
    times = np.random.default_rng(0).permutation(120)
    source = replace(small_source("regression"), times=times)
    for train, test in _folds(source, 3, 0):
        assert times[train].max() < times[test].min()


def test_a_cross_validation_tells_mean_and_deviation() -> None:
    done: list[int] = []
    found = cross_validate(
        small_source("classification"), settings(epochs=2), 3, lambda n, _: done.append(n)
    )
    assert done == [1, 2, 3]
    assert sum(one.rows for one in found.folds) == 120
    each = [one.metrics["accuracy"] for one in found.folds]
    mean = sum(each) / 3
    deviation = (sum((one - mean) ** 2 for one in each) / 2) ** 0.5
    assert found.metrics["accuracy"] == pytest.approx((mean, deviation))
    for folds in (1, 121):
        with pytest.raises(ArgumentError, match="Folds are two or more"):
            cross_validate(small_source("classification"), settings(), folds)


def test_the_best_settings_are_taken_and_what_is_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    how = settings(depth=None, width=16, n_estimators=4)
    ready = prepare(small_source("regression"), how)
    asked: list[tuple] = []

    def loss(_: object, one: object, __: object) -> float:
        asked.append((one.depth, one.width, one.weight_decay))
        return abs((one.depth or 99) - 6)

    monkeypatch.setattr(_search, "_loss", loss)
    best, trials = search(ready, how, 20)
    assert asked[0] == (None, 16, how.weight_decay)
    assert len(trials) == 20
    assert {depth for depth, _, _ in asked[1:]} == set(_search.SPACE["depth"].values)
    assert {width for _, width, _ in asked} == {16}
    assert best.depth == 6
    assert [one.changes for one in search(ready, how, 20)[1]] == [one.changes for one in trials]


def test_rows_held_out_are_not_looked_at_by_a_search() -> None:
    how = settings(n_estimators=4, depth=None, test=0.3, epochs=1)
    ready = prepare(small_source("classification"), how)
    ready.test.values[:] = "?"
    _, trials = search(ready, how, 2)
    assert all(np.isfinite(one.loss) for one in trials)
    with pytest.raises(ArgumentError, match="2 settings or more"):
        search(ready, how, 1)


def test_trials_and_folds_side_by_side_are_those_of_one_after_another() -> None:
    how, source = settings(depth=None, epochs=1), small_source("classification")
    ready = prepare(source, how)
    alone, folds = search(ready, how, 3), cross_validate(source, how, 2)
    told: list[int] = []
    with joblib.parallel_config("threading", n_jobs=2):
        assert search(ready, how, 3, lambda number, _: told.append(number)) == alone
        assert cross_validate(source, how, 2).metrics == folds.metrics
    assert told == [1, 2, 3]
    sent = pickle.loads(pickle.dumps(partial(_search._loss_with, ready, how)))  # noqa: S301 - our own
    assert sent({}, None) == alone[1][0].loss
