"""What is typed wrong is one line, and tells what the command takes, what came, and what to do."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from selfnorm.cli._app import app


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("fit t.csv --targe y", "selfnorm fit has no option --targe. Did you mean --target"),
        ("fit t.csv --depth two", "--depth is a whole number; 'two' came. selfnorm fit -h lists"),
        ("fit t.csv --dropout=x", "--dropout is a number; 'x' came. selfnorm fit -h lists"),
        ("fit t.csv --weights new", "--weights is one of lecun, orthogonal; 'new' came."),
        ("fit t.csv --target", "--target needs a value behind it; none came."),
        ("fit t.csv --quiet=3", "does not take a value. selfnorm fit -h lists its options."),
        ("ftt t.csv", "No such command 'ftt'."),
        ("predict m", "selfnorm predict needs MODEL TABLE; TABLE did not come."),
        ("export m a.onnx b.onnx", "selfnorm export takes MODEL OUT; b.onnx came besides."),
        ("solve 3", "selfnorm solve takes options alone; 3 came besides."),
        ("--zzz", "selfnorm has no option --zzz. selfnorm -h lists the commands."),
    ],
)
def test_what_is_typed_wrong_is_one_line(typed: str, told: str) -> None:
    outcome = CliRunner().invoke(app, typed.split())
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    [line] = outcome.stderr.splitlines()
    assert line.startswith("Error: ")
    assert told in line
    assert line.endswith(("lists its options.", "lists the commands."))


def test_a_command_without_anything_behind_it_shows_its_help() -> None:
    outcome = CliRunner().invoke(app, ["fit"])
    assert outcome.exit_code == 2
    assert "--target" in outcome.output
    assert CliRunner().invoke(app, ["fit", "--help"]).exit_code == 0


def test_the_help_of_fit_leaves_room_for_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = CliRunner().invoke(app, ["fit", "--help"]).output.splitlines()
    assert max(map(len, lines)) <= 80
    told = " ".join(" ".join(lines).replace("│", " ").split())
    for words in ("classification or regression.", "fast, default or best.", "N Hidden layers."):
        assert words in told
    assert len(lines) < 140


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("fit none.csv -t y", "There is no file 'none.csv'"),
        ("fit none/*.csv -t y", "'none/*.csv' matches none"),
        ("fit ragged.csv -t y", "row 3 has 1 where the header has 2"),
        ("fit page.csv -t y", "'page.csv' is HTML or XML"),
        ("fit t.csv -t y --cv 1", "--cv takes folds, 2 or more; 1 came. Try --cv 5"),
        ("fit t.csv -t y --tune 0", "--tune tries settings, 2 or more; 0 came"),
        ("predict t.csv model", "'t.csv' is another file. Name what `selfnorm fit` wrote"),
        ("explain t.csv t.csv", "it stands before the table"),
        ("evaluate none t.csv", "there is no 'none/model.json'"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_before_torch_is_imported(
    typed: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: object) -> None:
        pytest.fail("it is told too late")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("selfnorm.cli._fit._trained", train)
    monkeypatch.setattr("selfnorm.tabular._storage.model_of", train)
    Path("ragged.csv").write_text("x,y\n1,2\n3\n")
    Path("page.csv").write_text("<html></html>")
    Path("t.csv").write_text("x,y\n1,2\n")
    outcome = CliRunner().invoke(app, typed.split())
    assert outcome.exit_code == 2
    assert told in outcome.stderr
