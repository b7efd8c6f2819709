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


def groups_of(rows: int, groups: int, seed: int = 0) -> np.ndarray:
    """Labels of groups of uneven size, in no order."""
    return np.random.default_rng(seed).geometric(1.5 / groups, rows) % groups


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_rows_that_stay_together_are_left_out_by_the_same_members(task) -> None:
    values = np.random.default_rng(1).integers(0, 3, 600)
    labels = groups_of(600, 60)
    left_out = deal(values, 8, task=task, seed=0, together=labels)
    for label in np.unique(labels):
        assert len(np.unique(left_out[labels == label], axis=0)) == 1
    assert set(left_out.sum(1)) == {2}
    assert left_out.sum(0).max() < 1.25 * left_out.sum(0).min()
    again = deal(values, 8, task=task, seed=0, together=labels)
    np.testing.assert_array_equal(left_out, again)


def test_rows_that_stand_for_themselves_are_dealt_evenly() -> None:
    values = np.repeat(["a", "b", "c"], [500, 90, 10])
    labels = np.arange(600).astype(str)
    labels[:40] = np.repeat(labels[:20], 2)
    left_out = deal(values, 8, task="classification", seed=0, together=labels)
    part = left_out & np.roll(left_out, -1, axis=1)  # of its own: the next one's is left out, too
    assert set(part.sum(1)) == {1}
    for one in ("a", "b", "c"):
        counts = part[values == one].sum(0)
        assert counts.max() - counts.min() <= 1 + (one == "a")
    sizes = part.sum(0)
    assert sizes.max() - sizes.min() <= 2


@pytest.mark.parametrize("share", [0.01, 0.15, 0.5, 0.9])
def test_groups_are_held_out_whole(share: float) -> None:
    values = np.random.default_rng(2).integers(0, 2, 400)
    labels = groups_of(400, 50)
    kept, held = hold_out(values, share, task="classification", seed=0, together=labels)
    assert sorted([*kept, *held]) == list(range(400))
    assert not set(labels[kept]) & set(labels[held])
    assert abs(len(held) / 400 - share) < 0.04
    assert abs(values[kept].mean() - values[held].mean()) < 0.1 or len(held) < 40


def test_a_class_in_one_group_is_kept_and_few_groups_leave_some() -> None:
    values, labels = np.repeat([0, 1, 2], 10), np.arange(30) % 10
    labels[20:] = 3
    for seed in range(5):
        kept, held = hold_out(values, 0.9, task="classification", seed=seed, together=labels)
        assert 2 in values[kept]
        assert len(held)
    kept, held = hold_out(np.arange(9.0), 0.01, task="regression", seed=0, together=labels[:9] // 5)
    assert (len(kept), len(held)) == (5, 4)


def test_all_rows_of_one_group_cannot_be_left_out() -> None:
    for split in (
        lambda **how: deal(np.zeros(9), 8, **how),
        lambda **h: hold_out(np.zeros(9), 0.5, **h),
    ):
        with pytest.raises(ArgumentError, match="two groups or more"):
            split(task="regression", seed=0, together=np.zeros(9))


def test_the_latest_rows_are_held_out_and_one_time_is_on_one_side() -> None:
    times = np.random.default_rng(0).permutation(np.repeat(np.arange(50), 4))
    kept, held = latest(times, 0.15)
    assert times[kept].max() < times[held].min()
    assert len(held) in (28, 32)
    assert len(latest(np.zeros(9), 0.5)[1]) == len(latest(times, 0)[1]) == 0
    labels = stretches(times, 8)
    assert set(np.bincount(labels)) <= {24, 28}
    assert (np.diff(labels[np.argsort(times, kind="stable")]) >= 0).all()
