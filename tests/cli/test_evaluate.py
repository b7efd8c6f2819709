"""`selfnorm evaluate --resume`: what is told where it is cut off, and goes on."""

import os
import signal
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from selfnorm.cli._app import app
from selfnorm.tabular import TabularModel, save_model
from selfnorm.tabular import _evaluation_checkpoint as checkpoints
from selfnorm.tabular.data import _binary
from selfnorm.training._pace import Pace
from support.tables import fitted, settings, small_parts, small_source


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_binary, "_ROWS", 30)
    monkeypatch.setattr(checkpoints, "Pace", lambda *_: Pace(0, None))
    save_model(fitted(small_source("classification"), settings()).model, "model")
    small_parts(tmp_path, 240, groups=40)


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, results, and what is told."""
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr.replace("\n", " ")


def test_ctrl_c_keeps_the_figures_and_resume_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    code, expected, told = run("model", "parts", "--json")
    assert (code, told) == (0, "")
    predicted, begun = TabularModel._predicted, []

    def until(model: TabularModel, block: pa.Table, teller: object) -> object:
        begun.append(1)
        if len(begun) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return predicted(model, block, teller)

    with monkeypatch.context() as patched:
        patched.setattr(TabularModel, "_predicted", until)
        code, _, told = run("model", "parts", "--resume")
    place = Path("model-on-parts.checkpoint").absolute()
    assert code == 2
    assert f"Stopped by Ctrl-C; the figures of 80 rows are in '{place}'." in told
    assert place.exists()
    code, found, told = run("model", "parts", "--resume", "--json")
    assert "80 rows are measured already; those behind them follow." in told
    assert (code, found) == (0, expected)
    assert sorted(os.listdir()) == ["model", "parts"]  # noqa: PTH208


def test_what_cannot_be_gone_on_with_is_told() -> None:
    code, _, told = run("model", "-", "--resume")
    assert (code, "standard input" in told) == (2, True)
    Path("model-on-parts.checkpoint").write_text("mine")
    code, _, told = run("model", "parts", "--resume")
    assert (code, "needs a folder that can be written to" in told) == (2, True)
