"""Copies of rows are known from rows that few columns of few values make equal."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_iris

from selfnorm.tabular._fit import prepare
from selfnorm.tabular._source import Source
from selfnorm.tabular.encoding._copies import copies
from support.tables import settings

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(60, 3))
LEVELS = RNG.integers(0, 3, (500, 4))


def table(values: np.ndarray, **more: object) -> pa.Table:
    return pa.table({f"x{at}": column for at, column in enumerate(values.T)} | more)


def groups(labels: np.ndarray | None) -> set[tuple[int, ...]]:
    assert labels is not None
    return {tuple(np.flatnonzero(labels == label)) for label in np.unique(labels)}


def test_copies_have_one_number() -> None:
    rows = np.concatenate([NUMBERS, NUMBERS[:20], NUMBERS[:1]])
    expected = {(at, 60 + at) for at in range(1, 20)} | {(0, 60, 80)}
    assert groups(copies(table(rows))) == expected | {(at,) for at in range(20, 60)}


def test_holes_and_text_are_compared_too() -> None:
    numbers = [None if at % 7 == 0 else float(value) for at, value in enumerate(NUMBERS[:, 0])]
    kinds = pa.array(["a", None, "b"] * 20).dictionary_encode()
    rows = pa.table({"x": pa.array(numbers), "kind": kinds})
    assert copies(rows) is None or len(groups(copies(rows))) > 50
    twice = pa.concat_tables([rows, rows])
    assert all(len(group) % 2 == 0 for group in groups(copies(twice)))


@pytest.mark.parametrize(
    "rows",
    [
        table(NUMBERS),
        table(LEVELS),
        table(load_iris().data),
        table(LEVELS[:, :1]),
        table(LEVELS / 7),
    ],
)
def test_rows_that_chance_makes_equal_are_no_copies(rows: pa.Table) -> None:
    assert copies(rows) is None


@pytest.mark.parametrize(
    "name", [np.arange(120), [f"row {at}" for at in range(120)]], ids=["number", "text"]
)
def test_what_names_a_row_does_not_tell_copies_apart(name: object) -> None:
    twice = np.concatenate([NUMBERS, NUMBERS])
    assert len(groups(copies(table(twice, id=name)))) == 60
    other = table(twice, other=RNG.normal(size=120))
    assert copies(other) is None
    assert len(groups(copies(other, ["other"]))) == 60


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_copies_stay_on_one_side_of_each_split(task: str) -> None:
    rows = np.concatenate([NUMBERS, NUMBERS, NUMBERS[:30]])
    target = rows[:, 0] if task == "regression" else np.where(rows[:, 0] > 0, "yes", "no")
    source = Source(table(rows), target, "y", task, 0)  # pyright: ignore[reportArgumentType]
    ready = prepare(source, settings(test=0.3, n_estimators=8, validation=0.25))
    assert ready.left_out is not None
    assert ready.together is not None
    learned = ready.training.inputs[:, 0].numpy()
    assert len(learned) + len(ready.test.values) == len(rows)
    for value in np.unique(learned):
        assert len(ready.left_out[learned == value].unique(dim=0)) == 1
    shown = ready.encoder.transform(ready.test.table)[:, 0]
    assert not np.isin(np.unique(shown), learned).any()
    sizes = ready.left_out.sum(0)
    assert sizes.max() - sizes.min() <= 12  # of two parts and two classes, three rows each
    one = prepare(source, settings(test=0.3, n_estimators=1, validation=0.25))
    assert one.validation is not None
    assert not np.isin(one.validation.inputs[:, 0], one.training.inputs[:, 0]).any()
