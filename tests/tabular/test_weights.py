"""Weights of rows: what they are equal to, and rows that a user gives to validate with."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from selfnorm import SelfNormClassifier, SelfNormRegressor
from selfnorm.errors import ArgumentError
from selfnorm.tabular._auc import area_under_curve
from selfnorm.tabular._fit import prepare
from selfnorm.tabular._infinite import fit_infinite
from selfnorm.tabular._kernel import LAYERS
from selfnorm.tabular._metrics import measure
from selfnorm.tabular._ridge import solve
from selfnorm.tabular._weights import counting, of_mean_1
from selfnorm.tabular.encoding._target import NumberTarget, Prediction
from selfnorm.tabular.encoding._targets import fit_target
from support.tables import fitted, settings, small_source
from support.tolerances import SAME_UP_TO_ROUNDING

ROWS = 80
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 3))
NUMBER = X[:, 0] + X[:, 1] * X[:, 2]
COUNTS = RNG.integers(0, 4, ROWS)
KINDS = {SelfNormClassifier: (NUMBER > 0).astype(int), SelfNormRegressor: NUMBER}
QUICK: dict[str, Any] = {"n_estimators": 4, "width": 8, "epochs": 3, "random_state": 0}
SAME = SAME_UP_TO_ROUNDING[torch.float64]
SAME_32 = SAME_UP_TO_ROUNDING[torch.float32]


def said(model: Any, x: np.ndarray = X) -> np.ndarray:
    return model.predict(x) if isinstance(model, SelfNormRegressor) else model.predict_proba(x)


@pytest.mark.parametrize("members", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_say_nothing_change_no_bit(kind: type, members: int) -> None:
    y, how = KINDS[kind], QUICK | {"n_estimators": members}
    expected = said(kind(**how).fit(X, y))
    np.testing.assert_array_equal(said(kind(**how).fit(X, y, np.full(ROWS, 3.0))), expected)
    learned = COUNTS > 0
    weighed = kind(**how).fit(X, y, sample_weight=COUNTS)
    scaled = kind(**how).fit(X[learned], y[learned], sample_weight=4 * COUNTS[learned])
    np.testing.assert_array_equal(said(weighed), said(scaled))
    assert not np.allclose(said(weighed), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_weight_0_are_not_there_but_are_told(kind: type) -> None:
    y, learned = KINDS[kind], COUNTS > 0
    all_rows = kind(**QUICK).fit(X, y, sample_weight=learned)
    part = kind(**QUICK).fit(X[learned], y[learned])
    np.testing.assert_array_equal(said(all_rows), said(part))
    told = all_rows.oof_prediction_
    np.testing.assert_array_equal(told[learned], part.oof_prediction_)
    np.testing.assert_array_equal(told[~learned], said(part, X[~learned]))


@pytest.mark.parametrize("infinite", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_of_two_answers_the_weights_decide(kind: type, infinite: bool) -> None:
    """Each row stands there twice, with both targets, one of which counts four times as much."""
    x = np.repeat(np.linspace(-1, 1, 40), 2)[:, None]
    first = np.arange(80) % 2 == 0
    y = np.where(first, 1, 0)
    weights = np.where(first, 4, 1)
    how = QUICK | {"epochs": 20, "infinite": infinite, "learning_rate": 1e-2}
    model = kind(**how).fit(x, y, weights)
    found = model.predict_proba(x)[:, 1] if kind is SelfNormClassifier else model.predict(x)
    assert 0.76 < found.mean() < 0.84
    assert model.model_.about["baseline"].get("accuracy", 0.8) == pytest.approx(0.8)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_losses_scores_and_figures_are_those_of_repeated_rows(task: str) -> None:
    kept = np.flatnonzero(COUNTS)
    values = (NUMBER > 0).astype(int) if task == "classification" else NUMBER
    rows, counts = np.repeat(kept, COUNTS[kept]), COUNTS[kept].astype(float)
    weighed = fit_target("y", values[kept], task, counts)
    repeated = fit_target("y", values[rows], task)
    figures = ("shares",) if task == "classification" else ("mean", "deviation")
    for name in figures:
        assert getattr(weighed, name) == pytest.approx(getattr(repeated, name), rel=SAME), name
    outputs = torch.from_numpy(RNG.normal(size=(ROWS, repeated.outputs)))
    known = [repeated.encode(values[part]) for part in (kept, rows)]
    known = [part.double() if task == "regression" else part for part in known]
    weights = of_mean_1(counts)
    assert weights is not None
    for figure in ("loss", "score"):
        found = float(getattr(repeated, figure)(outputs[kept], known[0], weights))
        expected = float(getattr(repeated, figure)(outputs[rows], known[1]))
        assert found == pytest.approx(expected, rel=SAME_32)
    told = repeated.decode(outputs)

    def of(part: np.ndarray) -> Prediction:
        chance = told.probabilities
        return Prediction(told.values[part], None if chance is None else chance[part])

    found = measure(weighed, values[kept], of(kept), counts)
    expected = measure(repeated, values[rows], of(rows))
    assert len(found) == (4 if task == "classification" else 3)
    assert found == pytest.approx(expected, rel=SAME)


def test_the_area_of_many_classes_is_that_of_repeated_rows() -> None:
    kept = np.flatnonzero(COUNTS)
    rows = np.repeat(kept, COUNTS[kept])
    codes = RNG.integers(0, 3, ROWS)
    scores = RNG.integers(0, 9, (ROWS, 3)) / 8  # with ties
    found = area_under_curve(codes[kept], scores[kept], 0.1 * COUNTS[kept])
    assert found == pytest.approx(area_under_curve(codes[rows], scores[rows]), rel=SAME)


def test_a_kernel_learns_from_weights_as_from_repeated_rows() -> None:
    kept = np.flatnonzero(COUNTS)
    counts = torch.from_numpy(COUNTS[kept]).double()
    rows = np.repeat(np.arange(len(kept)), COUNTS[kept])
    kernel = torch.from_numpy(LAYERS.of(LAYERS.prepared(X[kept])))
    wanted = torch.from_numpy(NUMBER[kept])[:, None]
    coefficients, left_out = solve(kernel, wanted, 0.1, counts)
    repeated, _ = solve(kernel[rows][:, rows], wanted[rows], 0.1)
    torch.testing.assert_close(kernel @ coefficients, kernel[:, rows] @ repeated)
    for row in (0, 17):  # what a row is told had none of its copies been learned from
        others = np.flatnonzero(rows != row)
        part = rows[others]
        without, _ = solve(kernel[part][:, part], wanted[part], 0.1)
        torch.testing.assert_close(left_out[row], kernel[row, part] @ without)


def test_weights_choose_the_penalty_of_the_infinitely_wide() -> None:
    """Rows without noise ask for hardly any, rows of noise for much: those that count decide."""
    inputs = torch.from_numpy(X).float()
    noisy = torch.arange(ROWS) % 2 == 0
    noise = torch.from_numpy(RNG.normal(size=ROWS)) * noisy
    targets = (inputs[:, 0].double() + 2 * noise)[:, None].float()
    reads, target = np.ones(3, bool), NumberTarget("y", 0.0, 1.0)
    sizes = []
    for heavy in (noisy, ~noisy):
        weights = of_mean_1(np.where(heavy, 1.0, 1e-3))
        network, _ = fit_infinite(inputs, targets, target, reads, weights)
        residual = (network(inputs) - targets)[heavy].square().mean()
        sizes.append(float(residual / targets[heavy].var()))
    assert sizes[1] < 0.1 < sizes[0]


def test_rows_that_count_next_to_nothing_are_left_out() -> None:
    assert counting(np.array([0.0, 1e-12, 1.0, 1e300])).tolist() == [3]
    assert counting(np.array([1e-6, 1.0])).tolist() == [0, 1]
    huge = of_mean_1(np.array([1e308, 1e308, 5e307]))
    assert huge is not None
    assert huge.tolist() == pytest.approx([1.2, 1.2, 0.6])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sample_weight": [1.0]}, r"of shape \(80,\); shape \(1,\) came"),
        ({"sample_weight": np.zeros(ROWS)}, "above zero in some rows; all 80 are zero"),
        ({"sample_weight": [-1.0] * ROWS}, "finite and 0 or more; row 1 has -1"),
        ({"sample_weight": [1.0] * 79 + [np.nan]}, "finite and 0 or more; row 80 has nan"),
        ({"sample_weight": ["a"] * ROWS}, "must be numbers"),
        ({"sample_weight": np.eye(1, ROWS)[0]}, "two rows or more that count; n_samples = 1"),
        ({"sample_weight": NUMBER > 0}, "two classes or more; y holds one class"),
        ({"X_val": X}, "together; y_val is None. Pass both"),
        ({"y_val": NUMBER}, "together; X_val is None. Pass both"),
        ({"X_val": X, "y_val": np.full(ROWS, 7)}, "y_val holds 7, and y does not"),
        ({"X_val": X[:, :2], "y_val": NUMBER > 0}, "2 features"),
        (
            {"X_val": X, "y_val": NUMBER > 0, "sample_weight_val": [1]},
            "sample_weight_val must be one number a row",
        ),
    ],
)
def test_what_cannot_be_is_told(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SelfNormClassifier(**QUICK).fit(X, KINDS[SelfNormClassifier], **given)


def test_several_columns_of_many_classes_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"are labels, .* or prob.*; of y, row 1 sums"):
        SelfNormClassifier(**QUICK).fit(X, np.arange(240).reshape(80, 3))


@pytest.mark.parametrize("members", [1, 2, 4])
def test_rows_to_validate_with_are_left_out_by_all(members: int) -> None:
    source, how = small_source("regression"), settings(n_estimators=members, infinite=False)
    learned, apart = source.take(np.arange(80)), source.take(np.arange(80, 120))
    ready = prepare(learned, how, apart)
    assert not ready.crossed
    assert len(ready.training) == 80
    assert ready.left_out is None or bool(ready.left_out.all())
    model = SelfNormRegressor(n_estimators=members, infinite=False, width=8, epochs=9)
    weights = np.linspace(1, 2, 40)
    model.fit(
        learned.table,
        learned.values,
        X_val=apart.table,
        y_val=apart.values,
        sample_weight_val=weights,
    )
    assert not hasattr(model, "oof_prediction_")
    best = min(epoch.validation_loss for epoch in model.history_.epochs)
    error = model.predict(apart.table) - apart.values
    mean = np.average(error**2, weights=weights) / model.model_.target.deviation**2
    assert best == pytest.approx(mean, rel=1e-4)  # in float32


def test_rows_to_validate_with_weigh_and_calibrate() -> None:
    """Where labels to validate with are random, networks that know the others are too sure."""
    source = small_source("classification")
    how = settings(n_estimators=2, epochs=20, infinite=True)
    part = source.take(np.arange(80, 120))
    alone = replace(part, values=RNG.permutation(part.values))
    found = []
    for validation in (part, alone):
        result = fitted(source.take(np.arange(80)), how, validation)
        assert result.told is None
        assert result.evaluation.rows == 40
        assert result.model.blend is not None
        told = result.model.predict(part.table).probabilities
        assert told is not None
        found.append(float(abs(told[:, 0] - 0.5).mean()))
    assert found[1] < 0.5 * found[0]
