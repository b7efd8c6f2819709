"""The target: telling the task, refusing what cannot be learned, reading outputs."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from selfnorm.errors import TableError
from selfnorm.tabular.encoding._target import (
    ClassTarget,
    NumberTarget,
    target_values,
)
from selfnorm.tabular.encoding._targets import fit_target, target_from_dict, target_to_dict

TASKS = {
    "text": (["a", "b"] * 20, "classification"),
    "booleans": ([True, False] * 20, "classification"),
    "few whole numbers": ([0, 1, 2] * 20, "classification"),
    "few whole floats": ([0.0, 1.0] * 20, "classification"),
    "few fractions": ([0.5, 1.0] * 20, "regression"),
    "many whole numbers": (list(range(40)), "regression"),
    "whole numbers in few rows": ([1, 2, 3, 4], "regression"),
    "floats": (np.linspace(0, 1, 40).tolist(), "regression"),
}


@pytest.mark.parametrize("kind", TASKS)
def test_the_task_is_told_by_the_values(kind: str) -> None:
    values, task = TASKS[kind]
    got, found = target_values("y", pa.chunked_array([values]), None)
    assert found == task
    assert got.tolist() == values


def test_the_task_can_be_given() -> None:
    numbered = pa.chunked_array([[0, 1, 2] * 20])
    assert target_values("y", numbered, "regression")[0].dtype == np.float64
    with pytest.raises(TableError, match=r"'y' must hold numbers.*row 1 holds 'a'"):
        target_values("y", pa.chunked_array([["a", "b"]]), "regression")


def test_dictionary_coded_text_is_text() -> None:
    coded = pa.chunked_array([pa.array(["b", " a"] * 5).dictionary_encode()])
    values, task = target_values("y", coded, None)
    assert task == "classification"
    assert set(values) == {"a", "b"}


def test_what_cannot_be_learned_is_told() -> None:
    with pytest.raises(TableError, match=r"'y' is '3' in all 10 rows"):
        target_values("y", pa.chunked_array([[3] * 10]), None)
    with pytest.raises(TableError, match=r"'y' has 10 classes in 10 rows. Name another column.$"):
        target_values("y", pa.chunked_array([list("abcdefghij")]), None)
    with pytest.raises(TableError, match=r"20 classes in 20 rows.*the task is regression"):
        target_values("y", pa.chunked_array([list(range(20))]), "classification")
    with pytest.raises(TableError, match=r"holds dates"):
        target_values("y", pa.chunked_array([pa.array([1, 2], pa.timestamp("s"))]), None)


@pytest.mark.parametrize(
    "values", [np.array(["b", "a", "b"]), np.array([3, 1, 3]), np.array([True, False, True])]
)
def test_classes_survive_json_and_decode_to_what_they_were(values: np.ndarray) -> None:
    target = fit_target("y", values, "classification")
    assert target_from_dict(json.loads(json.dumps(target_to_dict(target)))) == target
    codes = target.encode(values)
    outputs = torch.nn.functional.one_hot(codes, 2) * 100.0
    prediction = target.decode(outputs)
    np.testing.assert_array_equal(prediction.values, values)
    assert prediction.probabilities is not None
    np.testing.assert_array_equal(prediction.probabilities.sum(1), 1)


def test_numbers_are_learned_with_mean_0_and_variance_1() -> None:
    values = np.array([10.0, 20.0, 60.0])
    target = fit_target("y", values, "regression")
    assert isinstance(target, NumberTarget)
    encoded = target.encode(values)
    assert encoded.shape == (3, 1)
    assert encoded.mean().abs() < torch.finfo(torch.float32).eps
    np.testing.assert_allclose(target.decode(encoded).values, values, rtol=1e-6)
    assert target.score(encoded, target.encode(values + 3)) == pytest.approx(3, rel=1e-5)
    assert target_from_dict(json.loads(json.dumps(target_to_dict(target)))) == target


def test_the_baseline_is_the_most_frequent_class_or_the_mean() -> None:
    classes = ClassTarget.fit("y", np.array(["a", "b", "b", "b"]))
    assert classes.baseline(2).values.tolist() == ["b", "b"]
    assert classes.baseline(1).probabilities.tolist() == [[0.25, 0.75]]
    assert NumberTarget.fit("y", np.array([1.0, 3.0])).baseline(2).values.tolist() == [2, 2]


def test_decimals_are_learned_as_floats() -> None:
    column = pa.chunked_array([pa.array(["1", "2"] * 10).cast(pa.decimal128(38))])
    values, task = target_values("y", column, None)
    target = fit_target("y", values, task)
    assert isinstance(target, ClassTarget)
    assert json.loads(json.dumps(target.classes)) == [1.0, 2.0]


def test_whole_numbers_beyond_float64_can_be_learned() -> None:
    column = pa.chunked_array([[2**60 + 2**40 * row for row in range(60)]])
    assert target_values("y", column, None)[1] == "regression"


def test_numbers_that_cannot_be_squared_are_told() -> None:
    with pytest.raises(TableError, match=r"'y' goes up to 1e\+200. Divide it"):
        target_values("y", pa.chunked_array([[1.0, 1e200]]), None)
    with pytest.raises(TableError, match=r"'y' goes up to 1e\+308"):
        NumberTarget.fit("y", np.array([-1e308, 1e308]))
    with pytest.raises(TableError, match=r"'y' differ by 5e-201 only. Multiply"):
        NumberTarget.fit("y", np.array([1e-200, 2e-200]))
    with pytest.raises(TableError, match=r"'y' is infinite in row 2"):
        target_values("y", pa.chunked_array([[0.0, np.inf] * 20]), None)


def test_a_constant_target_has_deviation_1() -> None:
    assert NumberTarget.fit("y", np.full(7, 0.1)).deviation == 1


def test_classes_that_utf8_cannot_write_are_told_before_training() -> None:
    with pytest.raises(TableError, match="column 'kind' has some that it cannot"):
        ClassTarget.fit("kind", np.array(["a", "\ud800"]))


def test_predictions_stay_within_the_range_that_was_learned() -> None:
    target = NumberTarget.fit("y", np.array([0.0, 1.0, 5.0]))
    outputs = torch.tensor([[-9.0], [0.0], [9.0], [torch.inf], [torch.nan]])
    low, mean, high, infinite, lost = target.decode(outputs).values
    assert (low, mean, high) == (0, 2, 5)
    assert infinite == np.inf
    assert np.isnan(lost)
    saved = target_to_dict(target)
    del saved["ends"]
    assert target_from_dict(saved).decode(outputs).values[0] < 0
    with pytest.raises(ValueError, match="ends are in order"):
        target_from_dict({**saved, "ends": [5.0, 0.0]})
