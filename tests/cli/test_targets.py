"""Several targets as a user learns them: fit, predict, evaluate, explain, export, and the page."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from typer.testing import CliRunner

from selfnorm.cli._app import app
from support.tables import small_table

QUICK = ["--preset", "fast", "--depth", "1", "--width", "16", "--epochs", "2"]


def run(*arguments: str, code: int = 0):
    outcome = CliRunner().invoke(app, list(arguments))
    assert outcome.exit_code == code, outcome.output
    return outcome


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table and models of its numbers and labels, which are not to be changed."""
    made = tmp_path_factory.mktemp("targets")
    table, rng = small_table(), np.random.default_rng(0)
    some = rng.random(120) < 0.2
    size = table["size"].fill_null(20).to_numpy()
    weight = pa.array(np.where(some, np.nan, 3 * size), from_pandas=True)
    cold = pa.array(np.where(size > 20, "yes", "no"), mask=some)
    table = table.append_column("weight, net", weight).append_column("cold", cold)
    pacsv.write_csv(table, made / "t.csv")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(made)
        here.setenv("COLUMNS", "80")
        for name, targets, others in (
            ("numbers", ("amount", "weight, net"), ("label", "cold")),
            ("labels", ("cold", "label"), ("amount", "weight, net")),
        ):
            named = [part for one in targets for part in ("--target", one)]
            named += [part for one in others for part in ("--ignore", one)]
            told = run("fit", "t.csv", *named, "-o", name, *QUICK)
            (made / f"{name}.txt").write_text(told.stdout)
    return made


@pytest.fixture(autouse=True)
def there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize(
    ("name", "target", "shown"),
    [
        ("numbers", "2 numbers: amount, 'weight, net'; ", " weight, net "),
        ("labels", "2 labels: cold, label; ", " label=small "),
    ],
)
def test_fit_says_what_the_targets_are_and_measures_each(
    name: str, target: str, shown: str
) -> None:
    told = Path(f"{name}.txt").read_text()
    assert target in told
    assert "of their cells are empty" in told
    assert "Target by target" in told
    assert shown in told
    assert max(map(len, told.splitlines())) <= 80


def test_predictions_have_a_column_for_each_target() -> None:
    header, first, *_ = run("predict", "numbers", "t.csv").stdout.splitlines()
    assert header == '"amount","weight, net"'
    assert len(first.split(",")) == 2
    header, first, *_ = run("predict", "labels", "t.csv").stdout.splitlines()
    assert header == '"cold","label","probability_cold","probability_label=small"'
    assert first.split(",")[0] in ('"no"', '"yes"')
    assert first.split(",")[1] in ('"big"', '"small"')


def test_evaluate_tells_target_by_target() -> None:
    told = run("evaluate", "labels", "t.csv", "--json").stdout
    cold, label = json.loads(told)["targets"]
    assert (cold["target"], label["target"], label["rows"]) == ("cold", "label", 120)
    assert cold["rows"] < 120
    assert {"accuracy", "log loss", "AUC"} <= set(cold["metrics"])
    assert "Target by target" in run("evaluate", "numbers", "t.csv").stdout
    wrong = Path("t.csv").read_text().replace('"yes"', '"maybe"')
    Path("wrong.csv").write_text(wrong)
    told = run("evaluate", "labels", "wrong.csv", code=2)
    assert "'cold' is a label, no or yes; row" in told.stderr


def test_explain_tells_each_target_or_the_one_that_is_named() -> None:
    told = run("explain", "numbers", "t.csv", "--row", "1").stdout
    assert "Row 1, amount" in told
    assert "Row 1, weight, net" in told
    assert "by the RMSE in deviations" in told
    told = run("explain", "labels", "t.csv", "--row", "1", "--target", "cold").stdout
    assert "by the log loss of cold" in told
    assert "probability of cold" in told
    assert "label" not in told
    wrong = run("explain", "labels", "t.csv", "--target", "warm", code=2)
    assert "one that the model predicts, cold, label; 'warm' came" in wrong.stderr
    of_one, of_all = (
        json.loads(run("explain", "numbers", "t.csv", *more, "--json").stdout)["importances"]
        for more in (["--target", "amount"], [])
    )
    assert {each["column"]: each["loss"] for each in of_one} != {
        each["column"]: each["loss"] for each in of_all
    }
    one = json.loads(run("explain", "numbers", "t.csv", "--row", "1", "--json").stdout)
    assert [own["output"] for own in one["row"]] == ["amount", "weight, net"]


def test_a_row_is_explained_by_what_its_prediction_is() -> None:
    found = run("explain", "numbers", "t.csv", "--row", "1", "--html", "page.html", "--json").stdout
    told = run("predict", "numbers", "t.csv").stdout.splitlines()[1].split(",")
    for own, value in zip(json.loads(found)["row"], told, strict=True):
        assert own["end"] == pytest.approx(float(value), rel=1e-4)
        assert own["start"] + sum(own["added"].values()) == pytest.approx(own["end"])
    page = Path("page.html").read_text()
    assert page.count("in the mean over rows; what is between") == 2


def test_the_page_shows_each_target() -> None:
    page = Path("labels/report.html").read_text()
    assert "cold, label of t.csv" in page
    for words in ("Target by target", "cold: calibration", "label: calibration", "label=small"):
        assert words in page
    page = Path("numbers/report.html").read_text()
    for words in ("amount: true by told", "weight, net: residual by told", "RMSE in deviations"):
        assert words in page


def test_a_config_repeats_a_fit_of_several_targets_and_takes_one_as_text(tmp_path: Path) -> None:
    run("fit", "--config", "labels/config.toml", "-o", str(tmp_path / "again"))
    for name in ("model.safetensors", "config.toml"):
        assert (tmp_path / "again" / name).read_bytes() == Path("labels", name).read_bytes()
    (tmp_path / "one.toml").write_text('target = "label"\nignore = "amount"\nepochs = 1\n')
    more = ["--config", str(tmp_path / "one.toml"), "-o", str(tmp_path / "one"), *QUICK]
    assert "label: 2 classes (big, small)" in run("fit", "t.csv", *more).stdout


def test_folds_trials_and_files_for_elsewhere_take_several_targets(tmp_path: Path) -> None:
    named = ["-t", "amount", "-t", "weight, net", "--ignore", "label", "--ignore", "cold"]
    more = ["--preset", "fast", "--epochs", "1", "--cv", "2", "--tune", "2"]
    told = run("fit", "t.csv", *named, *more, "-o", str(tmp_path / "m")).stdout
    assert "Cross-validation, 2 folds" in told
    assert "trial  RMSE in deviations  settings" in told
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    for name in ("numbers", "labels"):
        file = str(tmp_path / f"{name}.onnx")
        assert "answers on 120 rows" in run("export", name, file, "--table", "t.csv").stdout
    about = json.loads(onnx.load(file).doc_string)
    assert about["target"] == ["cold", "label=small"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["-t", "amount", "-t", "label"],
            "'amount' holds numbers, and 'label' holds big and small",
        ),
        (["-t", "amount", "-t", "amuont"], "there is no 'amuont'. Did you mean 'amount'?"),
        (["-t", "amount", "-t", "amount"], "a list of different ones"),
        (["-t", "label", "-t", "city"], "'city' has 3 classes. Fit it alone"),
    ],
)
def test_targets_that_do_not_go_together_are_one_line(arguments: list[str], words: str) -> None:
    told = run("fit", "t.csv", *arguments, "-o", "none", code=2)
    assert words in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1
    assert not Path("none").exists()


def test_a_table_in_parts_has_one_target() -> None:
    big = pa.concat_tables([small_table(20_000, seed) for seed in range(4)])
    pacsv.write_csv(big.append_column("other", big["amount"]), "big.csv")
    more = ["-t", "amount", "-t", "other", "-o", "none", "--memory", "10MB"]
    told = run("fit", "big.csv", *more, code=2)
    assert "Several targets are learned from a table in memory; 2 came" in told.stderr
    assert not Path("none").exists()
