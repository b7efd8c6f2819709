"""What fit, evaluate and explain take and give besides: configs, JSON, folds, trials, times."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.csv as pacsv
import pytest
from typer.testing import CliRunner

from selfnorm.cli._app import app
from selfnorm.cli._config import seconds, write_config
from selfnorm.errors import ArgumentError
from support.tables import small_table

QUICK = ["--n-estimators", "1", "--depth", "2", "--width", "16", "--epochs", "2"]


def run(*arguments: str, code: int = 0):
    outcome = CliRunner().invoke(app, list(arguments))
    assert outcome.exit_code == code, outcome.output
    return outcome


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table and a model of it, which are not to be changed."""
    made = tmp_path_factory.mktemp("model")
    pacsv.write_csv(small_table().drop_columns(["amount"]), made / "t.csv")
    run("fit", str(made / "t.csv"), "-t", "label", "-o", str(made / "m"), *QUICK)
    return made


@pytest.fixture(autouse=True)
def there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_a_config_repeats_a_fit_and_options_beside_it_count(tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    run("fit", "--config", "m/config.toml", "-o", str(again))
    for name in ("model.json", "model.safetensors"):
        assert (again / name).read_bytes() == Path("m", name).read_bytes()
    assert (again / "config.toml").read_bytes() == Path("m/config.toml").read_bytes()
    run("fit", "--config", "m/config.toml", "-o", str(other), "--seed", "3", "--ignore", "day")
    written = (other / "config.toml").read_text()
    assert "seed = 3" in written
    assert 'ignore = ["day"]' in written
    assert "width = 16" in written


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('lable = "y"', "holds 'lable'"),
        ("width = ", "cannot be read"),
        ("width = 0", "width must be a whole number"),
        ('time_limit = "soon"', "time_limit must be seconds"),
    ],
)
def test_a_config_that_is_wrong_is_one_line(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "c.toml").write_text(content)
    told = run("fit", "t.csv", "-t", "label", "--config", str(tmp_path / "c.toml"), code=2)
    assert words in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1


def test_odd_names_survive_a_config(tmp_path: Path) -> None:
    import tomllib

    options = {"target": 'a "b" \\ \n数\x7f', "ignore": ["[x]", "#"], "test": 0.2, "cv": None}
    assert tomllib.loads(write_config(options)) == {n: v for n, v in options.items() if v}


def test_times_are_seconds_minutes_or_hours() -> None:
    assert [seconds(one) for one in ("90", "90s", "10m", "1.5h", None)] == [90, 90, 600, 5400, None]
    for wrong in ("ten", "10 minutes", "-3", "1e3"):
        with pytest.raises(ArgumentError, match="Try 10m"):
            seconds(wrong)


def test_json_is_one_object_on_stdout(tmp_path: Path) -> None:
    told = run("evaluate", "m", "t.csv", "--json")
    found = json.loads(told.stdout)
    assert found["rows"] == 120
    assert set(found["metrics"]) == set(found["baseline"])
    assert [one["class"] for one in found["classes"]] == ["big", "small"]
    assert sum(map(sum, found["confusion"])) == 120
    out = str(tmp_path / "j")
    told = run("fit", "t.csv", "-t", "label", "-o", out, "--json", "--cv", "2", *QUICK)
    found = json.loads(told.stdout)
    assert found["model"] == out
    assert len(found["cv"]["folds"]) == 2
    assert set(found["cv"]["metrics"]["accuracy"]) == {"mean", "deviation"}


def test_quiet_prints_nothing_but_errors(tmp_path: Path) -> None:
    told = run("fit", "t.csv", "-t", "label", "-o", str(tmp_path / "q"), "--quiet", *QUICK)
    assert told.output == ""
    told = run("fit", "t.csv", "-t", "lable", "--quiet", code=2)
    assert "Did you mean 'label'" in told.stderr
    assert "accuracy" in run("evaluate", "m", "t.csv").stdout  # and is over with the command


def test_evaluate_tells_class_by_class_and_of_strange_ones(tmp_path: Path) -> None:
    told = run("evaluate", "m", "t.csv").stdout
    for words in ("Class by class", "found (recall)", "Rows by true class", "told small"):
        assert words in told
    changed = Path("t.csv").read_text().replace('"big"', '"huge"', 3)
    (tmp_path / "n.csv").write_text(changed)
    told = run("evaluate", "m", str(tmp_path / "n.csv"))
    assert "3 of 120 rows are of classes that the model does not know ('huge')" in told.stderr
    assert "huge (unknown to the model)" in told.stdout


def test_folds_trials_and_groups_are_told(tmp_path: Path) -> None:
    told = run(
        *("fit", "t.csv", "-t", "label", "-o", str(tmp_path / "f"), "--preset", "fast"),
        *("--width", "16", "--epochs", "1", "--cv", "2", "--tune", "2", "--group", "day"),
        *("--n-estimators", "3"),
    )
    for words in ("Groups   ", "Of 2 settings that were tried", "Cross-validation, 2 folds"):
        assert words in told.stdout
    assert 'group = "day"' in (tmp_path / "f" / "config.toml").read_text()
    assert (
        "by group or by time"
        in run("fit", "t.csv", "-t", "label", "--group", "a", "--split-by-time", "b", code=2).stderr
    )


def test_explain_tells_columns_and_a_row(tmp_path: Path) -> None:
    told = run("explain", "m", "t.csv", "--row", "3", "--html", str(tmp_path / "e.html"))
    for words in ("Row 3", "Importance on 120 rows, by the log loss", "If all rows had the same"):
        assert words in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80
    page = (tmp_path / "e.html").read_text()
    assert "Row 3" in page
    table = Path("t.csv").read_bytes()
    for out, words in (
        ("t.csv", "'t.csv' is the table. Name another"),
        ("m/model.json", "A page is written as .html or .htm"),
        ("none/e.html", "There is no folder 'none'"),
        (str(tmp_path / "e.html"), "is there already. Name another file, or give --force"),
    ):
        assert words in run("explain", "m", "t.csv", "--html", out, code=2).stderr
    assert Path("t.csv").read_bytes() == table
    assert (tmp_path / "e.html").read_text() == page
    run("explain", "m", "t.csv", "--html", str(tmp_path / "e.html"), "--force")
    assert "Row 3" not in (tmp_path / "e.html").read_text()
    found = json.loads(run("explain", "m", "t.csv", "--json", "--row", "1").stdout)
    assert {one["column"] for one in found["importances"]} == {"size", "city", "day"}
    added = sum(found["row"]["added"].values())
    assert found["row"]["start"] + added == pytest.approx(found["row"]["end"])
    assert "121 came" in run("explain", "m", "t.csv", "--row", "121", code=2).stderr


def test_a_mistyped_column_is_told_before_what_is_slow_is_imported() -> None:
    code = (
        "import sys; from selfnorm.cli._app import app\n"
        "try: app(['fit', 't.csv', '-t', 'label', '--ignore', 'dya'])\n"
        "except SystemExit: print('torch' in sys.modules, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False False", done.stderr
    assert "Did you mean 'day'" in done.stderr


def test_what_is_redirected_is_neither_folded_nor_filled_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = run("evaluate", "m", "t.csv").stdout.splitlines()
    assert all(line == line.rstrip() for line in lines)
    assert "On 120 rows of t.csv" in lines
