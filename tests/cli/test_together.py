"""Options of trainings that are shared, or side by side, and what is refused of them."""

from contextlib import nullcontext
from pathlib import Path

import pyarrow.csv as pacsv
import pytest
import typer
from typer.testing import CliRunner

from selfnorm.cli import _console, _together
from selfnorm.cli._app import app
from selfnorm.errors import SelfNormError
from selfnorm.training import Processes
from support.tables import small_table

STARTED = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "x"}


@pytest.fixture
def unmuted() -> object:
    yield
    _console.mute(False)


@pytest.fixture
def table(tmp_path: Path) -> str:
    pacsv.write_csv(small_table(), tmp_path / "t.csv")
    return str(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--jobs", "0"], "as many as --jobs says; 0 came"),
        (["--distribute", "columns"], "--distribute is one of members, rows; 'columns' came"),
        (["--tune", "2", "--scheduler", "nowhere"], "--scheduler is the address|sent by Dask"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], words: str, table: str) -> None:
    told = CliRunner().invoke(app, ["fit", table, "-t", "label", *arguments])
    assert told.exit_code == 2
    said = " ".join(told.output.replace("│", " ").split())
    assert any(word in said for word in words.split("|")), said


@pytest.mark.usefixtures("unmuted")
def test_all_but_the_first_process_say_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in STARTED.items():
        monkeypatch.setenv(name, value)
    _together.mute_but_first()
    _console.tell("a note")
    with pytest.raises(typer.Exit):
        _console.fail("all say so")
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("unmuted")
@pytest.mark.parametrize("first", [True, False])
def test_one_process_says_what_failed_and_where(
    first: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Second(Processes):
        @classmethod
        def joined(cls) -> object:
            return nullcontext(cls(1, 2))

        def is_first_to_fail(self) -> bool:
            return first

    for name, value in STARTED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("selfnorm.training.Processes", Second, raising=False)
    _together.mute_but_first()
    with pytest.raises(typer.Exit), _together.joined():
        raise SelfNormError("A part is damaged.")
    said = "Error: In process 1 of 2: A part is damaged.\n" if first else ""
    assert capsys.readouterr().err == said


def test_numbers_of_processes_are_torchruns(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**STARTED, "RANK": "one"}.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(SelfNormError, match=r"RANK is a whole number, as torchrun sets it; 'one'"),
        Processes.joined(),
    ):
        pass
