"""Importance, dependence and contributions: what is known of functions that are written down."""

import numpy as np
import pyarrow as pa
import pytest

from selfnorm.errors import ArgumentError
from selfnorm.tabular import Result, Settings, fit
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.explaining._contributions import contributions
from selfnorm.tabular.explaining._dependence import dependence
from selfnorm.tabular.explaining._explain import explain
from selfnorm.tabular.explaining._importance import features_of, importances
from support.tables import small_table

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(400, 4)).astype(np.float32)
FEATURES = {"a": slice(0, 2), "b": slice(2, 3), "c": slice(3, 4)}


@pytest.fixture(scope="module")
def result() -> Result:
    table = small_table().drop_columns(["amount"])
    how = Settings(target="label", preset="fast", width=16, epochs=30, learning_rate=0.01)
    return fit(table, how)


def test_shuffling_a_column_costs_what_it_explains() -> None:
    truth = 3 * ROWS[:, 0] + ROWS[:, 2]

    def loss(rows: np.ndarray) -> float:
        return float(np.square(3 * rows[:, 0] + rows[:, 2] - truth).mean())

    found = importances(loss, ROWS, FEATURES, columns=list(FEATURES), repeats=3)
    assert [one.column for one in found] == ["a", "b", "c"]
    assert found[2].loss == found[2].spread == 0
    # The squares of w (x - x') have the mean 2 w^2 and a deviation of sqrt(8) w^2, of 400 rows.
    for one, weight in zip(found[:2], (3, 1), strict=True):
        assert abs(one.loss - 2 * weight**2) < 4 * 8**0.5 * weight**2 / 400**0.5


def test_contributions_add_up_and_are_those_of_a_sum() -> None:
    row = np.array([1.0, -2.0, 0.5, 3.0], np.float32)
    weights = np.array([1.0, 2.0, 0.0, -1.0])
    found = contributions(lambda rows: rows @ weights, row, ROWS[:64], FEATURES)
    assert found.start + sum(found.added.values()) == pytest.approx(found.end)
    assert found.end == pytest.approx(row @ weights, rel=1e-6)
    mean = ROWS[:64].mean(0)  # 64 orders, each with another of 64 rows
    assert found.added["a"] == pytest.approx((row - mean)[:2] @ weights[:2], rel=1e-5)
    assert found.added["b"] == found.errors["b"] == 0
    assert found.added["c"] == pytest.approx(-(row - mean)[3], rel=1e-5)


def test_a_product_is_shared_by_its_factors() -> None:
    found = contributions(
        lambda rows: rows[:, 2] * rows[:, 3],
        np.array([0, 0, 1.0, 1.0], np.float32),
        np.zeros((1, 4), np.float32),
        FEATURES,
    )
    assert (found.start, found.end, found.added["a"]) == (0, 1, 0)
    assert found.added["b"] == pytest.approx(0.5, abs=4 * found.errors["b"])
    assert found.added["b"] + found.added["c"] == pytest.approx(1)


def test_dependence_follows_the_function_at_the_values_of_rows() -> None:
    table = pa.table({"n": np.arange(100.0), "city": ["Oslo"] * 60 + ["Rome"] * 37 + [None] * 3})
    encoder = Encoder.fit(table)
    matrix, features = encoder.transform(table), features_of(encoder)
    n, city = encoder.columns

    def say(rows: np.ndarray) -> np.ndarray:
        return rows[:, features["n"]][:, :1] * 2 + rows[:, features["city"]][:, :1]

    found = dependence(say, matrix, table, n, features["n"])
    assert found is not None
    assert found.at is not None
    assert (found.at[0], found.at[-1], len(found.at)) == (0, 99, 9)
    own = 2 * matrix[[int(value) for value in found.at], 0]
    rest = matrix[:, features["city"]][:, 0].mean()
    np.testing.assert_allclose(found.means[:, 0], own + rest, rtol=1e-5)
    levels = dependence(say, matrix, table, city, features["city"])
    assert levels is not None
    assert levels.cells == ("Oslo", "Rome", "(missing)")
    assert levels.at is None


def test_a_model_is_explained_with_and_without_the_target(result: Result) -> None:
    table = small_table().drop_columns(["amount"])
    found = explain(result.model, table, row=7)
    assert (found.rows, found.measure) == (120, "log loss")
    assert {one.column for one in found.importances[:2]} == {"size", "city"}
    [own] = found.own
    told = result.model.predict(table)
    assert told.probabilities is not None
    assert own.contributions.end == pytest.approx(told.probabilities[6].max(), rel=1e-5)
    assert set(own.cells) == {"size", "city", "day"}
    blind = explain(result.model, table.drop_columns(["label"]))
    assert "as the target is not known" in blind.measure
    assert {one.column for one in blind.importances[:2]} == {"size", "city"}
    with pytest.raises(ArgumentError, match="from 1 to 120; 121 came"):
        explain(result.model, table, row=121)


def test_the_page_asks_those_who_left_rows_out(result: Result) -> None:
    seen = result.seen
    assert seen is not None
    assert seen.left_out is not None
    assert "did not learn from it" in seen.whose
    assert (seen.truth == small_table()["label"].to_pylist()).all()
    found = seen.importances(result.model)
    assert {one.column for one in found[:2]} == {"size", "city"}
    assert found[-1].column == "day"
