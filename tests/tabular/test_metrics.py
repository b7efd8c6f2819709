"""Metrics by hand."""

import numpy as np
import pytest

from selfnorm.tabular._metrics import measure
from selfnorm.tabular.encoding._target import ClassTarget, NumberTarget, Prediction


def test_two_classes() -> None:
    target = ClassTarget("y", ("no", "yes"), (0.5, 0.5))
    truth = np.array(["no", "no", "yes", "no"])
    chance = np.array([0.1, 0.6, 0.8, 0.2])
    prediction = Prediction(
        np.array(["no", "yes", "yes", "no"]), np.column_stack([1 - chance, chance])
    )
    found = measure(target, truth, prediction)
    assert found["accuracy"] == 3 / 4
    assert found["balanced accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["log loss"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.8]).mean())
    assert found["AUC"] == 1.0


def test_three_classes_have_an_area_over_all_pairs() -> None:
    target = ClassTarget("y", (0, 1, 2), (1 / 3,) * 3)
    right = Prediction(np.array([0, 1, 2]), np.eye(3))
    assert measure(target, np.array([0, 1, 2]), right)["AUC"] == 1.0
    assert measure(target, np.array([0, 1, 2]), target.baseline(3))["AUC"] == 0.5


def test_an_unknown_class_counts_as_wrong_and_has_no_log_loss() -> None:
    target = ClassTarget("y", ("a", "b"), (0.5, 0.5))
    found = measure(target, np.array(["a", "new"]), target.baseline(2))
    assert found == {"accuracy": 0.5, "balanced accuracy": 0.5}


def test_an_absent_class_leaves_the_area_undefined() -> None:
    target = ClassTarget("y", ("a", "b"), (0.5, 0.5))
    assert "AUC" not in measure(target, np.array(["a", "a"]), target.baseline(2))


def test_numbers() -> None:
    target = NumberTarget("y", 2.0, 1.0)
    found = measure(target, np.array([1.0, 2.0, 3.0]), Prediction(np.array([1.0, 2.0, 6.0])))
    assert found["RMSE"] == pytest.approx(np.sqrt(3))
    assert found["MAE"] == pytest.approx(1)
    assert found["R2"] == pytest.approx(1 - 9 / 2)
    assert "R2" not in measure(target, np.array([1.0, 1.0]), target.baseline(2))
