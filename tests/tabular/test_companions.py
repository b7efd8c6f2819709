"""What scikit-learn builds around estimators works around these; classes may count more."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.ensemble import AdaBoostClassifier, AdaBoostRegressor, BaggingClassifier
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from selfnorm import SelfNormClassifier, SelfNormRegressor
from selfnorm.errors import ArgumentError

RNG = np.random.default_rng(0)
ROWS = 120
X = RNG.normal(size=(ROWS, 3))
NUMBER = 2 * X[:, 0] + X[:, 1]
CLASS = np.where(NUMBER > 1, "rare", "often")
QUICK: dict[str, Any] = {
    "n_estimators": 2,
    "infinite": False,
    "width": 8,
    "epochs": 6,
    "learning_rate": 2e-2,
    "random_state": 0,
}


def test_importance_and_dependence_of_scikit_learn() -> None:
    model = SelfNormRegressor(**QUICK).fit(X, NUMBER)
    found = permutation_importance(model, X, NUMBER, n_repeats=3, random_state=0)
    first, second, third = found.importances_mean
    assert first > second > 10 * abs(third)
    curve = partial_dependence(model, X, [0], kind="average", grid_resolution=5)["average"][0]
    assert (np.diff(curve) > 0).all()
    # Three levels: of two, scikit-learn 1.6 takes one of them for a class.
    city = np.select([X[:, 1] > 0.3, X[:, 1] < -0.3], ["Oslo", "Rome"], "Kyiv")
    frame = pd.DataFrame({"x": X[:, 0], "city": city})
    classifier = SelfNormClassifier(**QUICK).fit(frame, CLASS)
    levels = partial_dependence(classifier, frame, ["city"], categorical_features=["city"])
    _, oslo, rome = levels["average"][0]  # of "rare"
    assert oslo > rome


def test_boosting_and_bagging_pass_their_weights_on() -> None:
    how = {"n_estimators": 2, "random_state": 0}
    boosted = AdaBoostClassifier(SelfNormClassifier(**QUICK), **how).fit(X, CLASS)
    assert boosted.score(X, CLASS) > 0.8
    assert AdaBoostRegressor(SelfNormRegressor(**QUICK), **how).fit(X, NUMBER).score(X, NUMBER) > 0
    bagged = BaggingClassifier(SelfNormClassifier(**QUICK), **how).fit(X, CLASS)
    assert bagged.predict_proba(X).shape == (ROWS, 2)


def test_several_targets_by_scikit_learns_wrappers() -> None:
    two = np.column_stack([NUMBER, -NUMBER])
    numbers = MultiOutputRegressor(SelfNormRegressor(**QUICK)).fit(X, two)
    assert numbers.predict(X).shape == (ROWS, 2)
    labels = MultiOutputClassifier(SelfNormClassifier(**QUICK)).fit(X, two > 1)
    assert labels.predict(X).shape == (ROWS, 2)


def test_it_is_searched_and_validated_side_by_side() -> None:
    pipeline = make_pipeline(StandardScaler(), SelfNormRegressor(**QUICK))
    pipeline.set_output(transform="pandas")
    alone = cross_val_score(pipeline, X, NUMBER, cv=2)
    with parallel_config("threading"):  # processes take seconds to start
        together = cross_val_score(pipeline, X, NUMBER, cv=2, n_jobs=2)
    np.testing.assert_array_equal(together, alone)
    grid = {"class_weight": [None, "balanced"]}
    search = GridSearchCV(SelfNormClassifier(**QUICK), grid, cv=2, scoring="balanced_accuracy")
    assert search.fit(X, CLASS).best_score_ > 0.7


@pytest.mark.parametrize("weighed", [False, True])
def test_classes_count_as_their_rows_would_by_weights(weighed: bool) -> None:
    weights = RNG.integers(0, 3, ROWS) if weighed else np.ones(ROWS, int)
    kept = CLASS[weights > 0]
    balance = {one: len(kept) / (2 * (kept == one).sum()) for one in ("rare", "often")}
    by_row = SelfNormClassifier(**QUICK).fit(X, CLASS, weights * pd.Series(CLASS).map(balance))
    given = weights if weighed else None
    for class_weight in ("balanced", balance):
        model = SelfNormClassifier(**QUICK, class_weight=class_weight).fit(X, CLASS, given)
        np.testing.assert_array_equal(model.predict_proba(X), by_row.predict_proba(X))
    heavy = SelfNormClassifier(**QUICK, class_weight={"rare": 50}).fit(X, CLASS, given)
    assert (heavy.predict(X) == "rare").mean() > (by_row.predict(X) == "rare").mean()


def test_rows_to_validate_with_count_by_the_classes_learned_from() -> None:
    """A balance of their own would be another question than that of the training."""
    few = np.flatnonzero((CLASS == "often") | (np.arange(ROWS) % 4 == 0))
    balance = {one: ROWS / (2 * (one == CLASS).sum()) for one in ("rare", "often")}
    found = [
        SelfNormClassifier(**QUICK, class_weight=one)
        .fit(X, CLASS, X_val=X[few], y_val=CLASS[few])
        .predict_proba(X)
        for one in ("balanced", balance)
    ]
    np.testing.assert_array_equal(*found)


def test_class_weights_come_back_from_the_folder(tmp_path: Path) -> None:
    y = (NUMBER > 1).astype(int)
    model = SelfNormClassifier(**QUICK, class_weight={0: 1, np.int64(1): 2.5}).fit(X, y)
    model.save(tmp_path / "m")
    assert SelfNormClassifier.load(tmp_path / "m").get_params() == model.get_params()


@pytest.mark.parametrize(
    ("class_weight", "words"),
    [
        ("even", "must be 'balanced', a dictionary of class and weight, or None; 'even' came"),
        ([1, 2], r"\[1, 2\] came"),
        ({"scarce": 2}, "'scarce' is none of 'often', 'rare'. Mend its name"),
        ({"rare": -1}, "numbers of 0 or more; -1 came"),
        ({"rare": 0}, "y holds one class, 'often'"),
    ],
)
def test_class_weights_that_cannot_be_are_told(class_weight: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        SelfNormClassifier(**QUICK, class_weight=class_weight).fit(X, CLASS)


def test_a_line_every_so_many_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    def lines(**how: Any) -> list[str]:
        SelfNormRegressor(**QUICK | {"epochs": 5} | how).fit(X, NUMBER)
        return capsys.readouterr().out.splitlines()

    assert lines() == lines(verbose=False) == []
    assert len(lines(verbose=True)) == 5
    told = lines(verbose=2)
    assert [line.split()[:2] for line in told] == [["epoch", "2"], ["epoch", "4"]]
    assert all("left out: " in line for line in told)
    assert all("left out" not in line for line in lines(verbose=1, validation=0.0))
    with pytest.raises(ArgumentError, match="verbose must be a whole number, 0 or more; -1 came"):
        lines(verbose=-1)
