"""`selfnorm audit`, as it is typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from selfnorm.cli._app import app

CODE = """
import torch
from torch import nn
import selfnorm
def right(): return selfnorm.nn.MLP(16, 2, width=64, depth=4)
def wrong():
    return nn.Sequential(
        nn.Linear(16, 64), nn.SELU(), nn.Linear(64, 64), nn.SELU(), nn.Linear(64, 2)
    )
def both(): return right(), torch.randn(128, 16)
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"cli_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    return name


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def test_a_right_network_exits_with_0(nets: str) -> None:
    for arguments in ((f"{nets}:right", "-i", "256x16"), (f"{nets}:both",)):
        outcome = run(*arguments)
        assert outcome.exit_code == 0, outcome.output
        assert "Self-normalizing" in outcome.stdout
        assert max(map(len, outcome.stdout.splitlines())) <= 80


def test_a_wrong_one_exits_with_1_and_writes_its_report(nets: str) -> None:
    outcome = run(f"{nets}:wrong", "-i", "256x16", "--html", "r.html", "--json", "r.json")
    assert outcome.exit_code == 1
    assert "ERROR   selu-without-lecun" in outcome.stdout
    assert "report.full()" in outcome.stdout
    assert "  expected " in run(f"{nets}:wrong", "-i", "256x16", "--full").stdout
    assert Path("r.html").read_text().startswith("<!doctype html>")
    assert '"ok": false' in Path("r.json").read_text()


def test_json_to_the_terminal_is_nothing_else(nets: str) -> None:
    outcome = run(f"{nets}:wrong", "-i", "256x16", "--json", "-")
    assert outcome.exit_code == 1
    assert json.loads(outcome.stdout)["ok"] is False
    assert not Path("-").exists()


@pytest.mark.parametrize(
    ("which", "fail_on", "code"),
    [("wrong", "error", 1), ("wrong", "never", 0), ("right", "error", 0), ("right", "note", 1)],
)
def test_from_which_severity_on_it_fails(nets: str, which: str, fail_on: str, code: int) -> None:
    outcome = run(f"{nets}:{which}", "-i", "256x16", "--fail-on", fail_on)
    assert outcome.exit_code == code, outcome.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("{}:right",), "needs inputs"),
        (("{}:right", "-i", "8x5"), "must run on the inputs; it raised RuntimeError"),
        (("{}:right", "-i", "none.npy"), "no such file"),
        (("{}:right", "--data", "x.csv"), "--data goes with a folder"),
        (("{}:none", "-i", "8x16"), "no 'none'"),
        (("nowhere",), "package.module:factory, or is a folder"),
        (("{}:right", "-i", "8x16", "--html", "none/r.html"), "No such file or directory"),
    ],
)
def test_mistakes_exit_with_2_in_one_line(nets: str, arguments: tuple[str, ...], says: str) -> None:
    outcome = run(*(a.format(nets) for a in arguments))
    assert outcome.exit_code == 2, outcome.output
    assert says in outcome.stderr
    assert "Traceback" not in outcome.output


def test_a_folder_that_fit_wrote(nets: str) -> None:
    fitted = CliRunner().invoke(
        app, ["fit", "wine", "--epochs", "2", "-o", "m", "--monitor", "--depth", "2"]
    )
    assert fitted.exit_code == 0, fitted.output
    assert "monitor.csv" in fitted.stdout
    assert Path("m/monitor.csv").read_text().startswith('"step","layer"')
    assert Path("m/monitor.png").stat().st_size > 1000
    outcome = run("m", "--data", "wine", "--fail-on", "never")
    assert outcome.exit_code == 0, outcome.output
    assert "Audit of MLP" in outcome.stdout
    outcome = run("m")
    assert outcome.exit_code == 2
    assert "--data TABLE" in outcome.stderr
