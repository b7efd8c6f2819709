# ruff: noqa: ARG002 - scikit-learn says what hooks take
"""A score chooses the epoch, by rows that were left out; callbacks see each one."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import accuracy_score, mean_absolute_error
from sklearn.model_selection import GridSearchCV

from selfnorm import SelfNormClassifier, SelfNormRegressor
from selfnorm.errors import ArgumentError

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has it from 1.9")
QUICK: dict[str, Any] = {"preset": "fast", "depth": 1, "width": 16, "epochs": 4, "random_state": 0}


class Seen:
    """A callback that keeps what it is told, and may ask to stop."""

    def __init__(self, stop_at: int = 99) -> None:
        self.stop_at, self.scores, self.hooks = stop_at, [], []

    def setup(self, estimator: Any, context: Any) -> None:
        self.hooks.append("setup")

    def teardown(self, estimator: Any, context: Any) -> None:
        self.hooks.append("teardown")

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.hooks.append(f"begin {context.task_name}")

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any, y: Any, fitted_estimator: Any
    ) -> bool:
        self.hooks.append(f"end {context.task_name}")
        self.scores.append(fitted_estimator.score(X, y))
        return len(self.scores) == self.stop_at


def cancer() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_breast_cancer(return_X_y=True)
    return X[:150], y[:150]


def test_the_score_of_rows_left_out_chooses_the_epoch() -> None:
    X, y = load_diabetes(return_X_y=True)
    settings = QUICK | {"scoring": "neg_mean_absolute_error", "n_estimators": 1}
    model = SelfNormRegressor(**settings).fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    found = [epoch.validation_loss for epoch in model.history_.epochs]
    assert model.history_.best.validation_loss == min(found)
    expected = mean_absolute_error(y[100:], model.predict(X[100:]))
    assert min(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scoring", ["accuracy", lambda m, X, y: accuracy_score(y, m.predict(X))])
def test_a_score_may_be_a_name_or_a_function(scoring: Any) -> None:
    X, y = cancer()
    model = SelfNormClassifier(**QUICK, scoring=scoring).fit(X, y, np.linspace(1, 2, len(y)))
    assert all(-1 <= epoch.validation_loss < -0.5 for epoch in model.history_.epochs)


def test_a_score_that_nobody_knows_is_told() -> None:
    with pytest.raises(ArgumentError, match=r"scoring names a score of .*; 'beauty' came\. Try"):
        SelfNormClassifier(**QUICK, scoring="beauty").fit(*cancer())


def test_callbacks_are_told_of_each_epoch_and_change_nothing() -> None:
    X, y = cancer()
    seen = Seen()
    model = SelfNormClassifier(**QUICK).set_callbacks(seen).fit(X, y)
    epochs = ["begin epoch", "end epoch"] * 4
    assert seen.hooks == ["setup", "begin fit", *epochs, "end fit", "teardown"]
    assert seen.scores[-1] == model.score(X, y)
    assert len(set(seen.scores)) > 1
    plain = SelfNormClassifier(**QUICK).fit(X, y)
    np.testing.assert_array_equal(plain.predict_proba(X), model.predict_proba(X))


def test_a_callback_can_stop_the_training() -> None:
    X, y = cancer()
    model = SelfNormClassifier(**QUICK).set_callbacks(Seen(stop_at=2)).fit(X, y)
    assert model.n_iter_ == 2


def test_scikit_learns_monitor_sees_epochs_inside_a_search() -> None:
    X, y = cancer()
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = SelfNormClassifier(**QUICK | {"epochs": 2}).set_callbacks(monitor)
    GridSearchCV(model, {"depth": [1]}, cv=2).fit(X, y)
    logs = monitor.get_logs()
    assert logs
