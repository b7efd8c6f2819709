"""Figures as sums of blocks: scikit-learn's of all rows, whatever the blocks."""

import numpy as np
import pytest
from sklearn import metrics

from selfnorm.tabular._by_class import ByClass
from selfnorm.tabular._ranks import Ranks
from selfnorm.tabular._tally import ClassTally, NumberTally
from selfnorm.tabular.encoding._target import ClassTarget, NumberTarget, Prediction
from support.tolerances import MEAN_OF_EXACT, RANKED_IN_STEPS

ROWS, CLASSES = 500, ("a", "b", "c")
SHARES = (0.5, 0.3, 0.2)


def drawn(classes: int = 3, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of classes, probabilities that tell something of them, and weights."""
    rng = np.random.default_rng(classes)
    codes = np.r_[np.arange(classes), rng.integers(0, classes, rows - classes)]
    odds = rng.normal(size=(rows, classes)) + np.eye(classes)[codes]
    chances = np.exp(odds)
    return codes, chances / chances.sum(1, keepdims=True), rng.uniform(0.5, 2, rows)


def in_blocks(tally: ClassTally | NumberTally, *columns: object) -> None:
    """Add rows in blocks of uneven size."""
    truth, values, chances, weights = columns
    for at in np.split(np.arange(len(truth)), [1, 7, 200]):
        told = Prediction(values[at], None if chances is None else chances[at])
        tally.add(truth[at], told, None if weights is None else weights[at])


@pytest.mark.parametrize("weighed", [False, True])
def test_classes(weighed: bool) -> None:
    codes, chances, weights = drawn()
    truth, values = np.array(CLASSES)[codes], np.array(CLASSES)[chances.argmax(1)]
    target, count = ClassTarget("y", CLASSES, SHARES), weights if weighed else None
    tally = ClassTally(target)
    in_blocks(tally, truth, values, chances, count)
    found = tally.metrics
    expected = {
        "accuracy": metrics.accuracy_score(truth, values, sample_weight=count),
        "balanced accuracy": metrics.balanced_accuracy_score(truth, values, sample_weight=count),
        "log loss": metrics.log_loss(truth, chances, sample_weight=count),
    }
    if not weighed:
        expected["AUC"] = metrics.roc_auc_score(truth, chances, multi_class="ovo")
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=MEAN_OF_EXACT)
    assert tally.rows == ROWS
    assert tally.notes == []
    by_chance = ClassTally(target)
    baseline = target.baseline(ROWS)
    in_blocks(by_chance, truth, baseline.values, baseline.probabilities, count)
    assert tally.baseline == pytest.approx(by_chance.metrics, rel=MEAN_OF_EXACT)
    of_all = ByClass.of(CLASSES, truth, values)
    np.testing.assert_array_equal(tally.by_class.counts, of_all.counts)


def test_shares_of_classes_in_any_order() -> None:
    _, chances, weights = drawn()
    target, shares = ClassTarget("y", ("c", "a", "b"), SHARES), chances[:, ::-1]
    tally = ClassTally(target)
    in_blocks(tally, shares, target.hard(chances), chances, weights)
    loss = -np.average((shares * np.log(chances)).sum(1), weights=weights)
    right = shares.argmax(1) == chances.argmax(1)
    assert tally.metrics["log loss"] == pytest.approx(loss, rel=MEAN_OF_EXACT)
    accuracy = np.average(right, weights=weights)
    assert tally.metrics["accuracy"] == pytest.approx(accuracy, rel=MEAN_OF_EXACT)
    loss = -np.average(shares @ np.log(SHARES), weights=weights)
    assert tally.baseline["log loss"] == pytest.approx(loss, rel=MEAN_OF_EXACT)


def test_strange_and_absent_classes_are_told() -> None:
    target, truth = ClassTarget("y", CLASSES, SHARES), np.array(["a", "a", "z", "b", "y", "z"])
    told = target.baseline(6)
    tally = ClassTally(target)
    tally.add(truth[:2], Prediction(told.values[:2], told.probabilities[:2]))
    assert "No row is of the class 'b', 'c', so AUC is left out" in tally.notes[0]
    tally.add(truth[2:], Prediction(told.values[2:], told.probabilities[2:]))
    assert tally.metrics == {"accuracy": 2 / 6, "balanced accuracy": 1 / 4}
    assert tally.baseline == tally.metrics
    assert "3 of 6 rows are of classes that the model does not know ('y', 'z')" in tally.notes[0]
    assert tally.by_class.classes == ("a", "b", "c", "y", "z")
    np.testing.assert_array_equal(tally.by_class.counts[:, 0], [2, 1, 0, 1, 2])


@pytest.mark.parametrize("weighed", [False, True])
def test_numbers(weighed: bool) -> None:
    rng = np.random.default_rng(0)
    truth = 1e6 + rng.normal(size=ROWS)
    values, weights = truth + rng.normal(size=ROWS), rng.uniform(0.5, 2, ROWS)
    target, count = NumberTarget("y", 1e6 + 0.2, 1.0), weights if weighed else None
    tally = NumberTally(target)
    in_blocks(tally, truth, values, None, count)
    for found, told in ((tally.metrics, values), (tally.baseline, np.full(ROWS, 1e6 + 0.2))):
        both = truth - 1e6, told - 1e6
        assert found == pytest.approx(
            {
                "RMSE": metrics.root_mean_squared_error(*both, sample_weight=count),
                "MAE": metrics.mean_absolute_error(*both, sample_weight=count),
                "R2": metrics.r2_score(*both, sample_weight=count),
            },
            rel=RANKED_IN_STEPS,  # a million beside 1: four digits less
        )


@pytest.mark.parametrize("classes", [2, 3, 20])
def test_many_rows_are_ranked_in_steps(classes: int) -> None:
    codes, chances, weights = drawn(classes, 4000)
    exact, rough = Ranks(classes, most=np.inf), Ranks(classes, most=1000)
    for at in np.array_split(np.arange(4000), 9):
        for one in (exact, rough):
            one.add(codes[at], chances[at], weights[at])
    assert (exact.bound, list(rough.state)) == (0, ["counts"])
    assert 0 < rough.bound < 1e-2
    assert rough.area == pytest.approx(exact.area, abs=RANKED_IN_STEPS)
    assert abs(rough.area - exact.area) <= rough.bound


def test_ties_certainties_and_more_classes_than_can_be_ranked() -> None:
    ranks = Ranks(2, most=0)
    scores = np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5], [0.0, 1.0]])
    ranks.add(np.array([0, 0, 1, 1]), scores, np.ones(4))
    assert ranks.area == 1 - 0.25 / 2
    assert ranks.bound == 1 / 8
    many = Ranks(300, most=0)
    many.add(np.arange(300), np.full((300, 300), 1 / 300), np.ones(300))
    assert (many.area, many.bound) == (None, np.inf)


@pytest.mark.parametrize("most", [1e9, 100])
def test_what_is_kept_goes_on_to_the_same_bits(most: float) -> None:
    codes, chances, _ = drawn()
    truth = np.array(["a", "b", "z"])[codes]
    classes, numbers = ClassTarget("y", CLASSES, SHARES), NumberTarget("y", 1.0, 1.0)
    for target, values, said, make in (
        (classes, np.array(CLASSES)[codes], chances, lambda one: ClassTally(one, most)),
        (classes, truth, chances, lambda one: ClassTally(one, most)),
        (numbers, chances[:, 0], None, NumberTally),
    ):
        whole, first, second = make(target), make(target), make(target)
        told = Prediction(values if said is None else np.array(CLASSES)[codes], said)
        halves = [np.arange(250), np.arange(250, ROWS)]
        for at, each in zip(halves, ((whole, first), (whole, second)), strict=True):
            part = Prediction(told.values[at], None if said is None else said[at])
            if each[1] is second:
                second.take(*first.state)
            for one in each:
                one.add(values[at], part)
        assert (second.metrics, second.baseline) == (whole.metrics, whole.baseline)
        assert second.notes == whole.notes
