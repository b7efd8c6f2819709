"""Data frames and arrays in memory, as Arrow has them; what it cannot hold of a frame is named."""

from numbers import Number
from typing import Any

import numpy as np
import pyarrow as pa

from selfnorm.errors import TableError
from selfnorm.tabular.data._cells import not_utf8
from selfnorm.tabular.data._provenance import Provenance, with_provenance

_ODD = ("interval", "period")  # types that only pandas has


def as_array(data: Any) -> np.ndarray:
    """What NumPy makes of it.

    Raises:
        TableError: rows are of different length.
    """
    try:
        return np.asarray(data)
    except ValueError as error:
        raise TableError(
            f"Every row needs a cell for each column; the rows are of different length ({error}). "
            "Fill them up."
        ) from error


def of_pandas(data: Any) -> pa.Table:
    """A data frame's columns as Arrow has them; those that it cannot hold are left out.

    Numbers and text in one column are text whose type nobody chose. Periods are dates, and
    intervals are categories.
    """
    names = [str(name) for name in data.columns]
    data = _without_odd_types(data)
    try:
        return pa.Table.from_pandas(data.set_axis(names, axis=1), preserve_index=False)
    except UnicodeError:
        for name, values in data.items():
            _encoded(str(name), values)
        raise
    except (pa.ArrowException, TypeError):
        columns = [_of_series(data.iloc[:, at]) for at in range(len(names))]
    guessed = tuple(n for n, (_, kind) in zip(names, columns, strict=True) if kind == "mixed")
    lost = {n: kind for n, (kept, kind) in zip(names, columns, strict=True) if kept is None}
    kept = {n: column for n, (column, _) in zip(names, columns, strict=True) if column is not None}
    table = pa.table(list(kept.values()), names=list(kept))
    return with_provenance(table, Provenance(guessed=guessed, left_out=lost))


def _without_odd_types(data: Any) -> Any:
    """The frame, with types of pandas' own as those that Arrow has, too."""
    kinds = [str(getattr(kind, "categories", np.empty(0)).dtype) for kind in data.dtypes]
    odd = [
        at
        for at, (kind, levels) in enumerate(zip(map(str, data.dtypes), kinds, strict=True))
        if kind.startswith(_ODD) or levels.startswith(_ODD)
    ]
    if odd:
        data = data.copy(deep=False)
    for at in odd:
        series = data.iloc[:, at]
        if str(series.dtype).startswith("period"):
            data.isetitem(at, series.dt.to_timestamp())
        else:
            data.isetitem(at, series.astype("category").cat.rename_categories(str))
    return data


def _of_series(series: Any) -> tuple[pa.Array | None, str]:
    """A column, and how it was come by; or None, and why there is none."""
    try:
        return pa.Array.from_pandas(series), "typed"
    except (pa.ArrowException, TypeError):
        found = {type(value) for value in series[series.notna()]}
    if all(issubclass(one, str | Number) for one in found):
        cells = series.map(str, na_action="ignore")
        return pa.Array.from_pandas(cells, type=pa.string()), "mixed"
    return None, f"its values are of type {', '.join(sorted(one.__name__ for one in found))}"


def array_column(name: str, values: np.ndarray) -> pa.Array:
    """A column of an array: numbers or text.

    Raises:
        TableError: it holds something else.
    """
    if values.dtype == object and not any(isinstance(value, str) for value in values):
        try:
            values = values.astype(float)
        except (TypeError, ValueError) as error:
            raise TableError(
                f"Columns of an array hold numbers or text; one holds something else ({error}). "
                "Convert it, or leave it out."
            ) from error
    return _encoded(name, np.ascontiguousarray(values))  # Arrow takes 2.4 times as long else


def _encoded(name: str, values: Any) -> pa.Array:
    try:
        name.encode()
        return pa.array(values, from_pandas=True)
    except UnicodeError as error:
        raise not_utf8(name) from error
