"""What makes figures too good: columns that give the target away, and equal rows."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from selfnorm.tabular._settings import Task
from selfnorm.tabular._source import Source
from selfnorm.tabular._suspicions import equal_rows, heavy_tail, leaks, lost_classes, rare_classes
from selfnorm.training import Rows

ROWS = 200
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=ROWS)
CLASSES = RNG.choice(["a", "b", "c"], ROWS)
CODES = np.array([{"a": 3, "b": 1, "c": 2}[one] for one in CLASSES])
NUMBERS = RNG.normal(size=ROWS)


def told(column: object, target: np.ndarray, task: Task) -> str | None:
    table = pa.table({"it": column, "noise": NOISE})
    return leaks(Source(table, target, "y", task, 0))


LEAKS = {
    "the class itself": (CLASSES.tolist(), CLASSES, "classification"),
    "codes of classes": (
        [{"a": 3, "b": 1, "c": 2}[one] for one in CLASSES],
        CLASSES,
        "classification",
    ),
    "numbers apart": (
        np.searchsorted(["a", "b", "c"], CLASSES) + NOISE / 100,
        CLASSES,
        "classification",
    ),
    "blanks": ([None if one == "a" else "x" for one in CLASSES], CLASSES == "a", "classification"),
    "another unit": (3 * NUMBERS + 1, NUMBERS, "regression"),
    "a logarithm": (-np.exp(NUMBERS), NUMBERS, "regression"),
    "a group": (np.round(NUMBERS).astype(int).tolist(), np.round(NUMBERS) ** 3, "regression"),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_a_column_that_tells_the_target_alone_looks_like_a_leak(kind: str) -> None:
    column, target, task = LEAKS[kind]
    note = told(column, target, task)
    assert note is not None
    assert note.startswith("'it' tells 'y' without the other columns, which looks like a leak")
    table = pa.table({"it": column, "noise": NOISE})
    assert leaks(Source(table, target, "y", task, 0), frozenset(["it"])) is None


NO_LEAKS = {
    "one wrong of a hundred": (
        [code % 3 + 1 if row % 100 == 0 else code for row, code in enumerate(CODES)],
        CLASSES,
        "classification",
    ),
    "near": (NUMBERS + NOISE / 20, NUMBERS, "regression"),
    "a name each": ([f"{row}" for row in range(ROWS)], CLASSES, "classification"),
    "one value": (["x"] * ROWS, CLASSES, "classification"),
    "a class in a few rows": (np.arange(ROWS), np.arange(ROWS) < 3, "classification"),
}


@pytest.mark.parametrize("kind", NO_LEAKS)
def test_what_is_no_leak(kind: str) -> None:
    assert told(*NO_LEAKS[kind]) is None


def test_few_rows_are_not_judged() -> None:
    table = pa.table({"it": CLASSES[:40].tolist()})
    assert leaks(Source(table, CLASSES[:40], "y", "classification", 0)) is None


def test_a_column_of_few_values_that_tells_nothing_is_no_leak() -> None:
    target = RNG.integers(0, 2, 20_000)
    column = RNG.integers(0, 2, 20_000)
    assert leaks(Source(pa.table({"it": column}), target, "y", "classification", 0)) is None


def test_a_heavy_tail_is_told() -> None:
    def of(values: np.ndarray) -> str | None:
        return heavy_tail(Source(pa.table({"it": NOISE}), values, "y", "regression", 0))

    assert of(NUMBERS) is None
    assert of(np.zeros(ROWS)) is None
    found = of(np.r_[NUMBERS[1:], 1e9])
    assert found is not None
    assert "2 of 200 rows make 100% of its variance" in found
    assert "logarithm" not in found
    assert "learn its logarithm" in (of(np.exp(4 * NUMBERS)) or "")


def test_a_row_in_a_thousand_may_differ() -> None:
    target = RNG.integers(0, 2, 5000)
    column = target.copy()
    column[[7, 99]] ^= 1
    found = leaks(Source(pa.table({"it": column}), target, "y", "classification", 0))
    assert found is not None


def test_equal_rows_are_counted_with_their_target() -> None:
    inputs = torch.from_numpy(RNG.normal(size=(100, 3))).float()
    inputs[50:60] = inputs[:10]
    targets = torch.zeros(100, dtype=torch.int64)
    assert equal_rows(Rows(inputs, targets)) == 0.2
    targets[55:60] = 1
    assert equal_rows(Rows(inputs, targets)) == 0.1


def test_a_class_of_one_row_is_told() -> None:
    def of(classes: list[str]) -> str | None:
        table = pa.table({"it": np.arange(len(classes))})
        return rare_classes(Source(table, np.array(classes), "y", "classification", 0))

    assert of(["a", "a", "b", "b"]) is None
    found = of(["a", "a", "b"])
    assert found is not None
    assert found.startswith("The class 'b' has one row in 'y'")
    found = of(["a", "b", "c"])
    assert found is not None
    assert found.startswith("The classes 'a', 'b', 'c' have one row each in 'y'")


def test_classes_that_held_out_rows_alone_have_are_told() -> None:
    values = np.array(["a", "b", "c", "a", "b"])
    source = Source(pa.table({"x": np.arange(5.0)}), values, "y", "classification", 0)
    assert lost_classes(source, ["a", "b", "c"]) is None
    found = lost_classes(source, ["a", "b"])
    assert found is not None
    assert found.startswith("The class 'c' is in held-out rows of 'y' alone, so the model does not")
    found = lost_classes(source, ["a"])
    assert found is not None
    assert found.startswith("The classes 'b', 'c' are in held-out rows")
