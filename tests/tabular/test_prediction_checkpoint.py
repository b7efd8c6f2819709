"""Predictions that are cut off and gone on with: the same file, and no row lost or doubled."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from selfnorm.errors import CheckpointError, TableError
from selfnorm.tabular import TableFile, _prediction_checkpoint, save_model
from selfnorm.tabular._output import write_predictions
from selfnorm.tabular._prediction_checkpoint import PredictionCheckpoint
from selfnorm.tabular._predictor import Predictions
from selfnorm.tabular.data import _binary, _csv
from support.fresh import run_fresh
from support.tables import fitted, settings, small_parts, small_source, small_table

ROWS, BLOCK = 300, 30
PARTS = 3
BLOCKS = ROWS // BLOCK + PARTS - 1  # 100 rows are four blocks, the last of ten

# Forks until a process is through; each is killed behind a block or two.
JOB = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from selfnorm.tabular._prediction_checkpoint import PredictionCheckpoint
from selfnorm.tabular._predictor import Predictions
from selfnorm.tabular.data import _binary
from support.forks import first, forked
_binary._ROWS = 30
model, parts, out = map(Path, sys.argv[1:])
first(lambda: list(Predictions(model, str(parts))))
predicted = Predictions._predicted
def killed(self, block, counted=[]):
    counted.append(1)
    if len(counted) == 3 - kills % 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return predicted(self, block)
Predictions._predicted = killed
def go_on():
    with PredictionCheckpoint(out, model, str(parts), seconds=0) as checkpoint:
        checkpoint.predict()
        checkpoint.finish()
for kills in range(99):
    if forked(go_on) == 0:
        break
Path(str(out) + ".kills").write_text(str(kills))
"""


class Killed(BaseException):
    """What a test has of SIGKILL: nobody catches it, and nothing is written behind it."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "model"
    save_model(fitted(small_source("classification"), settings(n_estimators=2)).model, folder)
    return folder


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Parquet in three parts, of which the sizes are strange in the last."""
    monkeypatch.setattr(_binary, "_ROWS", BLOCK)
    return small_parts(tmp_path, ROWS, groups=50, strange=True)


def cut(at: int, *arguments: object, seconds: float = 0) -> int:
    """Predict until a process would be gone, in the midst of a block; how many it began."""
    begun, predicted, write = 0, Predictions._predicted, PredictionCheckpoint._write

    def until(predictions: Predictions, block: pa.Table) -> object:
        nonlocal begun
        if (begun := begun + 1) == at:
            patched.setattr(PredictionCheckpoint, "_write", lambda *_: None)
            raise Killed
        return predicted(predictions, block)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Predictions, "_predicted", until)
        patched.setattr(PredictionCheckpoint, "_write", write)
        with pytest.raises(Killed), PredictionCheckpoint(*arguments, seconds=seconds) as checkpoint:
            checkpoint.predict()
    return begun


def whole(model: Path, source: object, out: Path) -> bytes:
    """What an undisturbed prediction writes."""
    write_predictions(Predictions(model, source), out)
    return out.read_bytes()


def gone_on(out: Path, model: Path, source: object) -> tuple[int, list[str], int]:
    """How many rows were kept before, notes, and how many there are in the end."""
    with PredictionCheckpoint(out, model, source) as checkpoint:
        before = checkpoint.rows
        notes = checkpoint.predict().notes
        return before, notes, checkpoint.finish()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("at", [1, 2, 5, BLOCKS])
def test_what_was_cut_off_goes_on_to_the_same_file(
    ending: str, at: int, model: Path, parts: Path, tmp_path: Path
) -> None:
    expected = whole(model, str(parts), tmp_path / f"whole.{ending}")
    out = tmp_path / f"out.{ending}"
    assert cut(at, out, model, str(parts)) == at
    assert not out.exists()
    before, notes, rows = gone_on(out, model, str(parts))
    full, rest = divmod(at - 1, 4)  # blocks of a part
    assert before == full * 100 + rest * BLOCK
    assert rows == ROWS
    assert out.read_bytes() == expected
    assert "100 of 300 rows" in notes[0]
    assert not out.with_name(f"{out.name}.checkpoint").exists()


def test_delimited_text_goes_on_and_rows_are_kept_by_time(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_csv, "_BLOCK", 1000)
    pacsv.write_csv(small_table(ROWS), path := tmp_path / "t.csv")
    expected, out = whole(model, path, tmp_path / "whole.csv"), tmp_path / "out.csv"
    cut(4, out, model, path)
    cut(3, out, model, path, seconds=1e9)  # nothing is due yet
    before, _, rows = gone_on(out, model, TableFile(path))
    assert (0 < before < ROWS, rows) == (True, ROWS)
    assert out.read_bytes() == expected


def test_killed_processes_lose_no_row(model: Path, parts: Path, tmp_path: Path) -> None:
    run_fresh(JOB, model, parts, out := tmp_path / "out.csv", OMP_NUM_THREADS="1")
    assert 4 < int((tmp_path / "out.csv.kills").read_text()) < 20
    assert out.read_bytes() == whole(model, str(parts), tmp_path / "whole.csv")
    assert not (tmp_path / "out.csv.checkpoint").exists()


def test_a_death_between_the_file_and_the_end_of_the_folder_is_mended(
    model: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, out = whole(model, str(parts), tmp_path / "whole.csv"), tmp_path / "out.csv"
    removed, unlink = [], Path.unlink

    def until(path: Path, **how: bool) -> None:
        if path.suffix == ".arrow" and len(removed) == 2:
            raise Killed
        removed.extend([path] if path.suffix == ".arrow" else [])
        unlink(path, **how)

    with (
        monkeypatch.context() as patched,
        PredictionCheckpoint(out, model, str(parts), seconds=0) as checkpoint,
    ):
        checkpoint.predict()
        patched.setattr(Path, "unlink", until)
        with pytest.raises(Killed):
            checkpoint.finish()
    assert out.read_bytes() == expected
    before, _, rows = gone_on(out, model, str(parts))
    assert (before, rows) == (ROWS - 40, ROWS)
    assert out.read_bytes() == expected


def test_a_full_disk_keeps_what_was_there(
    model: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, out = _prediction_checkpoint.write_file, tmp_path / "out.csv"

    def full(path: Path, content: bytes) -> None:
        if path.name.endswith("4.arrow"):
            raise OSError(28, "No space left on device")
        write(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(_prediction_checkpoint, "write_file", full)
        with (
            pytest.raises(OSError, match="No space"),
            PredictionCheckpoint(out, model, str(parts), seconds=0) as checkpoint,
        ):
            checkpoint.predict()
    before, _, _ = gone_on(out, model, str(parts))
    assert before == 90
    assert out.read_bytes() == whole(model, str(parts), tmp_path / "whole.csv")


@pytest.fixture
def left(model: Path, parts: Path, tmp_path: Path) -> Path:
    """The folder of predictions that were cut off behind five blocks."""
    cut(6, tmp_path / "out.csv", model, str(parts))
    return tmp_path / "out.csv.checkpoint"


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.iterdir()):
        yield path.name, path.read_bytes()


@pytest.mark.parametrize("name", ["rows-000000003.arrow", "identity.json"])
@pytest.mark.parametrize("how", ["flipped", "cut short", "empty"])
def test_what_is_damaged_is_refused(
    name: str, how: str, left: Path, model: Path, parts: Path
) -> None:
    content = (left / name).read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    damage = {"flipped": flipped, "cut short": content[:-5], "empty": b""}[how]
    (left / name).write_bytes(damage)
    before = dict(contents(left))
    with pytest.raises(CheckpointError, match=rf"'{left / name}' is damaged \(.*Remove "):
        gone_on(left.with_suffix(""), model, str(parts))
    assert dict(contents(left)) == before


def test_rows_behind_a_gap_are_predicted_again(
    left: Path, model: Path, parts: Path, tmp_path: Path
) -> None:
    (left / "rows-000000003.arrow").unlink()
    before, _, rows = gone_on(out := left.with_suffix(""), model, str(parts))
    assert (before, rows) == (60, ROWS)
    assert out.read_bytes() == whole(model, str(parts), tmp_path / "whole.csv")


def test_what_is_of_another_table_or_model_is_refused(
    left: Path, model: Path, parts: Path, tmp_path: Path
) -> None:
    out = left.with_suffix("")
    one = parts / "1.parquet"
    os.utime(one, ns=(0, 7))
    with pytest.raises(CheckpointError, match=rf"of others: table\.{one} was .* and is .*of 7'"):
        gone_on(out, model, str(parts))
    other = tmp_path / "other"
    save_model(fitted(small_source("regression"), settings()).model, other)
    with pytest.raises(CheckpointError, match="of others: model was"):
        gone_on(out, other, str(parts))


def test_a_folder_of_others_is_left_alone(model: Path, parts: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "out.csv.checkpoint").mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(CheckpointError, match=r"mine\.txt' is something else"):
        gone_on(tmp_path / "out.csv", model, str(parts))
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_one_process_at_a_time(left: Path, model: Path, parts: Path) -> None:
    out = left.with_suffix("")
    with (
        PredictionCheckpoint(out, model, str(parts)),
        pytest.raises(CheckpointError, match="One program at a time"),
    ):
        gone_on(out, model, str(parts))
    assert gone_on(out, model, str(parts))[0] > 0


def test_standard_input_and_tables_in_memory_are_refused(model: Path, tmp_path: Path) -> None:
    for source, came in (("-", "standard input"), (small_table(), "a table in memory")):
        with pytest.raises(TableError, match=f"{came} came"):
            PredictionCheckpoint(tmp_path / "out.csv", model, source)
    (tmp_path / "two").mkdir()
    wide = small_table(40).set_column(0, "size", pa.array(["wide"] * 40))
    for number, table in enumerate((small_table(40), wide)):
        pq.write_table(table, tmp_path / f"two/{number}.parquet")
    with pytest.raises(TableError, match=r"rows from 41 on, .*'.*two/1\.parquet': .*'wide'"):
        list(Predictions(model, str(tmp_path / "two")))
    shutil.rmtree(tmp_path / "two")
    path = tmp_path / "t.csv"
    pacsv.write_csv(small_table().drop_columns(["city"]), path)
    with pytest.raises(TableError, match="'city' is missing"):
        gone_on(tmp_path / "out.csv", model, path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["t.csv"]
