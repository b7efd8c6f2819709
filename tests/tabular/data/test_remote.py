"""Tables named by a URI are read through pyarrow's file systems, whole and in parts."""

import pickle
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from selfnorm.errors import TableError
from selfnorm.tabular import TableFile, fit
from selfnorm.tabular._predictor import Predictions
from selfnorm.tabular.data import _remote
from selfnorm.tabular.data._files import files_of
from selfnorm.tabular.data._remote import Remote, path_of
from selfnorm.tabular.data._table import read_table
from support.tables import settings, small_table


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `s3://bucket` holds, without a network."""
    inside = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    known = _remote._from_uri

    def from_uri(uri: str) -> tuple[Any, str]:
        head = uri.partition("?")[0]
        if not head.startswith("s3://bucket"):
            return known(uri)
        return inside, head.removeprefix("s3://bucket").strip("/")

    monkeypatch.setattr(_remote, "_from_uri", from_uri)
    (tmp_path / "parts" / "2024").mkdir(parents=True)
    table = small_table()
    pq.write_table(table.slice(0, 60), tmp_path / "parts/a.parquet", row_group_size=20)
    pq.write_table(table.slice(60), tmp_path / "parts/2024/b.parquet")
    (tmp_path / "parts/_SUCCESS").write_text("")
    pacsv.write_csv(table, tmp_path / "one.csv")
    return tmp_path


@pytest.mark.usefixtures("bucket")
def test_folders_and_patterns_stand_for_files() -> None:
    def named(uri: str) -> list[str]:
        return list(map(str, files_of(uri) or ()))

    both = ["s3://bucket/parts/2024/b.parquet", "s3://bucket/parts/a.parquet"]
    assert named("s3://bucket/parts") == both
    assert named("s3://bucket/parts/") == both
    assert named("s3://bucket/parts/*.parquet") == both[1:]
    assert named("s3://bucket/parts/**/*.parquet?region=x") == [f"{one}?region=x" for one in both]
    assert named("s3://bucket/*/*/b*") == both[:1]
    assert files_of("s3://bucket/one.csv") is None
    with pytest.raises(TableError, match=r"has none"):
        named("s3://bucket/parts/*.csv")


def test_a_file_elsewhere_is_a_path_with_a_name_and_a_size(bucket: Path) -> None:
    path = path_of("s3://bucket/one.csv?region=x")
    assert isinstance(path, Remote)
    assert (path.name, path.suffix, str(path)) == (
        "one.csv",
        ".csv",
        "s3://bucket/one.csv?region=x",
    )
    assert path.stat().st_size == (bucket / "one.csv").stat().st_size
    assert pickle.loads(pickle.dumps(path)) == path  # noqa: S301 - our own
    assert not path_of("s3://bucket/none.csv").exists()
    with pytest.raises(TableError, match=r"no file 's3://bucket/none\.csv'"):
        read_table("s3://bucket/none.csv")
    with pytest.raises(TableError, match="file system that pyarrow knows"):
        read_table("gopher://host/a.csv")


def test_what_is_read_is_what_is_read_here(bucket: Path) -> None:
    here = read_table(str(bucket / "one.csv"))
    assert read_table("s3://bucket/one.csv") == here
    assert read_table((bucket / "one.csv").as_uri()) == here
    assert read_table(TableFile("s3://bucket/one.csv", "utf-8")) == here


@pytest.mark.filterwarnings("ignore:In memory the table would take")
def test_a_model_learns_and_predicts_the_same(
    bucket: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    how = settings(target="label", ignore=["amount"], epochs=1)
    table, local = "s3://bucket/parts", str(bucket / "parts")
    for _ in range(2):  # in memory, then in parts
        found, expected = fit(table, how), fit(local, how)
        assert found.history.best.loss == expected.history.best.loss
        monkeypatch.setattr("selfnorm.tabular._fit.needed", lambda _: 1e15)
    found.save(tmp_path / "model")
    told = [list(Predictions(tmp_path / "model", one)) for one in (table, local)]
    assert told[0] == told[1]
