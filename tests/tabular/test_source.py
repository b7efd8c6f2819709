"""Tables with a target: what is read to learn from, and to measure on."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfnorm.errors import TableError
from selfnorm.tabular._source import read_for, read_source
from selfnorm.tabular._truths import read_truth
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._target import ClassTarget, NumberTarget, Target
from selfnorm.tabular.encoding._targets import fit_target

ENCODER = Encoder.fit(pa.table({"a": np.arange(60.0) ** 2}))


def csv(folder: Path, *labels: object) -> Path:
    path = folder / "t.csv"
    rows = "".join(f"{row * row},{label}\n" for row, label in enumerate(labels))
    path.write_text(f"a, y \n{rows}")
    return path


def parquet(folder: Path, values: object) -> Path:
    table = pa.table({"y": values})
    pq.write_table(table.append_column("a", pa.array(np.arange(table.num_rows))), folder / "t.pq")
    return folder / "t.pq"


def test_a_target_that_is_a_category_keeps_its_text(tmp_path: Path) -> None:
    path = csv(tmp_path, *["007", "7", "08"] * 4)
    assert set(read_source(path, "y").values.tolist()) == {"007", "7", "08"}
    assert set(read_source(path, "y", task="regression").values.tolist()) == {7, 8}
    source = read_source(path, "y", categories=["y"])
    assert source.task == "classification"
    assert set(source.values.tolist()) == {"007", "7", "08"}
    target = fit_target("y", source.values, source.task)
    assert read_for(path, target, ENCODER)["y"].to_pylist()[:3] == ["007", "7", "08"]
    numbered = read_source(parquet(tmp_path, [7, 8] * 9), "y", categories=["y"])
    assert set(numbered.values.tolist()) == {"7", "8"}
    target = fit_target("y", numbered.values, numbered.task)
    assert read_truth(tmp_path / "t.pq", target, ENCODER).values[0] == "7"


def test_rows_whose_target_is_blank_or_nan_are_left_out(tmp_path: Path) -> None:
    labels = ["x", "x", "z", "z", "  ", None]
    for path in (csv(tmp_path, *labels), parquet(tmp_path, labels)):
        source = read_source(path, "y")
        assert (source.dropped, set(source.values)) == (2, {"x", "z"})
    amounts = read_source(parquet(tmp_path, [1.5, 2.5, float("nan")]), "y")
    assert (amounts.dropped, amounts.values.tolist()) == (1, [1.5, 2.5])


def test_a_column_says_how_much_rows_count_and_is_not_learned_from(tmp_path: Path) -> None:
    table = pa.table(
        {
            "a": [1.0, 2, 3, 4, 5],
            "count": [2, 0, 1, 3, 0],
            "y": pa.array([0.5, None, None, 1.5, 2.5]),
        }
    )
    source = read_source(table, "y", sample_weight="count")
    assert source.table.column_names == ["a"]
    assert source.values.tolist() == [0.5, 1.5]
    assert source.weights is not None
    assert source.weights.tolist() == [2, 3]
    assert (source.weightless, source.dropped) == (2, 1)
    same = table.set_column(1, "count", [[7] * 5])
    assert read_source(same, "y", sample_weight="count").weights is None
    for count, words in (
        ([1, 2, None, 1, 1], r"'count' must be finite and 0 or more; row 3 has nan"),
        ([-1, 2, 1, 1, 1], r"row 1 has -1"),
        ([0] * 5, r"above zero in some rows; all 5 are zero"),
        (list("abcde"), r"'count' must hold numbers; 5 cells do not: row 1 holds 'a', row 2"),
        ([date(2024, 1, 1)] * 5, r"'count' must hold numbers"),
    ):
        wrong = table.set_column(1, "count", pa.array(count))
        with pytest.raises(ValueError, match=words):
            read_source(wrong, "y", sample_weight="count")
    for name in ("counts", "y"):
        with pytest.raises(TableError, match=f"there is no '{name}'"):
            read_source(table, "y", sample_weight=name)


@pytest.mark.parametrize(
    ("target", "value"),
    [(ClassTarget("y", ("a", "b"), (0.5, 0.5)), "a"), (NumberTarget("y", 0.0, 1.0), 2.5)],
)
def test_one_row_is_enough_to_measure_on(target: Target, value: object, tmp_path: Path) -> None:
    assert read_truth(csv(tmp_path, value), target, ENCODER).values.tolist() == [value]
    with pytest.raises(TableError, match=r"Measuring needs .* missing in the only row"):
        read_truth(csv(tmp_path, ""), target, ENCODER)
    with pytest.raises(TableError, match=r"Learning needs 2 rows or more .* there is 1"):
        read_source(csv(tmp_path, value), "y")


LABELS = {"text": ("a", "b"), "booleans": (False, True), "numbers": (0, 1)}


@pytest.mark.parametrize("model", LABELS)
@pytest.mark.parametrize("table", LABELS)
def test_labels_are_of_the_models_kind(model: str, table: str, tmp_path: Path) -> None:
    target = ClassTarget("y", LABELS[model], (0.5, 0.5))
    path = parquet(tmp_path, list(LABELS[table]))
    if model == table:
        assert read_truth(path, target, ENCODER).values.tolist() == list(LABELS[table])
    else:
        with pytest.raises(TableError, match=r"must hold classes that the model knows"):
            read_truth(path, target, ENCODER)


def test_a_number_target_too_large_to_be_squared_is_told(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"'y' goes up to 1e\+200"):
        read_truth(csv(tmp_path, 1e200), NumberTarget("y", 0.0, 1.0), ENCODER)
