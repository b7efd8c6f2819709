"""Holding out rows."""

import numpy as np
import pytest

from selfnorm.errors import ArgumentError
from selfnorm.tabular.data._split import hold_out


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
