"""Holding out rows."""

import numpy as np
import pytest

from selfnorm.errors import ArgumentError
from selfnorm.tabular.data._split import deal, hold_out, latest, stretches


def test_both_parts_make_up_all_rows_and_the_seed_decides() -> None:
    values = np.linspace(0, 1, 100)
    kept, held = hold_out(values, 0.2, task="regression", seed=1)
    assert sorted([*kept, *held]) == list(range(100))
    assert len(held) == 20
    again = hold_out(values, 0.2, task="regression", seed=1)[1]
    other = hold_out(values, 0.2, task="regression", seed=2)[1]
    np.testing.assert_array_equal(held, again)
    assert not np.array_equal(held, other)


def test_classes_keep_their_shares() -> None:
    values = np.array(["a"] * 90 + ["b"] * 10)
    _, held = hold_out(values, 0.2, task="classification", seed=0)
    assert (values[held] == "b").sum() == 2


def test_each_of_many_classes_keeps_a_row() -> None:
    values = np.arange(3000) % 1000
    for seed in range(5):
        kept, held = hold_out(values, 0.15, task="classification", seed=seed)
        assert len(held) == 450
        assert len(kept) + len(held) == 3000
        assert len(np.unique(values[kept])) == 1000
    kept, held = hold_out(np.arange(200) % 100, 0.9, task="classification", seed=0)
    assert len(np.unique(kept % 100)) == len(held) == 100


def test_a_class_of_one_row_is_kept() -> None:
    values = np.array(["a"] * 20 + ["b"] * 20 + ["rare"])
    for seed in range(20):
        kept, held = hold_out(values, 0.5, task="classification", seed=seed)
        assert "rare" in values[kept]
        assert len(held) > 0


@pytest.mark.parametrize("values", [[0], [0, 1], [0, 0, 1], list(range(10)), [0, 0, 1, 1, 2, 2]])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_few_rows_always_leave_some_to_train(values: list, share: float) -> None:
    kept, held = hold_out(np.array(values), share, task="classification", seed=0)
    assert len(kept) > 0
    assert sorted([*kept, *held]) == list(range(len(values)))
    kept, held = hold_out(np.array(values, float), share, task="regression", seed=0)
    assert len(kept) > 0


@pytest.mark.parametrize("share", [-0.1, 1, np.nan])
def test_a_share_outside_0_to_1_is_told(share: float) -> None:
    with pytest.raises(ArgumentError, match=r"at least 0 and under 1"):
        hold_out(np.zeros(10), share, task="regression", seed=0)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_groups_are_held_out_as_one(task: str) -> None:
    groups = np.arange(100) // 4
    values = np.arange(100) % 4 == 0 if task == "classification" else np.arange(100.0)
    kept, held = hold_out(values, 0.2, task=task, seed=0, together=groups)  # pyright: ignore
    assert sorted([*kept, *held]) == list(range(100))
    assert len(held) == 20
    assert not set(groups[kept]) & set(groups[held])


def test_a_group_counts_for_its_rarest_class() -> None:
    groups = np.arange(200) // 10
    values = np.zeros(200, int)
    values[groups < 4] = np.arange(40) % 10 == 9  # one row of each of four groups
    left_out = deal(values, 4, task="classification", seed=0, together=groups)
    own = left_out[values == 1]
    assert own.sum(0).tolist() == [2, 2, 2, 2]  # of its own part and of the next


def test_groups_of_all_sizes_are_dealt_into_parts_of_nearly_the_same() -> None:
    sizes = np.random.default_rng(0).integers(1, 30, 200)
    groups = np.repeat(np.arange(200), sizes)
    left_out = deal(np.arange(len(groups)), 3, task="regression", seed=0, together=groups)
    assert (left_out.sum(1) == 1).all()
    for group in range(200):
        assert len(np.unique(left_out[groups == group], axis=0)) == 1
    assert np.ptp(left_out.sum(0)) <= sizes.max()


def test_the_latest_rows_are_held_out_and_one_time_is_on_one_side() -> None:
    times = np.random.default_rng(0).permutation(np.repeat(np.arange(50), 4))
    kept, held = latest(times, 0.15)
    assert times[kept].max() < times[held].min()
    assert len(held) in (28, 32)
    assert len(latest(np.zeros(9), 0.5)[1]) == len(latest(times, 0)[1]) == 0
    numbers = stretches(times, 8)
    assert set(np.bincount(numbers)) <= {24, 28}
    assert (np.diff(numbers[np.argsort(times, kind="stable")]) >= 0).all()
