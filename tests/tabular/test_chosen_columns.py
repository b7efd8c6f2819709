"""Columns are chosen by name, number or mask."""

from typing import Any

import numpy as np
import pytest

from selfnorm.errors import ArgumentError
from selfnorm.tabular._chosen_columns import chosen_columns

NAMES = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (None, ()),
        ("from_dtype", ()),
        (["b"], ("b",)),
        ([0, -1], ("a", "c")),
        (np.array([1]), ("b",)),
        ([True, False, True], ("a", "c")),
        (np.array([False, True, False]), ("b",)),
        ([], ()),
        ("ab", "ab"),  # is told as no list of names
        (3, 3),
    ],
)
def test_names_of_what_is_chosen(chosen: Any, found: Any) -> None:
    assert chosen_columns("categories", chosen, NAMES) == found


@pytest.mark.parametrize(
    ("chosen", "words"),
    [([3], "from 0 to 2; 3 came"), ([True], "a boolean for each column; 1 came for 3")],
)
def test_what_chooses_no_column_is_told(chosen: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        chosen_columns("ignore", chosen, NAMES)
