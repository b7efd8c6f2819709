"""Columns as scikit-learn's users choose them: by name, by number, or by a mask."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from selfnorm.errors import ArgumentError

FROM_DTYPE = "from_dtype"


def chosen_columns(parameter: str, chosen: Any, names: Sequence[str]) -> Any:
    """The names of the columns that are chosen; what is no choice is returned as it is.

    Args:
        parameter: What chooses them, for messages.
        chosen: Names; numbers from 0, negative ones from the end; or a boolean for each column.
            None, or `from_dtype`, chooses none.
        names: Those of all columns.

    Raises:
        ArgumentError: a number is of no column, or a mask has not as many booleans as columns.
    """
    if chosen is None or (isinstance(chosen, str) and chosen == FROM_DTYPE):
        return ()
    if isinstance(chosen, str | bytes) or not np.iterable(chosen):
        return chosen
    found = list(cast("Sequence[Any]", chosen))
    if found and all(isinstance(one, bool | np.bool_) for one in found):
        if len(found) != len(names):
            raise ArgumentError(
                f"{parameter} as a mask has a boolean for each column; {len(found)} came for "
                f"{len(names)}. Give as many, or names."
            )
        return tuple(name for name, taken in zip(names, found, strict=True) if taken)
    return tuple(_name(parameter, one, names) for one in found)


def _name(parameter: str, one: Any, names: Sequence[str]) -> Any:
    if isinstance(one, bool | np.bool_) or not isinstance(one, int | np.integer):
        return one
    if not -len(names) <= one < len(names):
        raise ArgumentError(
            f"{parameter} must number columns from 0 to {len(names) - 1}; {one} came. Count again, "
            "or give names."
        )
    return names[int(one)]
