"""One call from a table to a result, and a result that saves itself."""

import json
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from selfnorm import _extras, tabular, theory
from selfnorm.errors import ModelFolderError, SelfNormWarning, TableError
from selfnorm.tabular import Settings
from selfnorm.tabular._fit import Prepared
from support.tables import settings, small_table

QUICK = settings(target="label", ignore=("amount",), test=0.2)


def as_pandas(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas()


@pytest.mark.parametrize("kind", [lambda table: table, as_pandas, pl.from_arrow])
def test_a_table_in_memory_is_learned_like_its_file(kind, tmp_path: Path) -> None:
    pa.csv.write_csv(small_table(), tmp_path / "t.csv")
    of_file = tabular.fit(tmp_path / "t.csv", QUICK)
    of_table = tabular.fit(kind(small_table()), QUICK)
    assert (of_file.name, of_table.name) == ("t.csv", "the table")
    assert of_table.metrics == of_file.metrics
    assert of_table.history.best.loss == of_file.history.best.loss
    assert of_table.model.about["columns"] == ["size", "city", "day", "amount"]


def test_a_table_in_memory_needs_the_name_of_its_target() -> None:
    with pytest.raises(TableError, match=r"columns of the table are: size, city, day"):
        tabular.fit(small_table())


def test_what_was_understood_comes_before_training() -> None:
    seen: list[Prepared] = []
    result = tabular.fit(small_table(), QUICK, prepared=seen.append)
    (ready,) = seen
    assert len(ready.training) + len(ready.validation) + len(ready.test.values) == 120
    assert result.evaluation.rows == len(ready.test.values) == 24


@pytest.mark.filterwarnings("ignore:theorem 1's conditions are left")  # by a network so narrow
@pytest.mark.filterwarnings("ignore:.*looks like a leak")  # the amount tells the label
def test_a_result_saves_itself_and_the_model_comes_back(tmp_path: Path) -> None:
    result = tabular.fit(small_table(), settings(target="label", test=0.2, monitor=5))
    files = result.save(str(tmp_path / "m"))
    assert sorted(files) == sorted(path.name for path in (tmp_path / "m").iterdir())
    assert set(files) > {"model.json", "model.safetensors", "training.png", "monitor.csv"}
    with pytest.raises(ModelFolderError, match="holds files"):
        result.save(tmp_path / "m")
    assert result.save(tmp_path / "m", force=True) == files
    model = tabular.load_model(tmp_path / "m")
    about = json.loads((tmp_path / "m/model.json").read_text())["about"]
    assert about == model.about
    assert about["metrics"] == result.metrics
    table = small_table()
    assert model.predict(table).values.tolist() == result.model.predict(table).values.tolist()
    assert model.evaluate(table).metrics["accuracy"] > 0.4
    assert model.predict_table(table).column_names == [
        "label",
        "probability_big",
        "probability_small",
    ]


def test_nothing_is_held_out_where_none_is_asked_for() -> None:
    result = tabular.fit(small_table(), settings(target="amount", test=0.0, validation=0.0))
    assert (result.metrics, result.baseline, result.evaluation.rows) == ({}, {}, 0)


def test_the_defaults_are_declared_once() -> None:
    """The estimators and the command line take theirs from the settings."""
    import inspect

    from selfnorm import SelfNormRegressor
    from selfnorm.cli._fit import fit as command
    from selfnorm.cli._solve import solve

    none = {"categories", "ignore", "missing"}
    for function in (SelfNormRegressor, command):
        for name, parameter in inspect.signature(function).parameters.items():
            if name in Settings.__dataclass_fields__ and name not in none:
                wanted = "auto" if function is SelfNormRegressor and name == "batch_size" else None
                expected = getattr(Settings, name) if wanted is None else wanted
                assert parameter.default == expected or name == "monitor", name
    point = inspect.signature(theory.selu_constants).parameters
    for name, parameter in inspect.signature(solve).parameters.items():
        if name in {"mean", "variance", "tau"}:
            assert float(parameter.default) == point[name].default, name


def test_without_matplotlib_the_model_is_saved_and_the_pictures_are_missed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = tabular.fit(small_table(), QUICK)

    def missing(_: object) -> None:
        with _extras.told():
            raise ModuleNotFoundError("no module", name="matplotlib")

    monkeypatch.setattr(tabular.Result, "_figures", missing)
    with pytest.warns(SelfNormWarning, match=r"without pictures.*pip install 'selfnorm\[plots\]'"):
        assert result.save(tmp_path / "m") == ("model.safetensors", "model.json", "report.html")
    assert tabular.load_model(tmp_path / "m").about["metrics"] == result.metrics
