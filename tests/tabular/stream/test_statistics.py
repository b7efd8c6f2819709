"""What a pass counts merges, and is what all rows at once would have told."""

import numpy as np
import pyarrow as pa
import pytest

from selfnorm.tabular.data._split import deal_by_hash, uniform
from selfnorm.tabular.stream._levels import Levels
from selfnorm.tabular.stream._moments import Moments
from selfnorm.tabular.stream._quantiles import Quantiles
from selfnorm.tabular.stream._sample import Sample
from support.statistics import assert_moments
from support.tolerances import CLOSED_FORM


def in_parts(numbers: np.ndarray, capacity: int) -> Quantiles:
    """A sketch merged of those of five parts."""
    together = Quantiles(capacity)
    for part in np.array_split(numbers, 5):
        one = Quantiles(capacity)
        for few in np.array_split(part, 7):
            one.add(few)
        together.merge(one)
    return together


@pytest.mark.parametrize("order", ["drawn", "sorted", "reversed"])
def test_quantiles_are_as_near_as_promised(order: str) -> None:
    numbers, capacity = np.random.default_rng(0).standard_cauchy(50_000), 256
    if order != "drawn":
        numbers = np.sort(numbers)[:: 1 if order == "sorted" else -1]
    points, counts = in_parts(numbers, capacity).points()
    assert counts.sum() == len(numbers)
    assert (points.min(), points.max()) == (numbers.min(), numbers.max())
    at = np.argsort(points)
    ranks = np.cumsum(counts[at])
    true = np.searchsorted(np.sort(numbers), points[at], side="right")
    bound = len(numbers) / capacity * np.log2(len(numbers) / capacity)
    assert np.abs(ranks - true).max() < bound
    assert len(points) < 12 * capacity


def test_few_numbers_are_all_kept() -> None:
    numbers = np.random.default_rng(0).standard_normal(100)
    points, counts = in_parts(numbers, 128).points()
    assert sorted(points) == sorted(numbers)
    assert (counts == 1).all()


def test_numbers_that_come_with_counts_stand_for_as_many() -> None:
    sketch = Quantiles(64)
    sketch.add(np.array([1.0, 2.0, 3.0]), np.array([1, 6, 1000]))
    points, counts = sketch.points()
    assert {v: counts[points == v].sum() for v in (1.0, 2.0, 3.0)} == {1.0: 1, 2.0: 6, 3.0: 1000}


def test_levels_are_exact_as_long_as_they_fit() -> None:
    one, two = Levels(3), Levels(3)
    one.add(["a", "b"], [5, 1])
    two.add(["b", "c"], [2, 1])
    one.merge(two)
    assert (dict(one.counts), one.lost) == ({"a": 5, "b": 3, "c": 1}, 0)


def test_frequent_levels_outlast_any_number_of_rare_ones() -> None:
    levels, capacity, rows = Levels(50), 50, 0
    for block in range(100):
        levels.add([f"{block}-{k}" for k in range(40)], [1] * 40)
        levels.add(["often"], [10])
        rows += 50
    assert len(levels.counts) <= capacity
    assert 0 < levels.lost <= rows / capacity
    assert 1000 - levels.lost <= levels.counts["often"] <= 1000


def test_moments_of_parts_are_those_of_all_without_cancellation() -> None:
    numbers = 1e8 + np.random.default_rng(0).standard_normal(999)
    weights = np.random.default_rng(1).random(999)
    for given in (None, weights):
        parts = [
            Moments.of(numbers[at], None if given is None else given[at])
            for at in np.array_split(np.arange(999), [0, 10, 11, 500])
        ]
        found = sum(parts, Moments())
        centered = numbers - 1e8
        mean = np.average(centered, weights=given)
        variance = np.average(np.square(centered - mean), weights=given)
        assert found.deviation**2 == pytest.approx(variance, rel=1e8 * np.finfo(float).eps)
        assert found.mean - 1e8 == pytest.approx(mean, rel=0, abs=1e8 * np.finfo(float).eps)
        assert (found.least, found.largest) == (numbers.min(), numbers.max())


def test_a_sample_is_the_same_in_any_order_and_in_any_parts() -> None:
    numbers = np.arange(1000, dtype=np.uint64)
    keys, table = uniform(numbers, seed=3), pa.table({"a": numbers})
    found = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(1000)
        together = Sample(50, 10**9)
        for part in np.array_split(order, 4):
            one = Sample(50, 10**9)
            for few in np.array_split(part, 9):
                one.add(keys[few], numbers[few], table.take(few))
            together.merge(one)
        found.append(together.rows())
    for kept, at, cells in found:
        assert at.tolist() == sorted(np.argsort(keys)[:50].tolist())
        assert cells["a"].to_pylist() == at.tolist()
        assert (kept == keys[at]).all()


def test_a_sample_keeps_to_its_bytes() -> None:
    numbers = np.arange(10_000, dtype=np.uint64)
    sample = Sample(10_000, 8 * 1000)
    for few in np.array_split(numbers, 100):
        sample.add(uniform(few, 0), few, pa.table({"a": few}))
    _, _, table = sample.rows()
    assert 0 < table.nbytes <= 8 * 1000 + 8 * 100


def test_the_hash_of_a_row_is_uniform_and_its_own() -> None:
    numbers = np.arange(20_000, dtype=np.uint64)
    for seed in (0, 2**32 - 1):
        keys = uniform(numbers, seed)
        assert_moments(keys, 0.5, 1 / 12, kurtosis=1.8)
        assert (uniform(numbers[::-1].copy(), seed)[::-1] == keys).all()
        assert ((keys >= 0) & (keys < 1)).all()
        assert_moments(np.diff(np.sort(keys)) * len(keys), 1, 1, kurtosis=9)
    a, b, c = uniform(numbers, 0), uniform(numbers, 1), uniform(numbers, 0, 1)
    for other in (b, c):
        assert abs(np.corrcoef(a, other)[0, 1]) < 5 / np.sqrt(len(numbers))


def test_rows_are_dealt_by_their_hash() -> None:
    numbers = np.arange(9000, dtype=np.uint64)
    left_out = deal_by_hash(numbers, 4, rows=9000, seed=0)
    assert set(left_out.sum(1).tolist()) == {1, 2}
    paired = int((left_out.sum(1) == 2).sum())
    assert abs(paired - 9000 / 4) < 5 * np.sqrt(9000 * 0.25 * 0.75)
    assert (deal_by_hash(numbers[5:9], 4, rows=9000, seed=0) == left_out[5:9]).all()
    assert (deal_by_hash(numbers, 2, rows=9000, seed=0).sum(1) == 1).all()


def test_moments_of_nothing_and_of_one_number() -> None:
    assert (Moments() + Moments()).deviation == 0
    assert (Moments.of(np.array([3.0])) + Moments()).mean == pytest.approx(3, rel=CLOSED_FORM)
