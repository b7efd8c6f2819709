"""Intervals: as many new rows inside as promised, and told where that cannot be known."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from selfnorm import SelfNormClassifier, SelfNormRegressor
from selfnorm.errors import ArgumentError, ModelFolderError, UnsupportedError
from selfnorm.tabular import load_model
from selfnorm.tabular._interval import Errors
from support.folders import rewrite
from support.tables import fitted, settings, small_source

RNG = np.random.default_rng(0)


def test_the_size_is_that_of_the_rank() -> None:
    """Of 9 errors the k-th largest is not exceeded by a tenth one in k of 10 cases."""
    found = Errors.of(np.array([3.0, -1, 9, -7, 5, 2, -4, 6, 8]))
    assert found is not None
    assert [found.within(k / 10) for k in range(1, 10)] == list(range(1, 10))
    assert found.within(0.41) == 5
    with pytest.raises(ArgumentError, match=r"coverage 0.91 takes more rows .* up to 0.9\. Ask"):
        found.within(0.91)
    for wrong in (0, 1, 90, math.nan, "a"):
        with pytest.raises(ArgumentError, match=r"coverage must be a number in \(0, 1\)"):
            found.within(wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("rows", [50, 3000])
@pytest.mark.parametrize("weighed", [False, True])
def test_a_new_error_is_within_as_often_as_promised(rows: int, weighed: bool) -> None:
    """Over many sets of rows; where rows count by weights, new ones are as such rows."""
    promised, trials = 0.8, 300
    inside = []
    for _ in range(trials):
        size = RNG.random(rows)
        weights = None
        if weighed:  # rows of large errors are drawn half as often as new ones, and count twice
            size = np.where(RNG.random(rows) < 1 / 3, 1 + size, size)
            weights = np.where(size > 1, 2.0, 1.0)
        errors = Errors.of(size * RNG.choice([-1, 1], rows), weights)
        assert errors is not None
        width = errors.within(promised)
        inside.append(width / 2 if weighed else width)  # new errors: half below 1, half above
    deviation = np.std(inside) / trials**0.5 + 1 / rows
    assert promised - 4 * deviation < np.mean(inside) < promised + 4 * deviation


def test_many_errors_are_kept_as_few() -> None:
    sizes = RNG.exponential(size=100_000)
    found = Errors.of(sizes)
    assert found is not None
    assert len(found.sizes) == 1999
    assert found.within(0.9) == pytest.approx(np.quantile(sizes, 0.9), rel=1e-3)


def test_a_row_that_has_most_of_the_weight_leaves_high_levels_unknown() -> None:
    found = Errors.of(np.arange(1.0, 5), np.array([1.0, 1, 1, 97]))
    assert found is not None
    assert found.within(0.7) == 4
    with pytest.raises(ArgumentError, match=r"up to 0\.8"):
        found.within(0.81)


@pytest.mark.parametrize("members", [1, 4])
def test_a_regressor_says_where_a_number_is(members: int, tmp_path: Path) -> None:
    source = small_source("regression")
    X, y = source.table, source.values
    model = SelfNormRegressor(n_estimators=members, width=8, epochs=10, random_state=0).fit(X, y)
    low, high = model.predict_interval(X, 0.6).T
    np.testing.assert_allclose((low + high) / 2, model.predict(X))
    wide = model.predict_interval(X, coverage=0.9)
    assert (wide[:, 0] < low).all()
    if members > 1:
        half = (high - low)[0] / 2
        inside = np.abs(y - model.oof_prediction_) <= half * (1 + 1e-12)
        assert inside.sum() == math.ceil(0.6 * (len(y) + 1))
    model.save(tmp_path / "m")
    again = SelfNormRegressor.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict_interval(X, 0.9), wide)


def test_there_are_none_of_classes_nor_without_left_out_rows(tmp_path: Path) -> None:
    classes = fitted(small_source("classification")).model
    with pytest.raises(UnsupportedError, match="this model predicts classes"):
        classes.predict_interval(small_source("classification").table)
    assert not hasattr(SelfNormClassifier, "predict_interval")
    numbers = fitted(small_source("regression"), settings(validation=0.0))
    with pytest.raises(ArgumentError, match="errors on rows that were left out"):
        numbers.model.predict_interval(small_source("regression").table)
    fitted(small_source("regression")).save(tmp_path / "m")
    told = json.loads((tmp_path / "m/model.json").read_text())["about"]
    for errors in ({"levels": 2, "sizes": [2, 1]}, {"levels": 1, "sizes": [1, 2]}, [1]):
        rewrite(tmp_path / "m", lambda record, e=errors: record.update(about=told | {"errors": e}))
        with pytest.raises(ModelFolderError, match="is damaged"):
            load_model(tmp_path / "m")
