"""A table read in parts teaches what it teaches in memory; and what is wrong with parts is told."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import torch
from pyarrow import feather

from selfnorm.errors import SelfNormWarning, TableError
from selfnorm.tabular import Result, Settings, TableFile, fit
from selfnorm.tabular._fit import prepare
from selfnorm.tabular._prepared import Prepared
from selfnorm.tabular._source import read_source
from selfnorm.tabular.data._files import files_of
from selfnorm.tabular.data._table import read_blocks
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._targets import fit_target
from selfnorm.tabular.stream._prepare import prepare_parts
from support.tables import settings, small_table
from support.tolerances import CLOSED_FORM

PARTS = 3
pytestmark = pytest.mark.filterwarnings("ignore:In memory the table would take")


def written(folder: Path, table: pa.Table, ending: str, parts: int = PARTS) -> Path:
    """A table in files of as many rows each, of two row groups."""
    folder.mkdir(exist_ok=True)
    for at, rows in enumerate(np.array_split(np.arange(table.num_rows), parts)):
        part, path = table.take(rows), folder / f"part{at}{ending}"
        if ending == ".parquet":
            pq.write_table(part, path, row_group_size=-(-len(rows) // 2))
        elif ending == ".arrow":
            feather.write_feather(part, path, chunksize=-(-len(rows) // 2))
        else:
            pacsv.write_csv(part, path)
    return folder


def prepared(folder: Path, how: Settings) -> Prepared:
    files = files_of(folder)
    assert files is not None
    return prepare_parts(files, None, how, 1e8, "told")


def streamed(
    monkeypatch: pytest.MonkeyPatch, source: object, how: Settings, seen: list[Prepared]
) -> Result:
    """A fit that takes every table for larger than memory."""
    monkeypatch.setattr("selfnorm.tabular._fit.needed", lambda _: 1e15)
    return fit(source, how, prepared=seen.append)


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".csv"])
@pytest.mark.parametrize("target", ["label", "amount"])
def test_few_rows_teach_the_encoder_that_they_teach_in_memory(
    ending: str, target: str, tmp_path: Path
) -> None:
    table = small_table(300)
    how = settings(target=target, ignore=["amount" if target == "label" else "label"])
    ready = prepared(written(tmp_path, table, ending), replace(how, n_estimators=2))
    expected = Encoder.fit(table.drop_columns([target]), ignore=how.ignore, pieces=8)
    assert ready.rows == 300
    assert ready.encoder.features == expected.features
    assert dict(ready.encoder.ignored) == dict(expected.ignored)
    rows = small_table(50, seed=1)
    np.testing.assert_allclose(
        ready.encoder.transform(rows), expected.transform(rows), rtol=1e-5, atol=1e-5
    )
    values = table[target].to_numpy()
    if target == "amount":
        mean, deviation = ready.target.mean, ready.target.deviation
        assert (mean, deviation) == pytest.approx((values.mean(), values.std()), rel=CLOSED_FORM)
        assert ready.target.ends == (values.min(), values.max())
    else:
        shares = tuple(np.mean(values == one) for one in ("big", "small"))
        assert ready.target.classes == ("big", "small")
        assert ready.target.shares == pytest.approx(shares, rel=CLOSED_FORM)


@pytest.mark.parametrize("members", [1, 3])
def test_each_row_is_for_one_thing(members: int, tmp_path: Path) -> None:
    """Held out, judged by, or learned from; and each network learns from what it leaves not out."""
    rows = np.arange(600.0)
    table = pa.table({"a": rows, "b": rows % 7, "y": rows / 600 + 0.123})
    folder = written(tmp_path, table, ".parquet")
    how = settings(target="y", n_estimators=members, test=0.25, validation=0.2)
    ready = prepared(folder, how)
    stream = ready.streamed
    assert stream is not None
    again = prepared(folder, how)
    np.testing.assert_array_equal(ready.test.values, again.test.values)

    def named(targets: torch.Tensor) -> np.ndarray:
        values = targets.numpy().ravel() * ready.target.deviation + ready.target.mean
        return np.round((values - 0.123) * 600).astype(int)

    options = replace(how.sized(ready.rows).options, members=members)
    batches = list(ready.batches(options).epoch(torch.Generator().manual_seed(0)))
    tested = set(np.round((ready.test.values - 0.123) * 600).astype(int).tolist())
    assert ready.judged is not None
    judged = np.round((ready.judged.values - 0.123) * 600).astype(int)
    assert len(tested) == stream.held_out
    assert abs(len(tested) - 150) < 5 * np.sqrt(600 * 0.25 * 0.75)
    for member in range(members):
        targets = torch.cat([b.targets if members == 1 else b.targets[:, member] for b in batches])
        learned = named(targets)
        if members > 1:
            assert ready.left_out is not None
            left_out = judged[ready.left_out[:, member].numpy()]
            assert not set(learned) & set(left_out)
            assert len(learned) == pytest.approx(ready.rows - len(left_out), rel=0.1)
            assert all((batch.weights == 1).all() for batch in batches)
        else:
            assert not set(learned) & set(judged)
        assert len(set(learned)) == len(learned)
        assert not set(learned) & tested
    assert len(judged) == (round(0.2 * (600 - len(tested))) if members == 1 else ready.rows)


@pytest.mark.parametrize("members", [1, 2])
def test_little_memory_keeps_few_rows_of_which_some_are_learned_from(
    members: int, tmp_path: Path
) -> None:
    x = np.random.default_rng(0).standard_normal((30_000, 4))
    table = pa.table({**{f"x{k}": x[:, k] for k in range(4)}, "y": x[:, 0]})
    files = files_of(written(tmp_path, table, ".parquet"))
    assert files is not None
    ready = prepare_parts(files, None, settings(target="y", n_estimators=members), 1e7, "told")
    assert ready.source.table.nbytes < 1e7 / 12
    assert ready.validation is not None
    assert 0 < len(ready.validation) <= len(ready.source.values)
    assert 0 < len(ready.watched) <= len(ready.training)
    judges = 0 if members > 1 else len(ready.validation)
    assert ready.rows == 30_000 - judges


def test_a_streamed_model_learns_and_is_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = small_table(300)
    folder = written(tmp_path / "parts", table.drop_columns(["amount"]), ".parquet")
    how = settings(target="label", n_estimators=2, epochs=4, test=0.2, batch_size=32)
    seen: list[Prepared] = []
    result = streamed(monkeypatch, str(folder / "*.parquet"), how, seen)
    assert result.metrics["accuracy"] > result.baseline["accuracy"] + 0.2
    assert seen[0].streamed is not None
    assert "it is read in parts" in seen[0].streamed.told
    again = streamed(monkeypatch, folder, how, seen)
    for name, value in result.model.network.state_dict().items():
        assert torch.equal(value, again.model.network.state_dict()[name])
    assert result.model.predict(folder).values.shape == (300,)


def test_weights_of_rows_count(tmp_path: Path) -> None:
    table = small_table(200)
    counts = np.where(np.arange(200) % 2, 3.0, np.where(np.arange(200) % 4, 1.0, 0.0))
    table = table.append_column("w", pa.array(counts))
    ready = prepared(
        written(tmp_path, table, ".parquet"),
        settings(target="amount", sample_weight="w", n_estimators=2, ignore=["label"]),
    )
    stream = ready.streamed
    assert stream is not None
    assert (stream.total, stream.weightless) == (150, 50)
    values = table["amount"].to_numpy()
    assert ready.target.mean == pytest.approx(np.average(values, weights=counts), rel=CLOSED_FORM)
    options = settings(n_estimators=2).sized(150).options
    epoch = list(ready.batches(options).epoch(torch.Generator().manual_seed(0)))
    weights = torch.cat([batch.weights for batch in epoch])
    kept = weights[weights > 0]
    assert kept.max() / kept.min() == pytest.approx(3, rel=1e-6)


def test_classes_and_numbers_are_told_as_in_memory(tmp_path: Path) -> None:
    """Also of delimited text, in which all is text."""
    rows = 200
    columns = {
        "whole": np.arange(rows) % 3,
        "number": np.arange(rows) / 7,
        "word": np.where(np.arange(rows) % 2, "a", "b"),
        "money": [f"{1000 + n:,} EUR" for n in range(rows)],
    }
    table = pa.table({"x": np.random.default_rng(0).standard_normal(rows), **columns})
    for ending in (".parquet", ".csv"):
        folder = written(tmp_path / ending[1:], table, ending, parts=1)
        for name in columns:
            how = settings(target=name, n_estimators=2, ignore=[c for c in columns if c != name])
            source = read_source(folder, name)
            target, other = (
                prepared(folder, how).target,
                fit_target(name, source.values, source.task),
            )
            assert type(target) is type(other), (ending, name)
            if target.task == "classification":
                assert target.classes == other.classes
                assert [type(c) for c in target.classes] == [type(c) for c in other.classes]


def test_a_folder_a_pattern_and_a_list_are_one_table(tmp_path: Path) -> None:
    folder = written(tmp_path / "parts", small_table(), ".parquet")
    (folder / "_SUCCESS").write_text("")
    (folder / ".hidden.parquet").write_text("")
    (folder / "notes.md").write_text("")
    expected = tuple(sorted(folder.glob("p*.parquet")))
    assert len(expected) == PARTS
    assert files_of(folder) == expected
    assert files_of(f"{folder}/*.parquet") == expected
    assert files_of([str(path) for path in expected]) == expected
    assert files_of(expected[0]) is None
    odd = tmp_path / "a[1].csv"
    odd.write_text("a\n1\n")
    assert files_of(odd) is None


def test_what_matches_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"has to match a file; '.*\*\.csv' matches none"):
        fit(str(tmp_path / "*.csv"), settings(target="y"))
    with pytest.raises(TableError, match=r"holds \.parquet or \.csv files; '.*' holds none"):
        fit(tmp_path, settings(target="y"))


@pytest.fixture(params=["streamed", "in memory"])
def read(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    large = 1e15 if request.param == "streamed" else 0
    monkeypatch.setattr("selfnorm.tabular._fit.needed", lambda _: large)
    return request.param == "streamed"


@pytest.mark.usefixtures("read")
def test_parts_of_other_columns_or_kinds_are_told(tmp_path: Path) -> None:
    how = settings(target="label")
    for change, said in (
        (lambda t: t.drop_columns(["city"]), r"'.*part9\.parquet' lacks 'city'"),
        (lambda t: t.append_column("new", t["size"]), r"part9\.parquet' has 'new' besides"),
        (
            lambda t: t.set_column(0, "size", pa.array(["text"] * t.num_rows)),
            r"'size' holds numbers in '.*part0\.parquet' and text in '.*part9\.parquet'",
        ),
    ):
        folder = written(tmp_path, small_table(), ".parquet")
        pq.write_table(change(small_table()), folder / "part9.parquet")
        with pytest.raises(TableError, match=said):
            fit(folder, how)


def damaged(folder: Path, ending: str, kind: str) -> Path:
    """The last part, with an end cut off, or with nothing in it, or not what it is called."""
    path = folder / f"part{PARTS - 1}{ending}"
    content = path.read_bytes()
    middle = len(content) // 3
    wrong = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "overwritten": content[:4] + b"\xff" * middle + content[4 + middle :],
    }
    path.write_bytes(wrong[kind])
    return path


@pytest.mark.parametrize("kind", ["cut", "empty", "overwritten"])
def test_a_damaged_part_is_named_or_left_out(read: bool, kind: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "p", small_table(), ".parquet")
    path = damaged(folder, ".parquet", kind)
    how = settings(target="amount", ignore=["label"], epochs=1, validation=0.0)
    with pytest.raises(TableError, match=path.name) as raised:
        fit(folder, how)
    assert raised.value.options == ("--on-error",)
    seen: list[Prepared] = []
    with pytest.warns(SelfNormWarning, match=rf"A part is left out\. .*{path.name}"):
        fit(folder, replace(how, on_error="skip"), prepared=seen.append)
    assert seen[0].rows == 80
    assert (seen[0].streamed is not None) == read


@pytest.mark.usefixtures("read")
@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".csv"])
def test_a_part_without_rows_and_a_ragged_one_are_named(ending: str, tmp_path: Path) -> None:
    folder, how = written(tmp_path, small_table(), ending), settings(target="label", epochs=1)
    writers = {".parquet": pq.write_table, ".arrow": feather.write_feather, ".csv": pacsv.write_csv}
    writers[ending](small_table().slice(0, 0), folder / f"part9{ending}")
    with pytest.raises(TableError, match=rf"needs rows; '.*part9\{ending}' has 5 columns and none"):
        fit(folder, how)
    if ending == ".csv":
        (folder / "part9.csv").write_text("size,city\n1,2,3\n")
        with pytest.raises(TableError, match=r"part9\.csv"):
            fit(folder, how)


@pytest.mark.usefixtures("read")
def test_a_link_that_leads_nowhere_is_missed(tmp_path: Path) -> None:
    folder = written(tmp_path / "parts", small_table(), ".parquet")
    (folder / "part9.parquet").symlink_to(tmp_path / "gone.parquet")
    for source in (folder, f"{folder}/*.parquet"):
        with pytest.raises(TableError, match=r"part9\.parquet"):
            fit(source, settings(target="label"))


@pytest.mark.usefixtures("read")
def test_when_no_part_can_be_read_the_last_reason_is_told(tmp_path: Path) -> None:
    for at in range(2):
        (tmp_path / f"part{at}.parquet").write_bytes(b"PAR1 and nothing else")
    with (
        pytest.warns(SelfNormWarning, match="left out"),
        pytest.raises(TableError, match=r"none of 2 can\. The last: .*part1\.parquet"),
    ):
        fit(tmp_path, settings(target="label", on_error="skip"))


def test_a_slip_and_infinity_are_told_with_their_places(tmp_path: Path) -> None:
    table = small_table()
    sizes = table["amount"].to_numpy().copy()
    sizes[100] = np.inf
    folder = written(tmp_path / "inf", table.set_column(4, "amount", pa.array(sizes)), ".parquet")
    with pytest.raises(TableError, match=r"'amount' is infinite in row 21 of '.*part2\.parquet'"):
        prepared(folder, settings(target="label"))
    words = [str(value) for value in table["amount"].to_pylist()]
    words[7] = "oops"
    folder = written(tmp_path / "csv", table.set_column(4, "amount", pa.array(words)), ".csv")
    with pytest.raises(TableError, match=r"'amount' holds numbers but for 'oops'"):
        prepared(folder, settings(target="label"))


def test_parts_of_text_are_of_one_kind_though_some_look_like_numbers(tmp_path: Path) -> None:
    for at, cells in enumerate((["1", "2"], ["2", "x"])):
        rows = "\n".join(f"{cell},{at},{row / 7}" for cell in cells for row in range(20))
        (tmp_path / f"{at}.csv").write_text(f"code,k,y\n{rows}\n")
    how = settings(target="y", validation=0.0)
    encoder = prepare(read_source(tmp_path, "y"), how).encoder
    assert encoder.features == prepared(tmp_path, how).encoder.features
    assert "code=x" in encoder.features


def test_an_encoding_is_said_for_all_parts(tmp_path: Path) -> None:
    for at in range(2):
        rows = "".join(f"{'é' if row % 2 else 'ö'};{row / 3}\n" for row in range(20))
        (tmp_path / f"{at}.csv").write_bytes(f"city;y\n{rows}".encode("cp1252"))
    file = TableFile(tmp_path, "cp1252")
    source = read_source(file, "y")
    assert "city=ö" in prepare(source, settings(target="y")).encoder.features
    files = files_of(tmp_path)
    assert files is not None
    ready = prepare_parts(files, "cp1252", settings(target="y"), 1e8, "")
    assert "city=ö" in ready.encoder.features


@pytest.mark.parametrize("read", ["in parts", "in memory", "in blocks"])
def test_a_flipped_bit_of_a_page_with_a_checksum_is_told(read: str, tmp_path: Path) -> None:
    """Without it the number would be another one, and nobody would know."""
    table = small_table(200)
    good, path = tmp_path / "good.parquet", tmp_path / "flipped.parquet"
    how = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(table, good, row_group_size=100, **how)
    content = bytearray(good.read_bytes())
    at = content.index(np.float64(table["amount"][150].as_py()).tobytes())
    content[at + 5] ^= 1
    path.write_bytes(content)
    assert pq.read_table(path)["amount"][150] != table["amount"][150]
    wanted = settings(target="amount", ignore=["label"])
    reads: dict[str, Callable[[], object]] = {
        "in parts": lambda: prepare_parts([path], None, wanted, 1e8, "told"),
        "in memory": lambda: read_source(path, "amount"),
        "in blocks": lambda: list(read_blocks(path)),
    }
    with pytest.raises(TableError, match=r"flipped\.parquet' cannot be read: .*[Cc][Rr][Cc]"):
        reads[read]()
