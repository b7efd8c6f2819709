"""Theorem 1's box is one, exact where it is proved and rounded where it is compared."""

import numpy as np
import pytest

from selfnorm.errors import ArgumentError
from selfnorm.theory import THEOREM_1, theorem_domains

NAMES = ("mean", "variance", "omega", "tau")


def test_it_is_the_box_that_is_proved() -> None:
    (box,) = theorem_domains("1")
    for name in NAMES:
        assert getattr(THEOREM_1, name) == tuple(map(float, getattr(box, name)))
    assert str(box) == ", ".join(f"{name} in {THEOREM_1.interval(name)}" for name in NAMES)
    assert str(box) == (
        "mean in [-0.1, 0.1], variance in [0.8, 1.5], omega in [-0.1, 0.1], tau in [0.95, 1.1]"
    )
    (lemma,) = theorem_domains("12")
    assert (lemma.mean, lemma.variance, lemma.omega) == (box.mean, box.variance, box.omega)


@pytest.mark.parametrize("name", NAMES)
def test_its_ends_belong_to_it(name: str) -> None:
    low, high = getattr(THEOREM_1, name)
    values = [np.nextafter(low, -9), low, (low + high) / 2, high, np.nextafter(high, 9), np.nan]
    expected = [False, True, True, True, False, False]
    assert THEOREM_1.holds(name, np.array(values)).tolist() == expected
    alone = [THEOREM_1.holds(name, float(value)) for value in values]
    assert alone == expected
    assert all(type(answer) is bool for answer in alone)


def test_there_is_no_other_range() -> None:
    with pytest.raises(ArgumentError, match="mean, variance, omega, tau; got 'holds'"):
        THEOREM_1.holds("holds", 1.0)
    with pytest.raises(ArgumentError, match="got 'kurtosis'"):
        THEOREM_1.interval("kurtosis")
