"""Targets of several outputs: what is missing counts in nothing, and each kind is learned whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy import sparse
from sklearn import metrics
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.model_selection import cross_val_predict

from selfnorm import SelfNormClassifier, SelfNormRegressor, tabular
from selfnorm.errors import ArgumentError, TableError
from selfnorm.tabular._blend import Blend
from selfnorm.tabular._infinite import fit_infinite
from selfnorm.tabular._metrics_of_several import measure_each, measure_several
from selfnorm.tabular._predictor import Predictions
from selfnorm.tabular.encoding._prediction import Prediction
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget, Several
from selfnorm.tabular.encoding._target import NumberTarget
from selfnorm.tabular.encoding._targets import fit_target, target_from_dict, target_to_dict, widened

QUICK: dict[str, Any] = {"preset": "fast", "depth": 1, "width": 16, "epochs": 4, "random_state": 0}
NAN = float("nan")
NUMBERS = np.array([[1.0, 10], [2, NAN], [NAN, 30], [4, 20]])
LABELS = np.array([[1.0, 0], [0, NAN], [NAN, 1], [1, 1]])


def numbers_target() -> NumbersTarget:
    target = fit_target("y", NUMBERS, "regression", None, Several("numbers", ("a", "b")))
    assert isinstance(target, NumbersTarget)
    return target


def labels_target() -> LabelsTarget:
    target = fit_target("y", LABELS, "classification", None, Several("labels", ("a", "b")))
    assert isinstance(target, LabelsTarget)
    return target


def worded_target() -> LabelsTarget:
    words = (("no", "yes"), (False, True))
    target = fit_target("y", LABELS, "classification", None, Several("labels", ("a", "b"), words))
    assert isinstance(target, LabelsTarget)
    return target


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_diabetes(return_X_y=True)
    return X[:150], np.column_stack([y, 100 * X[:, 2] + y / 10])[:150]


def test_each_number_is_learned_as_it_is_alone() -> None:
    target = numbers_target()
    for at, name in enumerate(("a", "b")):
        known = NUMBERS[~np.isnan(NUMBERS[:, at]), at]
        alone = NumberTarget.fit(name, known)
        assert (target.means[at], target.deviations[at]) == (alone.mean, alone.deviation)
        assert target.ends[at] == alone.ends


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.5, 1.5, 0.5])])
def test_a_loss_is_the_mean_of_what_is_known(weights: torch.Tensor | None) -> None:
    target, outputs = numbers_target(), torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    encoded = target.encode(NUMBERS)
    known = ~encoded.isnan()
    each = (outputs - encoded).square()
    if weights is not None:
        each = each * weights[:, None]
    loss = target.loss(outputs, encoded, weights)
    torch.testing.assert_close(loss, each[known].mean())
    loss.backward()
    assert outputs.grad is not None
    assert (outputs.grad[~known] == 0).all()
    assert (outputs.grad[known] != 0).all()


def test_the_labels_loss_is_the_cross_entropy_of_what_is_known() -> None:
    target, outputs = labels_target(), torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    loss = target.loss(outputs, target.encode(LABELS))
    known = ~np.isnan(LABELS)
    told = outputs.sigmoid().detach().numpy()
    expected = metrics.log_loss(LABELS[known], np.column_stack([1 - told[known], told[known]]))
    assert float(loss.detach()) == pytest.approx(expected)
    loss.backward()
    assert outputs.grad is not None
    assert not outputs.grad.isnan().any()
    assert target.shares == (2 / 3, 2 / 3)


def test_arrays_are_blended_as_tensors_are() -> None:
    outputs = torch.randn(5, 3, 2, dtype=torch.float64)
    blend = Blend((0.5, 0.25, 0.25), 1.3)
    for target in (numbers_target(), labels_target()):
        found = blend.of_arrays(target, outputs.numpy())
        torch.testing.assert_close(torch.from_numpy(found), blend(target, outputs))


@pytest.mark.parametrize("make", [numbers_target, labels_target, worded_target])
def test_targets_come_back_from_json(make: Any) -> None:
    target = make()
    again = target_from_dict(json.loads(json.dumps(target_to_dict(target))))
    assert again == target
    with pytest.raises(ValueError, match="task"):
        target_from_dict({**target_to_dict(target), "task": "other"})


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (NumbersTarget, {"names": ("a", "a")}),
        (NumbersTarget, {"deviations": (1.0, 0.0)}),
        (NumbersTarget, {"means": (1.0,)}),
        (NumbersTarget, {"ends": ((1.0, 2.0), (3.0, 2.0))}),
        (LabelsTarget, {"shares": (0.5, 1.5)}),
        (LabelsTarget, {"names": ()}),
    ],
)
def test_a_record_that_breaks_a_rule_is_refused(kind: Any, change: dict[str, Any]) -> None:
    target = numbers_target() if kind is NumbersTarget else labels_target()
    with pytest.raises(ValueError, match=r"each|deviations|ends|shares|name"):
        kind(**vars(target) | change)


def test_what_comes_later_may_be_larger() -> None:
    found = widened(numbers_target(), np.array([[9.0, NAN], [NAN, 15.0]]))
    assert isinstance(found, NumbersTarget)
    assert found.ends == ((1.0, 9.0), (10.0, 30.0))


def test_metrics_leave_out_what_is_missing() -> None:
    told = Prediction(np.array([[1.5, 11], [2, 99], [99, 30], [3, 22]]))
    found = measure_several(numbers_target(), NUMBERS, told)
    known = ~np.isnan(NUMBERS)
    each = [
        metrics.r2_score(NUMBERS[known[:, at], at], told.values[known[:, at], at]) for at in (0, 1)
    ]
    assert found["R2"] == pytest.approx(np.mean(each))
    told = Prediction((LABELS == 1).astype(int), np.where(LABELS == 1, 0.9, 0.2))
    found = measure_several(labels_target(), LABELS, told)
    assert found["accuracy of labels"] == found["AUC"] == 1
    assert found["log loss"] == pytest.approx(-(4 * np.log(0.9) + 2 * np.log(0.8)) / 6)


def test_each_output_is_measured_by_the_rows_in_which_it_is_known() -> None:
    told = Prediction(np.array([[1.0, 12], [2, 20], [5, 30], [2, 24]]))
    a, b = measure_each(numbers_target(), NUMBERS, told)
    assert (a.name, a.rows, b.rows) == ("a", 3, 3)
    assert a.metrics == pytest.approx({"RMSE": (4 / 3) ** 0.5, "MAE": 2 / 3, "R2": 1 - 12 / 14})
    assert b.metrics["MAE"] == pytest.approx(2)
    assert b.baseline["R2"] == pytest.approx(0)
    said = np.array([[0.8, 0.4], [0.6, 0.9], [0.1, 0.9], [0.3, 0.2]])
    told = Prediction((said > 0.5).astype(int), said)
    a, b = measure_each(labels_target(), LABELS, told, np.array([1.0, 1, 1, 2]))
    assert a.metrics["accuracy"] == pytest.approx(1 / 4)
    assert a.metrics["recall"] == pytest.approx(1 / 3)
    assert a.metrics["precision"] == pytest.approx(1 / 2)
    assert b.metrics["recall"] == pytest.approx(1 / 3)
    assert b.metrics["log loss"] == pytest.approx(-np.log([0.6, 0.9, 0.2, 0.2]).mean())
    assert measure_each(NumberTarget("y", 0.0, 1.0), NUMBERS[:, 0], told) == ()


def test_missing_outputs_teach_an_infinite_network_as_if_each_were_alone() -> None:
    X, Y = diabetes()
    inputs, reads = torch.from_numpy(X).float(), np.ones(X.shape[1], bool)
    Y[::3, 1] = NAN
    several = Several("numbers", ("a", "b"))
    target = fit_target("y", Y, "regression", None, several)
    both = fit_infinite(inputs, target.encode(Y), target, reads)
    for at, rows in ((0, slice(None)), (1, ~np.isnan(Y[:, 1]))):
        single = NumberTarget.fit("y", Y[rows, at])
        alone = fit_infinite(inputs[rows], single.encode(Y[rows, at]), single, reads)
        told, expected = both.network(inputs)[:, at], alone.network(inputs)[:, 0]
        torch.testing.assert_close(told, expected)
        torch.testing.assert_close(both.left_out[rows, at], alone.left_out[:, 0])


def test_several_numbers_with_holes_are_learned_saved_and_told(tmp_path: Path) -> None:
    X, Y = diabetes()
    holes = np.where(np.random.default_rng(0).random(Y.shape) < 0.3, NAN, Y)
    frame = pd.DataFrame(holes, columns=["sugar", "weight"])
    model = SelfNormRegressor(**QUICK | {"epochs": 15, "infinite": True}).fit(X, frame)
    assert model.predict(X).shape == model.oof_prediction_.shape == Y.shape
    assert model.score(X, Y) > 0.5
    interval = model.predict_interval(X, 0.8)
    inside = (interval[..., 0] <= Y) & (interval[..., 1] >= Y)
    assert interval.shape == (*Y.shape, 2)
    assert (inside.mean(0) > 0.7).all()
    model.save(tmp_path / "m")
    assert json.loads((tmp_path / "m/model.json").read_text())["format"] == 4
    again = SelfNormRegressor.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    table = next(iter(Predictions(tmp_path / "m", X)))
    assert table.column_names == ["sugar", "weight"]
    found = np.column_stack([column.to_numpy() for column in table.columns])
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-5)
    rows = pa.table({f"x{at}": X[:, at] for at in range(X.shape[1])})
    for name, values in zip(frame.columns, holes.T, strict=True):
        rows = rows.append_column(name, pa.array(values, from_pandas=True))
    measured = tabular.load_model(tmp_path / "m").evaluate(rows)
    assert set(measured.metrics) == {"RMSE in deviations", "R2"}
    with pytest.raises(TableError, match="there is no 'weight'"):
        tabular.load_model(tmp_path / "m").evaluate(rows.drop_columns(["weight"]))


def test_labels_with_holes_are_learned_saved_and_told(tmp_path: Path) -> None:
    X, Y = make_multilabel_classification(160, 8, n_classes=3, random_state=0)
    holes = np.where(np.random.default_rng(0).random(Y.shape) < 0.2, NAN, Y)
    model = SelfNormClassifier(**QUICK | {"epochs": 15, "infinite": True}).fit(X, holes)
    told = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict(X), told > 0.5)
    assert metrics.roc_auc_score(Y, told) > 0.8
    assert model.model_.about["metrics"]["AUC"] > 0.7
    model.save(tmp_path / "m")
    again = SelfNormClassifier.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict_proba(X), told)
    table = next(iter(Predictions(tmp_path / "m", X)))
    assert table.column_names[3:] == ["probability_y0", "probability_y1", "probability_y2"]
    np.testing.assert_allclose(table["probability_y0"].to_numpy(), told[:, 0], rtol=1e-5)


@pytest.mark.parametrize("labels", [2, 3])
def test_scikit_learns_tools_take_labels(labels: int) -> None:
    X, Y = make_multilabel_classification(60, 8, n_classes=labels, random_state=0)
    model = SelfNormClassifier(**QUICK, scoring="roc_auc")
    assert cross_val_predict(model, X, Y, cv=2, method="predict_proba").shape == Y.shape
    dense, packed = (model.fit(X, one).predict(X) for one in (Y, sparse.csr_matrix(Y)))
    np.testing.assert_array_equal(dense, packed)


def test_shares_of_classes_are_learned_as_classes_are() -> None:
    X, y = load_iris(return_X_y=True)
    sure = np.eye(3)[y]
    shares = 0.999 * sure + 0.001 / 3
    student = SelfNormClassifier(**QUICK | {"epochs": 15}).fit(X, shares)
    assert student.classes_.tolist() == [0, 1, 2]
    assert student.score(X, y) > 0.9
    named = pd.DataFrame(shares, columns=["c", "a", "b"])
    model = SelfNormClassifier(**QUICK).fit(
        X, named, X_val=X, y_val=pd.DataFrame(sure, columns=named.columns)
    )
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert (model.predict(X[:50]) == "c").mean() > 0.8


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.full((150, 2), 0.7), "row 1 sums to 1.4"),
        (np.where(np.arange(300).reshape(150, 2) == 5, NAN, 0.5), "missing values"),
        (np.full((150, 2), "a"), "something else"),
        (np.arange(300).reshape(150, 2), "row 1 sums to 1|row 2 sums to 5"),
    ],
)
def test_columns_that_are_neither_labels_nor_shares_are_told(y: np.ndarray, words: str) -> None:
    X, _ = load_iris(return_X_y=True)
    with pytest.raises(ArgumentError, match=words):
        SelfNormClassifier(**QUICK).fit(X, y)


def test_what_does_not_belong_together_is_told() -> None:
    X, Y = diabetes()
    with pytest.raises(ArgumentError, match=r"'y1' is missing in all 150\. Leave it out"):
        SelfNormRegressor(**QUICK).fit(X, np.where([True, False], Y, NAN))
    with pytest.raises(
        ArgumentError, match=r"y_val must be what y is, 2 columns of numbers; it is"
    ):
        SelfNormRegressor(**QUICK).fit(X, Y, X_val=X, y_val=Y[:, 0])
    with pytest.raises(ArgumentError, match="class_weight is one of the classes of a column"):
        SelfNormClassifier(**QUICK, class_weight="balanced").fit(X, (Y > 100).astype(int))
    with pytest.raises(ArgumentError, match="several columns of y are called 'a'"):
        SelfNormRegressor(**QUICK).fit(X, pd.DataFrame(Y, columns=["a", "a"]))


def test_rows_that_tell_nothing_are_as_if_they_were_not_there() -> None:
    X, Y = diabetes()
    more = np.vstack([Y, np.full((3, 2), NAN)])
    model = SelfNormRegressor(**QUICK).fit(np.vstack([X, X[:3] + 1]), more)
    np.testing.assert_array_equal(model.predict(X), SelfNormRegressor(**QUICK).fit(X, Y).predict(X))
    assert not np.isnan(model.oof_prediction_).any()
