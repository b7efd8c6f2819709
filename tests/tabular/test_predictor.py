"""Predictions without torch: the same numbers, read and written a block at a time."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch

from selfnorm.errors import TableError
from selfnorm.tabular import TabularModel, load_model, save_model
from selfnorm.tabular._forward import Networks
from selfnorm.tabular._output import write_predictions
from selfnorm.tabular._predictor import Predictions
from selfnorm.tabular.data import _binary, _csv
from selfnorm.tabular.data._table import read_blocks, read_table
from selfnorm.tabular.encoding._target import Prediction
from support.tables import fitted, settings, small_source, small_table
from support.tolerances import IN_FLOAT32, MEAN_OF_EXACT, WITHOUT_TORCH

SHAPES = {
    "one": {},
    "one, deep and orthogonal": {"weights": "orthogonal", "depth": 20, "width": 8},
    "conic": {"shape": "conic", "n_estimators": 2, "infinite": False},
    "with infinite width": {"n_estimators": 2},
}
BLOCK = 50


@pytest.fixture(scope="module", params=[*SHAPES, "numbers"])
def model(request: pytest.FixtureRequest) -> TabularModel:
    if request.param == "numbers":
        return fitted(small_source("regression"), settings(n_estimators=3)).model
    return fitted(small_source("classification"), settings(**SHAPES[request.param])).model


def numbers_of(found: object) -> np.ndarray:
    """Probabilities, where there are some, or the values."""
    return found.values if found.probabilities is None else found.probabilities


def test_arrays_say_what_torch_says(model: TabularModel) -> None:
    table = small_source(model.target.task).table
    found = model.target.decode(Networks(model.saved)(model.encoder.transform(table)))
    expected = model.predict(table)
    np.testing.assert_array_equal(
        found.values if found.probabilities is not None else 0,
        expected.values if found.probabilities is not None else 0,
    )
    far = np.abs(numbers_of(found) - numbers_of(expected)).max()
    assert far < WITHOUT_TORCH * np.abs(numbers_of(expected)).max()


def test_infinite_width_and_forms_are_among_them() -> None:
    wide = fitted(small_source("classification"), settings(n_estimators=2)).model
    assert len(wide.saved.wide) > 0
    deep = fitted(small_source("regression"), settings(weights="orthogonal", depth=20)).model
    assert Networks(deep.saved).finite[0].form.linear > 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "m"
    result = fitted(small_source("classification"), settings(n_estimators=2, infinite=False))
    save_model(result.model, path)
    return path


def test_a_prediction_imports_neither_torch_nor_pandas(folder: Path, tmp_path: Path) -> None:
    table = small_table()
    pa.csv.write_csv(table.slice(0, 1), tmp_path / "one.csv")
    code = (
        "import sys\n"
        "from selfnorm.cli import main\n"
        f"sys.argv = ['selfnorm', 'predict', {str(folder)!r}, {str(tmp_path / 'one.csv')!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'scipy', 'pandas', 'sklearn', 'numba', 'matplotlib'}\n"
        "sys.exit(str([name for name in heavy if sys.modules.get(name)] or ''))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "", done.stderr
    assert done.stdout.splitlines()[0].startswith('"label"')


def written(folder: Path, table: pa.Table, where: Path) -> dict[str, Path]:
    """A table in files of every kind."""
    files = {name: where / f"t.{name}" for name in ("csv", "parquet", "feather")}
    pa.csv.write_csv(table, files["csv"])
    pq.write_table(table, files["parquet"], row_group_size=40)
    pa.feather.write_feather(table, files["feather"])
    return files


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_blocks_are_told_as_the_whole_is(
    kind: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = small_table(300, seed=1)
    path = written(folder, table, tmp_path)[kind]
    (whole,) = Predictions(folder, path)
    monkeypatch.setattr(_binary, "_ROWS", BLOCK)
    monkeypatch.setattr(_csv, "_BLOCK", 2000)
    parts = Predictions(folder, path)
    found = pa.concat_tables(list(parts))
    assert parts.rows == 300
    assert found["label"] == whole["label"]
    np.testing.assert_allclose(found["probability_big"], whole["probability_big"], rtol=1e-5)
    rows = write_predictions(Predictions(folder, path), tmp_path / "out.parquet")
    assert rows == pq.read_table(tmp_path / "out.parquet").num_rows == 300


def test_cells_may_hold_line_ends_where_a_text_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_csv, "_BLOCK", 64)
    lines = [f'{at},"a\n""{at}"", b\n"' for at in range(100)]
    path = tmp_path / "t.csv"
    path.write_text('number,"te\nxt"\n' + "\n".join(lines) + "\n")
    blocks = list(read_blocks(path))
    assert len(blocks) > 10
    found = pa.concat_tables(blocks)
    assert found.to_pydict() == read_table(path).to_pydict()


def test_notes_count_all_blocks(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = small_table(200, seed=1)
    strange = pa.array(["Atlantis" if at % 2 else "Rome" for at in range(200)])
    at = table.column_names.index("city")
    table = table.set_column(at, "city", strange)
    path = written(folder, table, tmp_path)["parquet"]
    monkeypatch.setattr(_binary, "_ROWS", BLOCK)
    predictions = Predictions(folder, path)
    list(predictions)
    (note,) = predictions.notes
    assert "'Atlantis', in 100 of 200 rows" in note


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_is_measured_in_blocks_as_the_whole_is(
    kind: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = small_table(300, seed=1)
    at = table.column_names.index("label")
    cells = [None] * BLOCK + table["label"].to_pylist()[BLOCK:-BLOCK] + ["vast"] * BLOCK
    model, path = (
        load_model(folder),
        written(folder, table.set_column(at, "label", [cells]), tmp_path),
    )
    whole = model.evaluate(path[kind])
    assert whole.rows == 250
    asked: list[int] = []
    predicted = TabularModel._predicted

    def counted(model: TabularModel, block: pa.Table, network: torch.nn.Module) -> Prediction:
        asked.append(block.num_rows)
        return predicted(model, block, network)

    monkeypatch.setattr(TabularModel, "_predicted", counted)
    monkeypatch.setattr(_binary, "_ROWS", BLOCK)
    monkeypatch.setattr(_csv, "_BLOCK", 2000)
    found = model.evaluate(path[kind])
    assert sum(asked) == 250
    assert max(asked) < 100
    assert found.notes == whole.notes
    assert "50 of 250 rows are of classes that the model does not know ('vast')" in found.notes[-1]
    assert found.metrics == pytest.approx(whole.metrics, rel=IN_FLOAT32)
    assert found.baseline == pytest.approx(whole.baseline, rel=MEAN_OF_EXACT)
    np.testing.assert_array_equal(found.by_class.counts, whole.by_class.counts)
    unknown = table.set_column(at, "label", [["vast"] * 300])
    with pytest.raises(TableError, match="it holds 'vast' and no known one"):
        model.evaluate(written(folder, unknown, tmp_path)[kind])
    nothing = table.set_column(at, "label", pa.array([None] * 300, pa.string()))
    with pytest.raises(TableError, match="'label' is known in 0 of 300 rows"):
        model.evaluate(written(folder, nothing, tmp_path)[kind])


def test_an_error_says_where_in_the_table(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{at},Rome,2024-01-01" for at in range(200)]
    lines[150] = "abc,Rome,2024-01-01"
    path = tmp_path / "t.csv"
    path.write_text("size,city,day\n" + "\n".join(lines) + "\n")
    monkeypatch.setattr(_csv, "_BLOCK", 1000)
    with pytest.raises(TableError, match=r"In the rows from 1\d\d on, of which that is the first:"):
        write_predictions(Predictions(folder, path), tmp_path / "out.csv")
    assert not list(tmp_path.glob("*out*"))
