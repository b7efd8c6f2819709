"""Models in one file, saving that is cut short, and files that mean harm."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from benchmarks import fuzz

from selfnorm import SelfNormClassifier
from selfnorm.errors import ArgumentError, ModelFolderError
from selfnorm.tabular import TabularModel, load_model, save_model
from selfnorm.tabular._container import COMING
from support.tables import fitted, settings, small_source

TABLE = small_source("classification").table


@pytest.fixture(scope="module")
def model() -> TabularModel:
    return fitted(small_source("classification"), settings(n_estimators=2)).model


@pytest.fixture(scope="module")
def other() -> TabularModel:
    return fitted(small_source("classification"), settings(seed=1)).model


def told(model: TabularModel) -> list[float]:
    return model.predict(TABLE).probabilities[:, 0].tolist()


def test_one_file_holds_what_a_folder_does(model: TabularModel, tmp_path: Path) -> None:
    save_model(model, tmp_path / "m")
    for name in ("m.snn", "again.snn"):
        save_model(model, tmp_path / name)
    assert (tmp_path / "m.snn").read_bytes() == (tmp_path / "again.snn").read_bytes()
    with zipfile.ZipFile(tmp_path / "m.snn") as archive:
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / "m" / name).read_bytes()
    assert told(load_model(tmp_path / "m.snn")) == told(model)


def test_a_file_is_written_over_if_it_is_a_model(model: TabularModel, tmp_path: Path) -> None:
    path = tmp_path / "m.snn"
    path.write_text("mine")
    for force, words in ((False, "is there already"), (True, "is none")):
        with pytest.raises(ModelFolderError, match=words):
            save_model(model, path, force=force)
    path.unlink()
    save_model(model, path)
    save_model(model, path, force=True)
    (tmp_path / "f.snn").mkdir()
    with pytest.raises(ModelFolderError, match="is a folder"):
        save_model(model, tmp_path / "f.snn")


def test_a_saving_cut_short_leaves_the_old_or_the_new(
    model: TabularModel, other: TabularModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at each of the renames: what is there loads, and is one of the two."""
    seen, replace = set(), Path.replace
    for last in range(4):
        folder = tmp_path / str(last)
        save_model(model, folder)
        done = []

        def until(path: Path, target: Path, done: list[Path] = done, last: int = last) -> Path:
            if len(done) == last:
                raise SystemExit("killed")
            done.append(path)
            return replace(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", until)
            if last < 3:
                with pytest.raises(SystemExit):
                    save_model(other, folder, force=True)
            else:
                save_model(other, folder, force=True)
        found = told(load_model(folder))
        assert found in (told(model), told(other))
        seen.add((last, found == told(other)))
        save_model(other, folder, force=True)  # and what was left over is no obstacle
        assert told(load_model(folder)) == told(other)
        assert not (folder / COMING).exists()
    assert seen == {(0, False), (1, False), (2, True), (3, True)}


def zipped(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def test_a_zip_that_means_harm_is_refused(model: TabularModel, tmp_path: Path) -> None:
    save_model(model, tmp_path / "m")
    record, weights = (
        (tmp_path / "m" / name).read_bytes() for name in ("model.json", "model.safetensors")
    )
    good = {"model.json": record, "model.safetensors": weights}
    bomb = {**good, "model.safetensors": bytes(10**8)}
    cases = {
        "it holds '../evil'": zipped(**good, **{"../evil": b"x"}),
        "it holds '/etc/passwd'": zipped(**{"/etc/passwd": b"x"}, **good),
        "it lacks one": zipped(**{"model.json": record}),
        r"it has 100,000,000 bytes, and not": zipped(**bomb),
        "is damaged": zipped(**good)[:-30],
    }
    path = tmp_path / "bad.snn"
    for words, content in cases.items():
        path.write_bytes(content)
        with pytest.raises(ModelFolderError, match=words) as error:
            load_model(path)
        assert "\n" not in str(error.value)
    lying = bytearray(zipped(**bomb))
    at = lying.rfind(b"PK\x01\x02")
    lying[at + 24 : at + 28] = len(weights).to_bytes(4, "little")  # the size it unpacks to
    path.write_bytes(lying)
    with pytest.raises(ModelFolderError, match="is damaged"):
        load_model(path)
    assert not (tmp_path.parent / "evil").exists()


def test_without_rows_no_row_is_in_the_file(model: TabularModel, tmp_path: Path) -> None:
    for name, rows in (("all", True), ("less", False)):
        save_model(model, tmp_path / name, rows=rows)
    record = (tmp_path / "less" / "model.json").read_text()
    assert '"holds_training_rows": false' in record
    assert '"holds_training_rows": true' in (tmp_path / "all" / "model.json").read_text()
    content = (tmp_path / "less" / "model.safetensors").read_bytes()
    row = model.saved.state["infinite.0.rows"][0].tobytes()
    assert row in (tmp_path / "all" / "model.safetensors").read_bytes()
    assert row not in content
    again = load_model(tmp_path / "less")
    assert told(again) == told(model.without_rows()) != told(model)


def test_intervals_need_the_whole() -> None:
    model = fitted(small_source("regression"), settings(n_estimators=2)).model
    with pytest.raises(ArgumentError, match="errors on rows that were left out"):
        model.without_rows().predict_interval(TABLE)


def test_an_estimator_goes_through_one_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2))
    model = SelfNormClassifier(preset="fast", epochs=2, random_state=0).fit(
        x, x[:, 0] + rng.standard_normal(60) > 0
    )
    model.save(tmp_path / "m.snn")
    assert os.listdir(tmp_path) == ["m.snn"]  # noqa: PTH208 - names alone
    again = SelfNormClassifier.load(tmp_path / "m.snn")
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))


def test_mutations_are_read_or_refused(tmp_path: Path) -> None:
    for found in (fuzz.mutated_models(100, tmp_path), fuzz.mutated_tables(60, tmp_path)):
        assert set(found) == {"read", "refused"}, found
        assert found["refused"] > found["read"] > 0
