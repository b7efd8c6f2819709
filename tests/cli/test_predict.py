"""`selfnorm predict --resume`: what is told where predictions are cut off, and go on."""

import os
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from selfnorm.cli._app import app
from selfnorm.tabular import save_model
from selfnorm.tabular._predictor import Predictions
from selfnorm.tabular.data import _binary
from support.tables import fitted, settings, small_parts, small_source


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told") / "model"
    save_model(fitted(small_source("classification"), settings()).model, folder)
    return folder


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_binary, "_ROWS", 30)
    small_parts(tmp_path, 240, groups=40)


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and what is told, of a command that prints no results."""
    done = CliRunner().invoke(app, ["predict", *map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.stdout == ""
    return done.exit_code, done.stderr


def test_ctrl_c_keeps_the_rows_and_resume_goes_on(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(model, "parts", "-o", "whole.csv")[0] == 0
    predicted, begun = Predictions._predicted, []

    def until(predictions: Predictions, block: pa.Table) -> object:
        begun.append(1)
        if len(begun) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return predicted(predictions, block)

    with monkeypatch.context() as patched:
        patched.setattr(Predictions, "_predicted", until)
        code, told = run(model, "parts", "-o", "out.csv", "--resume")
    assert code == 2
    assert "Stopped by Ctrl-C; 80 rows are in 'out.csv.checkpoint'." in told.replace("\n", " ")
    assert not Path("out.csv").exists()
    assert run(model, "parts", "-o", "other.csv")[0] == 0  # nobody else minds
    code, told = run(model, "parts", "-o", "out.csv", "--resume")
    assert code == 0
    assert "80 rows are predicted already; those behind them follow." in told
    assert "Wrote out.csv: 240 predictions" in told
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert not Path("out.csv.checkpoint").exists()


def test_resume_from_nothing_writes_what_is_written_without(model: Path) -> None:
    for name, how in (("whole.parquet", ()), ("out.parquet", ("--resume",))):
        assert run(model, "parts", "-o", name, *how) == (0, f"Wrote {name}: 240 predictions\n")
    assert Path("out.parquet").read_bytes() == Path("whole.parquet").read_bytes()
    assert pq.ParquetFile("out.parquet").num_row_groups == 9
    code, told = run(model, "parts", "-o", "out.parquet", "--resume")
    assert (code, "is there already" in told) == (2, True)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (["parts", "--resume"], "Add -o OUT.csv"),
        (["-", "-o", "out.csv", "--resume"], "standard input came"),
        (["no.csv", "-o", "out.csv", "--resume"], "There is no file 'no.csv'"),
    ],
)
def test_what_cannot_be_gone_on_with_is_told(how: list[str], words: str, model: Path) -> None:
    code, told = run(model, *how)
    assert (code, words in told.replace("\n", " ")) == (2, True)
    assert os.listdir() == ["parts"]  # noqa: PTH208
