"""Networks that go on: pass after pass over parts of the rows, or from the fit before."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError

from selfnorm import SelfNormClassifier, SelfNormRegressor
from selfnorm.errors import ArgumentError, SelfNormError, SelfNormWarning

QUICK: dict[str, Any] = {"preset": "fast", "depth": 1, "width": 16, "epochs": 4, "random_state": 0}


def in_parts(model: Any, X: np.ndarray, y: np.ndarray, passes: int, **more: Any) -> Any:
    for _ in range(passes):
        for at in (0, 1):
            model.partial_fit(X[at::2], y[at::2], **more)
    return model


@pytest.mark.parametrize("members", [1, 4])
def test_parts_are_learned_pass_after_pass(members: int) -> None:
    X, y = load_iris(return_X_y=True)
    model = SelfNormClassifier(**QUICK, n_estimators=members)
    in_parts(model, X, y, 12, classes=[0, 1, 2])
    assert model.score(X, y) > 0.9
    assert model.n_iter_ == 24
    losses = [epoch.loss for epoch in model.history_.epochs]
    assert losses[-1] < 0.5 * losses[0]
    assert [layer.layer for layer in model.layers_after_] == ["selu1"]


def test_the_first_rows_decide_the_encoding_and_no_row_is_out_of_range() -> None:
    X, y = load_diabetes(return_X_y=True)
    low = y < 150
    model = SelfNormRegressor(**QUICK).partial_fit(X[low], y[low])
    encoder, before = model.model_.encoder, model.model_.target
    model.partial_fit(X[~low], y[~low])
    assert model.model_.encoder is encoder
    assert model.model_.target.ends == (y.min(), y.max())
    assert (model.model_.target.mean, before.ends) == (before.mean, (y.min(), y[low].max()))
    with pytest.raises(ArgumentError, match="fitted without any"):
        model.predict_interval(X)


def test_a_class_may_come_later() -> None:
    X, y = load_iris(return_X_y=True)
    model = SelfNormClassifier(**QUICK)
    with pytest.warns(SelfNormWarning, match="looks like a leak"):
        model.partial_fit(X[:60], y[:60], classes=[0, 1, 2])
    assert model.predict_proba(X).shape == (150, 3)
    for _ in range(20):
        model.partial_fit(X[50:], y[50:])
    assert model.score(X[50:], y[50:]) > 0.8


def test_it_goes_on_after_fit_load_and_pickle(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    model = SelfNormClassifier(**QUICK | {"infinite": True}).fit(X, y)
    told = model.predict_proba(X)
    model.save(tmp_path / "m")
    pickled = pickle.loads(pickle.dumps(model))  # noqa: S301
    for going in (model, SelfNormClassifier.load(tmp_path / "m"), pickled):
        going.partial_fit(X, y)
        assert going.n_iter_ == 5
        assert not going.model_.network.joined
        assert (going.predict_proba(X) != told).any()
    again = pickle.loads(pickle.dumps(model))  # noqa: S301
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    model.fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), told)


def test_what_cannot_go_on_is_told() -> None:
    X, y = load_iris(return_X_y=True)
    fresh = SelfNormClassifier(**QUICK)
    with pytest.raises(ArgumentError, match="must be told all classes"):
        fresh.partial_fit(X, y)
    with pytest.raises(ArgumentError, match=r"classes must name all classes; y holds 2"):
        fresh.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    fresh.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ArgumentError, match="classes known from the first; y holds 7"):
        fresh.partial_fit(X, y + 7)
    with pytest.raises(ArgumentError, match="1 columns; y has 3"):
        SelfNormRegressor(**QUICK).partial_fit(X, y).partial_fit(X, np.eye(3)[y])
    with pytest.raises(ArgumentError, match="class_weight is told by all rows"):
        SelfNormClassifier(**QUICK, class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])


def test_a_loss_that_is_not_finite_teaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = load_iris(return_X_y=True)
    model = SelfNormRegressor(**QUICK).partial_fit(X, y)
    told = model.predict(X)

    def lost(state: Any, *_: Any) -> float:
        for parameter in state.model.parameters():
            parameter.data.fill_(np.nan)
        return float("nan")

    monkeypatch.setattr("selfnorm.tabular._increments.train_epoch", lost)
    with pytest.raises(SelfNormError, match="nothing was learned of them"):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(model.predict(X), told)


def test_a_warm_start_begins_where_the_fit_before_ended() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = SelfNormRegressor(**QUICK, warm_start=True).fit(X, y)
    first = model.history_
    encoder = model.model_.encoder
    model.fit(X, y)
    assert model.history_.epochs[0].loss < first.epochs[0].loss
    assert model.model_.encoder is encoder
    cold = SelfNormRegressor(**QUICK).fit(X, y)
    assert [e.loss for e in cold.history_.epochs] == [e.loss for e in first.epochs]
    with pytest.raises(ArgumentError, match="keep their sizes; depth was 1 and is 2"):
        model.set_params(depth=2).fit(X, y)
    with pytest.raises(ArgumentError, match="1 columns; y has 2"):
        model.set_params(depth=1).fit(X, np.column_stack([y, y]))
