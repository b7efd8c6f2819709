"""`selfnorm fit --resume`: what was cut off goes on, and nothing is written over unseen."""

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pyarrow.csv as pacsv
import pytest
from typer.testing import CliRunner

from selfnorm.cli._app import app
from selfnorm.cli._progress import Bar
from selfnorm.tabular import Result
from selfnorm.training import Checkpoint
from selfnorm.training._pace import Pace
from support.fresh import run_fresh
from support.tables import small_table

FIT = ["fit", "t.csv", "-t", "label", "--ignore", "amount", "--width", "8", "--depth", "2"]
FIT += ["--epochs", "4", "--n-estimators", "2", "--no-infinite"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    pacsv.write_csv(small_table(), "t.csv")
    for slow in ("_figures", "_pages"):  # which others test
        monkeypatch.setattr(Result, slow, lambda _: {})
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command."""
    try:
        done = CliRunner().invoke(app, [*FIT, *arguments])
    except Killed:
        return -signal.SIGKILL, "", ""
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


class Killed(BaseException):
    """What a test has of SIGKILL: nobody catches it."""


def kill() -> None:
    raise Killed


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def cut(at: int, what: Callable[[], None], *arguments: str) -> tuple[int, str, str]:
    """A command that something happens to behind so many mini-batches; each third is kept."""
    with pytest.MonkeyPatch.context() as patched:
        steps: list[int] = []

        def step(_: Bar) -> None:
            steps.append(1)
            if len(steps) == at:
                what()

        due: list[int] = []
        patched.setattr(Pace, "step", lambda *_: (due.append(1), len(due) % 3 == 0)[1])
        patched.setattr(Bar, "step", step)
        return run(*arguments)


def model(folder: str = "t-model") -> list[bytes]:
    return [(Path(folder) / name).read_bytes() for name in ("model.safetensors", "model.json")]


@pytest.fixture
def undisturbed() -> list[bytes]:
    assert run("-o", "undisturbed")[0] == 0
    return model("undisturbed")


def test_what_was_killed_goes_on_and_its_checkpoint_is_gone(undisturbed: list[bytes]) -> None:
    cut(8, kill)
    kept = sorted(Path("t-model/checkpoint").iterdir())
    assert [path.name[:8] for path in kept] == ["training"] * 2
    code, output, errors = run()
    assert (code, output) == (2, "")
    assert "Error: A training that was cut off has left a checkpoint" in errors
    assert sorted(Path("t-model/checkpoint").iterdir()) == kept
    code, output, errors = run("--resume")
    assert code == 0
    assert "Note: The training goes on from the checkpoint in t-model/checkpoint/." in errors
    assert model() == undisturbed
    assert not Path("t-model/checkpoint").exists()


def test_sigterm_keeps_a_checkpoint_and_exits_with_143(undisturbed: list[bytes]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    code, _, errors = cut(8, terminate)
    assert code == 143
    assert "Stopped by SIGTERM; a checkpoint is in t-model/checkpoint/: --resume." in errors
    assert signal.getsignal(signal.SIGTERM) == before
    assert run("--resume")[0] == 0
    assert model() == undisturbed


def test_ctrl_c_saves_the_best_epoch_and_the_checkpoint_goes_on(undisturbed: list[bytes]) -> None:
    code, _, errors = cut(12, interrupt)
    assert code == 2
    assert "is kept and saved. Run again with --resume to train to the end." in errors
    assert model() != undisturbed
    assert run("--force")[0] == 2
    assert run("--resume")[0] == 0
    assert model() == undisturbed


def test_ctrl_c_before_an_epoch_is_done_says_how_to_go_on(undisturbed: list[bytes]) -> None:
    code, _, errors = cut(2, interrupt)
    assert code == 2
    assert "Stopped by Ctrl-C; a checkpoint is in t-model/checkpoint/. Go on from it" in errors
    assert run("--resume")[0] == 0
    assert model() == undisturbed


def test_a_file_keeps_its_checkpoint_beside_it_and_it_may_be_discarded() -> None:
    cut(8, kill, "-o", "m.snn")
    assert Path("m.snn.checkpoint").is_dir()
    assert "has left a checkpoint in 'm.snn.checkpoint'" in run("-o", "m.snn")[2]
    told = run("-o", "m.snn", "--resume", "--seed", "1")[2]
    assert "settings.seed was 0 and is 1" in told
    assert run("-o", "m.snn", "--no-resume", "--seed", "1")[0] == 0
    assert not Path("m.snn.checkpoint").exists()


def test_folds_belong_to_what_goes_on() -> None:
    cut(8, kill)
    assert "cv was None and is 3" in run("--cv", "3", "--resume")[2]


def test_without_a_checkpoint_resume_begins_and_says_so() -> None:
    code, _, errors = run("--resume")
    assert code == 0
    assert "There is no checkpoint to go on from; the training starts." in errors
    assert "holds files" in run("--resume")[2]


def test_two_fits_into_one_folder_are_told() -> None:
    with Checkpoint("t-model/checkpoint"):
        code, _, errors = run("--force")
    assert code == 2
    here = f"process {os.getpid()} on {socket.gethostname()}"
    assert f"Error: One program at a time writes into a folder; {here} writes into" in errors
    assert not Path("t-model").exists()
    Path("t-model/checkpoint").mkdir(parents=True)
    told = json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()})
    Path("t-model/checkpoint/lock").write_text(told)
    assert run()[0] == 0
    assert not Path("t-model/checkpoint").exists()


def test_sigterm_before_the_training_leaves_nothing_behind(tmp_path: Path) -> None:
    """In a process of its own, as it ends at once."""
    code = f"""
import os, signal
from selfnorm.cli import _fit
from selfnorm.cli._app import app
_fit._trained = lambda *_: os.kill(os.getpid(), signal.SIGTERM)
os.chdir({str(tmp_path)!r})
child = os.fork()
if not child:
    app({FIT!r})
print("code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), sorted(os.listdir()))
"""
    assert "code 143 ['t.csv']" in run_fresh(code)
