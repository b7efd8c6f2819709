"""The estimators behave like scikit-learn's own."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from selfnorm import SelfNormClassifier, SelfNormRegressor, tabular
from selfnorm.errors import ArgumentError, ModelFolderError, SelfNormWarning
from support.folders import rewrite
from support.tables import small_table

QUICK = {"depth": 3, "width": 32, "epochs": 15, "learning_rate": 3e-3, "random_state": 0}


CHECKED = QUICK | {"width": 16, "epochs": 8, "learning_rate": 1e-2}
"""The checks fit again and again, and ask for an accuracy of 0.83 at the most."""


UNEQUAL = {
    f"check_sample_weight_equivalence_on_{kind}_data": "networks draw batches of as many rows,"
    " whatever they weigh, and columns are encoded by the rows as they are"
    for kind in ("dense", "sparse")
}


@parametrize_with_checks(
    [SelfNormClassifier(**CHECKED), SelfNormRegressor(**CHECKED)],
    expected_failed_checks=lambda _: UNEQUAL,
)
@pytest.mark.filterwarnings("ignore")  # the checks give the estimators odd input on purpose
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def frames() -> dict[str, Any]:
    table = small_table().drop_columns(["label", "amount"])
    return {"arrow": table, "pandas": table.to_pandas(), "polars": pl.from_arrow(table)}


@pytest.mark.parametrize("kind", frames())
def test_frames_with_text_dates_and_holes(kind: str) -> None:
    X, y = frames()[kind], small_table()["label"].to_pylist()
    model = SelfNormClassifier(**QUICK | {"epochs": 40}).fit(X, y)
    assert model.score(X, y) > 0.9
    assert model.classes_.tolist() == ["big", "small"]
    assert model.feature_names_in_.tolist() == ["size", "city", "day"]
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-12)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(1)], model.predict(X))


def test_frames_of_all_kinds_train_the_same_model() -> None:
    y = small_table()["amount"].to_numpy()
    found = [SelfNormRegressor(**QUICK).fit(X, y).predict(X) for X in frames().values()]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_it_stands_in_pipelines_grids_and_cross_validation() -> None:
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(FunctionTransformer(), SelfNormClassifier(**QUICK))
    assert cross_val_score(pipeline, X, y, cv=2).mean() > 0.8
    grid = GridSearchCV(SelfNormClassifier(**QUICK), {"depth": [2, 4]}, cv=2).fit(X, y)
    assert grid.best_params_["depth"] in (2, 4)


def test_a_trained_estimator_survives_pickle() -> None:
    X, y = load_iris(return_X_y=True)
    model = SelfNormClassifier(**QUICK).fit(X, y)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301  scikit-learn users do, on their own files
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("named", [True, False])
def test_a_loaded_estimator_is_the_one_that_was_saved(named: bool, tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True, as_frame=named)
    model = SelfNormClassifier(**QUICK).fit(X, y)
    model.save(tmp_path / "model")
    again = SelfNormClassifier.load(tmp_path / "model")
    assert again.get_params() == model.get_params()
    assert again.n_features_in_ == 4
    assert hasattr(again, "feature_names_in_") == named
    assert not named or again.feature_names_in_.tolist() == X.columns.tolist()
    assert again.classes_.tolist() == model.classes_.tolist()
    assert again.n_iter_ == model.n_iter_
    for one, other in zip(again.layers_after_, model.layers_after_, strict=True):
        assert (one.layer, one.mean, one.variance) == (other.layer, other.mean, other.variance)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    with pytest.raises(ValueError, match=r"expecting 4 features|feature names should match"):
        again.predict(X.iloc[:, :3] if named else X[:, :3])
    with pytest.raises(ArgumentError, match=r"holds one of classification\. Use the other"):
        SelfNormRegressor.load(tmp_path / "model")


def test_columns_without_names_are_known_by_their_order() -> None:
    size = np.random.default_rng(0).normal(size=60)
    frame = pd.DataFrame({"size": size, "city": ["x", "y", "z"] * 20})
    y = np.where(size + np.random.default_rng(1).normal(size=60) > 0, "big", "small")
    model = SelfNormClassifier(**QUICK | {"epochs": 1}).fit(frame, y)
    told = model.predict_proba(frame)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        np.testing.assert_array_equal(model.predict_proba(frame.to_numpy()), told)
    model = SelfNormClassifier(**QUICK | {"epochs": 1}).fit(frame.to_numpy(), y)
    with pytest.warns(UserWarning, match="fitted without feature names"):
        np.testing.assert_array_equal(model.predict_proba(frame), told)


def test_the_layers_and_the_history_are_there() -> None:
    X, y = load_iris(return_X_y=True)
    model = SelfNormClassifier(**QUICK).fit(X, y)
    assert [layer.layer for layer in model.layers_before_] == ["selu1", "selu2", "selu3"]
    assert len(model.layers_after_) == 3
    assert model.n_iter_ == len(model.history_.epochs) <= 15


def test_unknown_categories_are_told() -> None:
    X = pd.DataFrame({"c": ["a", "b"] * 20, "x": np.arange(40.0) ** 2})
    model = SelfNormClassifier(**QUICK).fit(X, X["c"])
    with pytest.warns(SelfNormWarning, match=r"such as 'z', in 1 of 1 rows"):
        model.predict(pd.DataFrame({"c": ["z"], "x": 1.0}))


def test_numbers_as_categories_and_columns_left_out() -> None:
    X = pd.DataFrame({"code": [1, 2, 3] * 20, "noise": np.arange(60.0) ** 2})
    y = (X["code"] == 2).astype(int)
    model = SelfNormClassifier(**QUICK, categories=["code"], ignore=["noise"])
    with pytest.warns(SelfNormWarning) as told:
        model.fit(X, y)
    words = " ".join(str(one.message) for one in told)
    assert "'code' tells 'y' without the other columns, which looks like a leak" in words
    assert "100% of the rows equal another in all columns and the target" in words
    assert model.model_.encoder.features == ["code=1", "code=2", "code=3"]


def test_columns_that_are_left_out_and_doubts_are_warnings() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "x": rng.normal(size=80),
            "lists": [[1]] * 80,
            "one": 1.0,
            "also one": 2,
            "price": [f"${price}.50" for price in rng.integers(0, 99, 80)],
            "day": [f"{day:02}/0{month}/2015" for day, month in rng.integers(1, 9, (80, 2))],
            "asked": 3,
        }
    )
    model = SelfNormRegressor(**QUICK | {"epochs": 1}, ignore=["asked"])
    with pytest.warns(SelfNormWarning) as told:
        model.fit(X, rng.normal(size=80))
    words = [str(one.message) for one in told]
    assert len(words) == 3
    assert words[0] == (
        "Columns are left out: 'lists' (its values are of type list<item: int64>); "
        "'one', 'also one' (one value in all rows)."
    )
    assert "its dates do not tell day from month" in " ".join(words)
    assert "Column 'price': '$" in " ".join(words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"depth": 0},
            "depth must be a whole number, 1 or more, or None for what fits the rows; 0 came",
        ),
        (
            {"depth": 2.5},
            "depth must be a whole number, 1 or more, or None for what fits the rows; 2.5 came",
        ),
        (
            {"epochs": 1.5},
            "epochs must be a whole number, 1 or more, or None for what fits the rows; 1.5 came",
        ),
        ({"batch_size": "big"}, "batch_size must be a whole number.*; 'big' came"),
        ({"shape": "round"}, "shape must be one of 'rectangular', 'conic'; 'round' came"),
        ({"dropout": 1.5}, "1.5"),
        (
            {"epochs": 0},
            "epochs must be a whole number, 1 or more, or None for what fits the rows; 0 came",
        ),
        ({"validation": 1.0}, r"validation must be a number in \[0, 1\); 1.0 came"),
        ({"device": "abacus"}, "'abacus' is not"),
    ],
)
def test_bad_parameters_are_told_when_fitting(change: dict[str, Any], words: str) -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ArgumentError, match=words):
        SelfNormClassifier(**QUICK | change).fit(X, y)


@pytest.mark.parametrize(
    ("kind", "load", "frame"),
    [
        (SelfNormClassifier, load_iris, True),
        (SelfNormClassifier, load_iris, False),
        (SelfNormRegressor, load_diabetes, True),
    ],
)
def test_a_saved_estimator_comes_back(kind, load, frame: bool, tmp_path: Path) -> None:
    X, y = load(return_X_y=True, as_frame=frame)
    model = kind(**QUICK, ignore=None, categories=[]).fit(X, y)
    model.save(tmp_path / "m")
    again = kind.load(str(tmp_path / "m"))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.get_params() == model.get_params()
    assert again.n_features_in_ == model.n_features_in_
    assert hasattr(again, "feature_names_in_") is frame
    if frame:
        assert again.feature_names_in_.tolist() == list(X.columns)
    if kind is SelfNormClassifier:
        assert again.classes_.tolist() == model.classes_.tolist()
    assert again.n_iter_ == model.n_iter_
    assert again.history_.stop == model.history_.stop
    assert [e.loss for e in again.history_.epochs] == [e.loss for e in model.history_.epochs]
    before = [(k.layer, k.mean, k.variance) for k in model.layers_before_]
    assert [(k.layer, k.mean, k.variance) for k in again.layers_before_] == before


def test_an_estimator_loads_what_the_command_line_wrote(tmp_path: Path) -> None:
    result = tabular.fit("wine", tabular.Settings(epochs=2, depth=3, width=16, seed=5))
    result.save(tmp_path / "m")
    model = SelfNormClassifier.load(tmp_path / "m")
    assert (model.depth, model.width, model.epochs, model.random_state) == (3, 16, 2, 5)
    X, _ = load_wine(return_X_y=True, as_frame=True)
    expected = result.model.predict(X).values.tolist()
    assert model.predict(X).tolist() == expected
    assert model.feature_names_in_.tolist() == list(X.columns)


def test_the_command_line_loads_what_an_estimator_wrote(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = SelfNormClassifier(**QUICK).fit(X, y)
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(
        tabular.load_model(tmp_path / "m").predict(X).probabilities, model.predict_proba(X)
    )


def test_what_cannot_be_saved_or_loaded_is_told(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(NotFittedError):
        SelfNormClassifier().save(tmp_path / "m")
    model = SelfNormClassifier(**QUICK).fit(X, y)
    model.save(tmp_path / "m")
    with pytest.raises(ModelFolderError, match="holds files"):
        model.save(tmp_path / "m")
    model.save(tmp_path / "m", force=True)
    with pytest.raises(ArgumentError, match=r"loads models of regression; .* holds one of class"):
        SelfNormRegressor.load(tmp_path / "m")
    with pytest.raises(ModelFolderError, match="there is no"):
        SelfNormClassifier.load(tmp_path / "nothing")
    record = json.loads((tmp_path / "m/model.json").read_text())
    for about in ({}, {**record["about"], "epochs": 7}, {**record["about"], "best_epoch": 99}):
        rewrite(tmp_path / "m", lambda record, about=about: record.update(about=about))
        with pytest.raises(ModelFolderError, match="does not tell"):
            SelfNormClassifier.load(tmp_path / "m")
