"""Words of a user's own for missing cells: as if the cells were empty, wherever they stand."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from selfnorm import SelfNormClassifier
from selfnorm.errors import ArgumentError
from selfnorm.tabular import Result, TabularModel, fit, load_model, save_model
from selfnorm.tabular._model_file import read_model
from selfnorm.tabular.data._words import without_own_cells
from selfnorm.tabular.encoding._encode import Encoder
from support.tables import settings
from support.tolerances import EXPORTED

WORDS = ("nix", "-999", "1900-01-01")
ROWS = 240


def table(*, words: bool) -> pa.Table:
    """Numbers, whole ones, text, dates and a target, with words or with nothing in some cells."""
    rng = np.random.default_rng(0)
    kinds = {
        "size": (rng.normal(size=ROWS).round(3), -999.0),
        "small": (rng.normal(size=ROWS).astype(np.float32), np.float32(-999)),
        "count": (rng.integers(0, 50, ROWS), -999),
        "text": (rng.integers(10, 99, ROWS).astype("U3"), "nix"),
        "city": (rng.choice(["Oslo", "Rome"], ROWS), "nix"),
        "day": (np.datetime64("2020-01-01") + rng.integers(0, 900, ROWS), "1900-01-01"),
        "y": (np.where(rng.random(ROWS) < 0.5, "yes", "no"), "nix"),
    }
    columns = {}
    for name, (values, word) in kinds.items():
        absent = rng.random(ROWS) < 0.1
        filled = values.copy()
        filled[absent] = word
        columns[name] = pa.array(filled) if words else pa.array(values, mask=absent)
    return pa.table(columns)


HOW = settings(target="y", n_estimators=2, epochs=1, infinite=False, validation=0.2)


@pytest.fixture(scope="module")
def results() -> tuple[Result, Result]:
    """With words, and with empty cells."""
    return fit(table(words=True), replace(HOW, missing=WORDS)), fit(table(words=False), HOW)


def same(model: TabularModel, other: TabularModel) -> bool:
    """Whether models say the same of tables with words, and with empty cells."""
    told = model.predict(table(words=True)).probabilities
    return np.array_equal(told, other.predict(table(words=False)).probabilities)


def test_a_word_is_an_empty_cell_in_every_column(results: tuple[Result, Result]) -> None:
    with_words, without = results
    assert with_words.model.encoder.columns == without.model.encoder.columns
    assert with_words.metrics == without.metrics
    assert same(with_words.model, without.model)
    assert with_words.model.notes(table(words=True)) == without.model.notes(table(words=False))
    measured = (
        with_words.model.evaluate(table(words=True)),
        without.model.evaluate(table(words=False)),
    )
    assert measured[0].rows == measured[1].rows < ROWS
    assert measured[0].metrics == measured[1].metrics
    known = with_words.model.encoder
    forgotten = replace(with_words.model, encoder=replace(known, missing=()))
    assert not same(forgotten, without.model)


def test_a_model_keeps_its_words(results: tuple[Result, Result], tmp_path: Path) -> None:
    model, other = (one.model for one in results)
    save_model(model, tmp_path / "m")
    assert load_model(tmp_path / "m").encoder.missing == WORDS
    assert same(load_model(tmp_path / "m"), other)
    assert '"format": 3' in (tmp_path / "m" / "model.json").read_text()  # older ones refuse it
    save_model(other, tmp_path / "other")
    assert '"format": 2' in (tmp_path / "other" / "model.json").read_text()
    assert read_model(tmp_path / "m").encoder.missing == WORDS
    for wrong in ("nix", [1], {"nix": 1}, None):
        with pytest.raises(ValueError, match="missing words are a list of text"):
            Encoder.from_dict({**model.encoder.to_dict(), "missing": wrong})
    assert SelfNormClassifier.load(tmp_path / "m").missing == WORDS


@pytest.mark.parametrize("memory", [None, 1e7])
def test_files_are_read_so_whole_and_in_parts(
    memory: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if memory:
        monkeypatch.setattr("selfnorm.tabular._fit.needed", lambda _: 10**9)
    found = []
    for words in (True, False):
        path = tmp_path / f"{words}.csv"
        pacsv.write_csv(table(words=words), path)
        how = replace(HOW, missing=("-999.0", *WORDS) if words else (), memory=memory)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is read in parts
            found.append(fit(path, how).model)
        told = found[-1].predict(path).probabilities
        pq.write_table(table(words=words), tmp_path / "t.parquet")
        assert np.abs(found[-1].predict(tmp_path / "t.parquet").probabilities - told).max() < 1e-6
    assert found[0].encoder.features == found[1].encoder.features
    assert found[0].encoder.missing[1:] == WORDS


def test_an_onnx_file_takes_the_words_of_numbers_and_text(
    results: tuple[Result, Result], tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = results[0].model
    model.to_onnx(tmp_path / "m.onnx", table(words=True))
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    given = table(words=True)
    days = given["day"].to_numpy().astype("datetime64[D]").astype(float)
    days[days == np.datetime64("1900-01-01").astype("datetime64[D]").astype(float)] = np.nan
    rows = {
        "size": given["size"].to_numpy().astype(float),
        "small": given["small"].to_numpy().astype(float),
        "count": given["count"].to_numpy().astype(float),
        "text": given["text"].to_numpy(zero_copy_only=False),
        "city": given["city"].to_numpy(zero_copy_only=False),
        "day": days,
    }
    names = {one.name for one in session.get_inputs()}
    told = session.run(["probabilities"], {n: v for n, v in rows.items() if n in names})[0]
    assert np.abs(told - model.predict(given).probabilities).max() < EXPORTED


def test_an_estimator_takes_them() -> None:
    frames = [table(words=words).drop_columns(["y"]).to_pandas() for words in (True, False)]
    y = np.arange(ROWS) % 2
    quick = {"epochs": 1, "n_estimators": 1, "random_state": 0, "width": 16}
    told = [
        SelfNormClassifier(**quick, missing=missing).fit(frame, y).predict_proba(frame)
        for frame, missing in zip(frames, (WORDS, ()), strict=True)
    ]
    np.testing.assert_array_equal(*told)


def test_columns_of_every_type_take_words() -> None:
    for column, left in (
        (pa.array(["a", " nix ", "nix!"]), ["a", None, "nix!"]),
        (pa.array(["a", "nix"]).dictionary_encode(), ["a", None]),
        (pa.array([1.5, -99.9], pa.float32()), [1.5, None]),
        (pa.array([1, -999], pa.int16()), [1, None]),
        (pa.array([True, False]), [True, False]),
        (pa.array([], pa.string()), []),
    ):
        found = without_own_cells(pa.chunked_array([column]), ["nix", "-99.9", "-999", "1900"])
        assert found.to_pylist() == left
    stamped = pa.chunked_array([np.array(["1900-01-01", "2020-05-05T12"], "M8[ns]")])
    assert without_own_cells(stamped, ["1900-01-01"]).null_count == 1


def test_words_have_letters() -> None:
    for wrong in (["", "x"], [" "], "nix", [1]):
        with pytest.raises(ArgumentError, match="missing must be a list of words, none of them"):
            replace(HOW, missing=wrong)
    assert Encoder.fit(table(words=True), missing=[" nix "]).features
