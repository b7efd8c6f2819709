"""Evaluations that are cut off and gone on with: the same figures to the bit."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfnorm.errors import CheckpointError, SelfNormWarning, TableError
from selfnorm.tabular import Evaluation, TabularModel, load_model, save_model
from selfnorm.tabular._evaluation_checkpoint import EvaluationCheckpoint
from selfnorm.tabular._measuring import Measuring
from selfnorm.tabular.data import _binary
from selfnorm.training import _folder
from support.fresh import run_fresh
from support.tables import fitted, settings, small_parts, small_source, small_table

ROWS, BLOCK, PARTS = 300, 30, 3
BLOCKS = ROWS // BLOCK + PARTS - 1  # 100 rows are four blocks, the last of ten

# Forks until a process is through; each is killed behind a block or two.
JOB = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from selfnorm.tabular import load_model
from selfnorm.tabular._evaluation_checkpoint import EvaluationCheckpoint
from selfnorm.tabular._measuring import Measuring
from selfnorm.tabular.data import _binary
_binary._ROWS = 30
from support.forks import first, forked
path, parts, out = map(Path, sys.argv[1:])
whole = out.with_name("whole")
first(lambda: whole.write_text(repr(load_model(path).evaluate(str(parts)))))
def go_on():
    with EvaluationCheckpoint(out, path, load_model(path), str(parts), every=0) as checkpoint:
        assert repr(checkpoint.evaluate()) == whole.read_text(), "other figures"
        checkpoint.remove()
add = Measuring.add
def killed(self, *rows, counted=[]):
    counted.append(1)
    if len(counted) == 3 - kills % 2:
        os.kill(os.getpid(), signal.SIGKILL)
    add(self, *rows)
Measuring.add = killed
for kills in range(99):
    code = forked(go_on)
    assert code in (0, -signal.SIGKILL)
    if code == 0:
        break
print("kills", kills, "" if out.exists() else "nothing is left")
"""


class Killed(BaseException):
    """What a test has of SIGKILL."""


@pytest.fixture(scope="module", params=["classification", "regression"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "model"
    save_model(fitted(small_source(request.param), settings(n_estimators=2)).model, folder)
    return folder


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Parquet in three parts, of which the cities are strange in the last."""
    monkeypatch.setattr(_binary, "_ROWS", BLOCK)
    return small_parts(tmp_path, ROWS, groups=50, strange=True)


def kept(parts: Path, path: Path, **how: float | None) -> EvaluationCheckpoint:
    return EvaluationCheckpoint(parts.parent / "kept", path, load_model(path), str(parts), **how)


def cut(at: int, parts: Path, path: Path, every: float | None = 0) -> None:
    """Measure until a process would be gone, in the midst of a block."""
    begun, add = 0, Measuring.add

    def until(going: Measuring, *rows: object) -> None:
        nonlocal begun
        if (begun := begun + 1) == at:
            raise Killed
        add(going, *rows)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Measuring, "add", until)
        with pytest.raises(Killed), kept(parts, path, every=every) as checkpoint:
            checkpoint.evaluate()


def gone_on(parts: Path, path: Path) -> tuple[int, Evaluation]:
    """How many rows were measured before, and the figures of all."""
    with kept(parts, path) as checkpoint:
        before = checkpoint.rows
        found = checkpoint.evaluate()
        checkpoint.remove()
    assert not checkpoint.folder.exists()
    return before, found


@pytest.mark.parametrize("at", [1, 2, 5, BLOCKS, BLOCKS + 1])
def test_what_was_cut_off_goes_on_to_the_same_figures(at: int, path: Path, parts: Path) -> None:
    if at > BLOCKS:  # between the last block and the figures
        with kept(parts, path, every=0) as checkpoint:
            checkpoint.evaluate()
    else:
        cut(at, parts, path)
    full, rest = divmod(at - 1, 4)  # blocks of a part
    before, found = gone_on(parts, path)
    assert before == full * 100 + rest * BLOCK
    assert repr(found) == repr(load_model(path).evaluate(str(parts)))
    assert "100 of 300 rows" in found.notes[0]


def test_nothing_is_kept_before_it_is_due(path: Path, parts: Path) -> None:
    cut(BLOCKS, parts, path, every=None)
    assert not (parts.parent / "kept").exists()


@pytest.mark.parametrize("path", ["classification"], indirect=True)
def test_killed_processes_lose_nothing(path: Path, parts: Path) -> None:
    said = run_fresh(JOB, path, parts, parts.parent / "kept", OMP_NUM_THREADS="1")
    assert 4 < int(said.split()[1]) < 20
    assert "nothing is left" in said


def test_one_damaged_file_costs_a_block_and_two_all(path: Path, parts: Path) -> None:
    expected = repr(load_model(path).evaluate(str(parts)))
    for damaged, before in ((1, 90), (2, 0)):
        cut(5, parts, path)
        files = sorted((parts.parent / "kept").glob("*.safetensors"))
        assert len(files) == 2
        for one in files[-damaged:]:
            content = bytearray(one.read_bytes())
            content[len(content) // 2] ^= 1
            one.write_bytes(content)
        with pytest.warns(SelfNormWarning, match=r"are passed over, as they are damaged \("):
            found = gone_on(parts, path)
        assert (found[0], repr(found[1])) == (before, expected)


def test_a_full_disk_is_told_and_ends_nothing(
    path: Path, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_folder, "write_snapshot", full)
    with (
        pytest.warns(SelfNormWarning, match=r"\(No space left on device\). The evaluation goes on"),
        kept(parts, path, every=0) as checkpoint,
    ):
        assert checkpoint.evaluate().rows == ROWS
    assert checkpoint.rows == 0


def test_what_is_of_another_table_or_model_is_refused(path: Path, parts: Path) -> None:
    cut(5, parts, path)
    one = parts / "1.parquet"
    os.utime(one, ns=(0, 7))
    with pytest.raises(CheckpointError, match=rf"of others: table\.{one} was .* and is .*of 7'"):
        gone_on(parts, path)
    other = parts.parent / "other"
    save_model(fitted(small_source("regression"), settings(seed=3)).model, other)
    with pytest.raises(CheckpointError, match="of others: model was"):
        gone_on(parts, other)
    assert len(list((parts.parent / "kept").iterdir())) == 2


def test_one_process_at_a_time_and_no_standard_input(path: Path, parts: Path) -> None:
    with (
        kept(parts, path),
        pytest.raises(CheckpointError, match="One program at a time"),
    ):
        gone_on(parts, path)
    with pytest.raises(TableError, match="standard input came"):
        kept(Path("-"), path)


def test_targets_that_are_known_nowhere_or_late(path: Path, parts: Path) -> None:
    model = load_model(path)
    for number in range(PARTS):
        table = pq.read_table(one := parts / f"{number}.parquet")
        at = table.column_names.index(model.target.name)
        nothing = pa.nulls(table.num_rows, table.schema.field(at).type)
        pq.write_table(table.set_column(at, model.target.name, nothing), one)
    with pytest.raises(TableError, match="known in 0 of 300 rows"), kept(parts, path) as checkpoint:
        checkpoint.evaluate()
    pq.write_table(table, one)
    cut(BLOCKS, parts, path)
    before, found = gone_on(parts, path)
    assert (before, found.rows) == (290, 100)


def test_it_is_the_models_own_loop(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """In memory, too, so that one is tested by the other."""
    asked: list[int] = []
    monkeypatch.setattr(TabularModel, "measuring", lambda *_: iter(asked.append(1) or ()))
    with pytest.raises(TableError, match="there are none"):
        load_model(path).evaluate(small_table())
    assert asked == [1]
