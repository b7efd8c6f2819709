"""How far networks differ: between members, between masks, and beside what they say together."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_iris

from selfnorm import SelfNormClassifier, SelfNormRegressor
from selfnorm.errors import ArgumentError
from selfnorm.tabular.encoding._target import NumberTarget

QUICK: dict[str, Any] = {"preset": "fast", "depth": 1, "width": 16, "epochs": 4, "random_state": 0}


@pytest.fixture(scope="module")
def numbers() -> SelfNormRegressor:
    X, y = load_diabetes(return_X_y=True)
    return SelfNormRegressor(**QUICK | {"infinite": True}).fit(X[:100], y[:100])


def test_the_deviation_is_that_between_networks(numbers: SelfNormRegressor) -> None:
    X, _ = load_diabetes(return_X_y=True)
    told, deviation = numbers.predict(X[:9], return_std=True)
    np.testing.assert_allclose(told, numbers.predict(X[:9]))
    model, rows = numbers.model_, X[:9]
    encoded = torch.from_numpy(model.encoder.transform(model.read(rows)))
    with torch.no_grad():
        said = model.network.double()(encoded.double())[..., 0].numpy()
    model.network.float()
    assert isinstance(model.target, NumberTarget)
    expected = said.std(1) * model.target.deviation
    np.testing.assert_allclose(deviation, expected, rtol=1e-6)


def test_far_from_all_rows_networks_differ_more() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = SelfNormRegressor(**QUICK | {"epochs": 15}).fit(X, y)
    near, far = (model.predict(rows, return_std=True)[1] for rows in (X, 5 * X))
    assert far.mean() > near.mean()


def test_masks_are_drawn_again_alike_and_add_to_the_deviation(numbers: SelfNormRegressor) -> None:
    X, _ = load_diabetes(return_X_y=True)
    (told, deviation), again = (numbers.predict(X, return_std=True, mc=8) for _ in range(2))
    np.testing.assert_array_equal(told, again[0])
    np.testing.assert_array_equal(told, numbers.predict(X, mc=8))
    assert deviation.mean() > numbers.predict(X, return_std=True)[1].mean()
    assert (told != numbers.predict(X)).any()
    np.testing.assert_array_equal(numbers.predict(X), numbers.predict(X))  # masks are gone


def test_probabilities_under_masks_sum_to_one() -> None:
    X, y = load_iris(return_X_y=True)
    model = SelfNormClassifier(**QUICK).fit(X, y)
    told, deviation = model.predict_proba(X, return_std=True, mc=8)
    assert told.shape == deviation.shape == (150, 3)
    np.testing.assert_allclose(told.sum(1), 1)
    np.testing.assert_allclose(model.predict_proba(X, return_std=True)[0], model.predict_proba(X))


def test_a_single_network_differs_by_masks_alone() -> None:
    X, y = load_iris(return_X_y=True)
    model = SelfNormClassifier(**QUICK | {"n_estimators": 1, "dropout": 0.1}).fit(X, y)
    assert (model.predict_proba(X, return_std=True)[1] == 0).all()
    assert (model.predict_proba(X, return_std=True, mc=4)[1] > 0).all()


@pytest.mark.parametrize(
    ("dropout", "mc", "words"),
    [(0.1, -1, "mc must be a whole number, 0 or more; -1 came"), (0.0, 4, "this model has none")],
)
def test_masks_that_cannot_be_drawn_are_told(dropout: float, mc: int, words: str) -> None:
    X, y = load_iris(return_X_y=True)
    model = SelfNormClassifier(**QUICK | {"dropout": dropout, "epochs": 1}).fit(X, y)
    with pytest.raises(ArgumentError, match=words):
        model.predict_proba(X, mc=mc)
