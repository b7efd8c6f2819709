"""Rows made by what an encoder knows of its columns, to compare two ways to predict on."""

from typing import cast

import numpy as np
import pyarrow as pa

from selfnorm.tabular.encoding._category import OTHER, CategoryColumn
from selfnorm.tabular.encoding._columns import Single
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._number import NumberColumn
from selfnorm.tabular.encoding._presence import PresenceColumn
from selfnorm.tabular.encoding._records import MISSING

_ROWS = 1000
_ABSENT = 0.1  # a share of cells
_DAY = 86_400_000_000  # microseconds


def made_rows(encoder: Encoder, rows: int = _ROWS, seed: int = 0) -> pa.Table:
    """Rows from the whole range of each column and beyond, with holes and unknown levels."""
    rng = np.random.default_rng(seed)
    columns = cast("tuple[Single, ...]", encoder.columns)
    return pa.table({column.name: _cells(column, rows, rng) for column in columns})


def _cells(
    column: NumberColumn | CategoryColumn | PresenceColumn, rows: int, rng: np.random.Generator
) -> pa.Array:
    absent = rng.random(rows) < _ABSENT
    if isinstance(column, CategoryColumn):
        known = [level for level in column.levels if level not in (OTHER, MISSING)]
        values = rng.choice(np.array([*known, "none of these"], dtype=object), rows)
        return pa.array(values.tolist(), pa.string(), mask=absent)
    holds = column.holds
    if holds == "booleans":
        return pa.array(rng.random(rows) < 0.5, mask=absent)
    values = _numbers(column, rows, rng)
    if holds == "numbers":
        return pa.array(values, mask=absent)
    if holds == "times of day":
        ticks = (np.abs(values) % 1 * _DAY).astype(np.int64)
        return pa.array(ticks, pa.time64("us"), mask=absent)
    kind = pa.timestamp("us") if holds == "dates" else pa.duration("us")
    return pa.array((values * _DAY).astype(np.int64), kind, mask=absent)


def _numbers(
    column: NumberColumn | PresenceColumn, rows: int, rng: np.random.Generator
) -> np.ndarray:
    if isinstance(column, PresenceColumn):
        return rng.standard_normal(rows)
    low, high = column.ends or (
        column.mean - 3 * column.deviation,
        column.mean + 3 * column.deviation,
    )
    place = np.clip(rng.normal(0.5, 0.4, rows), -0.5, 1.5)
    return low * (1 - place) + high * place
