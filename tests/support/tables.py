"""Small tables with every kind of column, and models that train on them in a moment."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from selfnorm.tabular import Result, Settings
from selfnorm.tabular._fit import fit_prepared, prepare
from selfnorm.tabular._source import Source

ROWS = 120


def small_table(rows: int = ROWS, seed: int = 0) -> pa.Table:
    """Numbers, text, dates and holes; `label` and `amount` follow from the other columns."""
    rng = np.random.default_rng(seed)
    size = rng.normal(20, 5, rows)
    city = rng.choice(["Oslo", "Rome", "Lima"], rows)
    amount = size + 10 * (city == "Rome") + rng.normal(0, 0.5, rows)
    return pa.table(
        {
            "size": pa.array(np.where(rng.random(rows) < 0.1, np.nan, size), from_pandas=True),
            "city": city.tolist(),
            "day": np.datetime64("2024-02-01") + rng.integers(0, 99, rows),
            "label": np.where(amount > 23, "big", "small").tolist(),
            "amount": amount,
        }
    )


def small_parts(folder: Path, rows: int, groups: int, *, strange: bool = False) -> Path:
    """A folder in which the small table is in three files of row groups of so many rows.

    The last may be strange to who knows the others: it has another city.
    """
    (parts := folder / "parts").mkdir()
    for number, part in enumerate(np.array_split(np.arange(rows), 3)):
        table = small_table(rows).take(part)
        if strange and number == 2:
            table = table.set_column(1, "city", pa.array(["Bonn"] * len(part)))
        pq.write_table(table, parts / f"{number}.parquet", row_group_size=groups)
    return parts


def small_source(task: str) -> Source:
    """The small table, to learn `label` (classification) or `amount` (regression)."""
    table = small_table()
    name = "label" if task == "classification" else "amount"
    values = np.asarray(table[name].to_pylist())
    return Source(table.drop_columns(["label", "amount"]), values, name, task, 0)


def settings(**changes: object) -> Settings:
    """A network that trains in a moment."""
    quick = Settings(
        n_estimators=1,
        width=16,
        depth=3,
        dropout=0.05,
        weights="lecun",
        epochs=3,
        batch_size=16,
        learning_rate=1e-2,
        weight_decay=0,
        patience=3,
        validation=0.2,
        test=0.0,
        device="cpu",
    )
    return replace(quick, **changes)


def fitted(source: Source, how: Settings | None = None, validation: Source | None = None) -> Result:
    """A model of the source, and how its training went."""
    how = how or settings()
    return fit_prepared(prepare(source, how, validation), how)
