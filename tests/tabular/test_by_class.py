"""Recall, precision and confusions, by hand."""

import numpy as np

from selfnorm.tabular._by_class import ByClass


def test_classes_are_counted_and_unknown_ones_are_never_found() -> None:
    truth = np.array(["a", "a", "b", "z", "b", "a"])
    told = np.array(["a", "b", "b", "b", "b", "a"])
    found = ByClass.of(("a", "b", "c"), truth, told)
    assert found.classes == ("a", "b", "c", "z")
    assert found.known == 3
    np.testing.assert_array_equal(found.rows, [3, 2, 0, 1])
    np.testing.assert_array_equal(found.recall, [2 / 3, 1, np.nan, 0])
    np.testing.assert_array_equal(found.precision, [1, 0.5, np.nan, np.nan])
    assert found.confusions == [("a", "b", 1), ("z", "b", 1)]
