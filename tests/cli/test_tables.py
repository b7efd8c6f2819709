"""fit, predict and evaluate as a user runs them: what is printed, written, and refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
import torch
from typer.testing import CliRunner

from selfnorm.cli._app import app
from selfnorm.tabular import load_model
from selfnorm.tabular.export._export import inputs_of
from support.folders import reweigh
from support.tables import small_table
from support.tolerances import EXPORTED

QUICK = ["--depth", "3", "--width", "16", "--epochs", "3"]


class Result:
    """What a command printed, wide tables unfolded, and its exit code."""

    def __init__(self, *arguments: str) -> None:
        outcome = CliRunner().invoke(app, list(arguments))
        if outcome.exception and not isinstance(outcome.exception, SystemExit):
            raise outcome.exception
        self.code, self.output, self.errors = outcome.exit_code, outcome.stdout, outcome.stderr


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    pacsv.write_csv(small_table(), "t.csv")
    return tmp_path


@pytest.fixture
def model() -> Path:
    assert Result("fit", "t.csv", "-t", "label", "--ignore", "amount", *QUICK).code == 0
    return Path("t-model")


def refused(*arguments: str) -> str:
    """The one line of an error, once exit code, stdout and traceback are as they must be."""
    before = sorted(Path().rglob("*"))
    result = Result(*arguments)
    assert result.code == 2, result.output + result.errors
    assert result.output == ""
    lines = result.errors.strip().splitlines()
    assert len(lines) == 1, result.errors
    assert lines[0].startswith("Error: ")
    assert sorted(Path().rglob("*")) == before
    return lines[0]


def test_a_damaged_model_is_told_by_every_command(model: Path) -> None:
    content = (model / "model.json").read_bytes()
    flipped = content.replace(b'"known": 1.0', b'"known": 3.0')
    assert flipped != content
    (model / "model.json").write_bytes(flipped)
    for command in ("predict", "evaluate"):
        assert "model.json' is damaged (its SHA-256 is not" in refused(command, str(model), "t.csv")
    with (model / "model.json").open("wb") as file:
        file.truncate(40 * 2**30)
    assert "is damaged (it has 42,949,672,960 bytes" in refused("predict", str(model), "t.csv")


def test_predictions_that_are_not_finite_are_told() -> None:
    fitting = ["fit", "t.csv", "-t", "amount", "--ignore", "label", "--depth", "16", "--epochs"]
    assert Result(*fitting, "1", "--width", "16").code == 0
    largest = torch.finfo(torch.float32).max
    reweigh(
        Path("t-model"),
        lambda state: {name: torch.full_like(v, largest / 99) for name, v in state.items()},
    )
    for command in ("predict", "evaluate"):
        assert "A prediction must be finite; in " in refused(command, "t-model", "t.csv")


def test_fit_says_what_it_understood_and_writes_a_model() -> None:
    target = ("--target", "label", "--ignore", "amount", "--test", "0.2")
    result = Result("fit", "t.csv", *target, *QUICK)
    assert result.code == 0
    for words in (
        "t.csv: 120 rows",
        "2 numbers, 1 category, 1 ignored",
        "ignored amount: as asked",
        "label: 2 classes (big, small)",
        "24 held out to measure",
        "On 24 rows that training never saw",
        "trivial baseline",
        "variance, start",
        "Wrote t-model/",
    ):
        assert words in result.output
    assert max(len(line) for line in result.output.splitlines()) <= 80
    assert sorted(path.name for path in Path("t-model").iterdir()) == [
        "config.toml",
        "model.json",
        "model.safetensors",
        "report.html",
        "training.png",
    ]
    about = json.loads(Path("t-model/model.json").read_text())["about"]
    assert len(about["epochs"]) == 3
    assert len(about["layers"]["before"]) == 3
    assert about["metrics"]["accuracy"] > 0
    assert Path("t-model/training.png").read_bytes().startswith(b"\x89PNG")


def test_several_networks_say_whose_rows_are_whose() -> None:
    result = Result("fit", "t.csv", "-t", "label", "--n-estimators", "4", *QUICK)
    assert result.code == 0
    assert "120 to train, each left out by 2 of 4 networks\n" in trimmed(result.output)
    assert "On 120 rows, cross-fitted" in result.output
    assert "Each row is predicted by networks that did not learn from it." in result.output
    about = json.loads(Path("t-model/model.json").read_text())["about"]
    assert about["cross_fitted"]
    assert about["metrics"]["accuracy"] > 0
    assert max(len(line) for line in result.output.splitlines()) <= 80
    assert "n_estimators must be a whole number" in refused(
        "fit", "t.csv", "-t", "label", "--n-estimators", "0", "-o", "other"
    )


def test_a_column_of_weights_is_told_and_counts() -> None:
    table = small_table().drop_columns(["amount"])
    counts = np.arange(120) % 3
    pacsv.write_csv(table.append_column("count", pa.array(counts)), "w.csv")
    kept = pa.array(counts > 0)
    pacsv.write_csv(table.append_column("count", pa.array(counts)).filter(kept), "kept.csv")
    for name in ("w", "kept"):
        result = Result("fit", f"{name}.csv", "-t", "label", "--sample-weight", "count", *QUICK)
        assert result.code == 0
        assert "Weights  1 to 2, mean 1.5\n" in trimmed(result.output)
        assert ("80 rows; 40 of weight 0 left out\n" in trimmed(result.output)) == (name == "w")
    one, other = (Path(f"{name}-model/model.safetensors") for name in ("w", "kept"))
    assert one.read_bytes() == other.read_bytes()


def trimmed(text: str) -> str:
    """Without the spaces that fill lines."""
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_one_seed_writes_the_same_model_twice() -> None:
    for name in ("a", "b"):
        assert Result("fit", "t.csv", "-t", "label", "-o", name, "--seed", "7", *QUICK).code == 0
    for file in ("model.safetensors", "model.json"):
        assert Path("a", file).read_bytes() == Path("b", file).read_bytes()


def test_regression_is_told_by_the_target() -> None:
    result = Result("fit", "t.csv", "-t", "amount", "--ignore", "label", *QUICK)
    assert result.code == 0
    assert "amount: a number, from" in result.output
    assert "RMSE" in result.output


def test_what_was_understood_and_what_is_doubtful_is_told() -> None:
    rng = np.random.default_rng(0)
    lines = ["# made by hand", ",day,price,zip,n,twice,twice,label"]
    for row in range(60):
        day, month, code = rng.integers(1, 28), rng.integers(1, 12), rng.integers(1, 5)
        number = "Unknown" if row % 7 == 0 else f"{rng.normal():.2f}"
        label = f"${rng.integers(5, 99)},{row:03}.00"
        lines.append(f'{row},{day}/{month}/2015,{row % 9}%,0{code},{number},1,2,"{label}"')
    Path("odd.csv").write_text("\n".join(lines))
    result = Result("fit", "odd.csv", "-t", "label", "--n-estimators", "1", *QUICK)
    assert result.code == 0
    for words in (
        "3 numbers, 1 category, 2 ignored",
        "ignored unnamed_1: a saved row index",
        "ignored twice: 2 columns have this name",
        "day: dates as 31/01/2020",
        "label: a number, from",
    ):
        assert words in result.output
    for words in (
        "the first line is passed over",
        "'0%' is read as the number 0.",
        "9 of 60 cells hold 'Unknown'; taken as missing.",
        "Column 'zip' is a category, since numbers do not begin with 0",
        "Column 'label': '$",
    ):
        assert words in result.errors
    assert Result("evaluate", "odd-model", "odd.csv").code == 0
    assert "'twice' is left out: 2 columns have this name" in refused(
        "fit", "odd.csv", "-t", "twice", "-o", "m"
    )


def test_tables_in_other_encodings_and_from_standard_input(model: Path) -> None:
    expected = Result("predict", str(model), "t.csv").output
    content = Path("t.csv").read_bytes()
    Path("other.csv").write_bytes(content.decode().replace("Oslo", "Ösló").encode("cp1252"))
    asked = refused("predict", str(model), "other.csv")
    assert "say what it is, such as cp1252 or latin-1. Options: --encoding." in asked
    told = Result("predict", str(model), "other.csv", "--encoding", "cp1252")
    assert (told.code, "such as 'Ösló'" in told.errors) == (0, True)
    outcome = CliRunner().invoke(app, ["predict", str(model), "-"], input=content)
    assert (outcome.exit_code, outcome.stdout) == (0, expected)
    told = CliRunner().invoke(app, ["evaluate", str(model), "-"], input=content)
    assert "On 120 rows of standard input" in told.stdout
    more = ["-t", "label", "-o", "piped", *QUICK]
    told = CliRunner().invoke(app, ["fit", "-", *more], input=content)
    assert "Table    standard input: 120 rows" in told.stdout


def test_predictions_are_not_written_over_their_table(model: Path) -> None:
    content = Path("t.csv").read_bytes()
    told = refused("predict", str(model), "t.csv", "-o", "t.csv", "--force")
    assert "'t.csv' is the table" in told
    assert Path("t.csv").read_bytes() == content


def test_predict_writes_a_row_for_every_row(model: Path) -> None:
    result = Result("predict", str(model), "t.csv", "-o", "out.csv")
    assert (result.code, result.output) == (0, "")
    table = pacsv.read_csv("out.csv")
    assert table.column_names == ["label", "probability_big", "probability_small"]
    assert table.num_rows == 120
    total = np.add(table["probability_big"], table["probability_small"])
    np.testing.assert_allclose(total, 1, rtol=1e-12)


def test_predict_prints_to_stdout_and_writes_parquet(model: Path) -> None:
    printed = Result("predict", str(model), "t.csv").output
    assert printed.splitlines()[0] == '"label","probability_big","probability_small"'
    assert len(printed.splitlines()) == 121
    assert Result("predict", str(model), "t.csv", "-o", "out.parquet").code == 0
    assert pa.parquet.read_table("out.parquet").num_rows == 120


def test_columns_may_stand_in_any_order_and_the_target_may_be_absent(model: Path) -> None:
    table = small_table()
    pacsv.write_csv(table.select(["day", "size", "city"]), "other.csv")
    expected = Result("predict", str(model), "t.csv").output
    assert Result("predict", str(model), "other.csv").output == expected


def test_unknown_categories_are_told_once(model: Path) -> None:
    table = small_table().drop_columns(["city"]).append_column("city", pa.array(["Bonn"] * 120))
    pacsv.write_csv(table, "new.csv")
    result = Result("predict", str(model), "new.csv", "-o", "out.csv")
    assert result.code == 0
    assert result.errors.count("such as 'Bonn', in 120 of 120 rows") == 1


def test_evaluate_prints_the_metrics(model: Path) -> None:
    result = Result("evaluate", str(model), "t.csv")
    assert result.code == 0
    for words in ("accuracy", "AUC", "log loss", "trivial baseline", "On 120 rows of t.csv"):
        assert words in result.output


@pytest.mark.parametrize("name", ["[red]t", "o[bold]", "$x_{$", "数据", "a b"])
def test_names_are_printed_as_they_are(name: str) -> None:
    Path(f"{name}.csv").write_bytes(Path("t.csv").read_bytes())
    result = Result("fit", f"{name}.csv", "-t", "label", "--ignore", "amount", *QUICK)
    assert (result.code, f"Wrote {name}-model/" in result.output) == (0, True)
    assert "Note" not in result.errors
    assert f"rows of {name}.csv" in Result("evaluate", f"{name}-model", f"{name}.csv").output
    done = Result("predict", f"{name}-model", f"{name}.csv", "-o", f"{name}.out.csv")
    assert f"Wrote {name}.out.csv" in done.errors


def test_a_target_may_be_named_like_a_probability() -> None:
    table = small_table().select(["size", "city", "label"])
    pacsv.write_csv(table.rename_columns(["size", "city", "probability_big"]), "odd.csv")
    assert Result("fit", "odd.csv", "-t", "probability_big", *QUICK).code == 0
    header = Result("predict", "odd-model", "odd.csv").output.splitlines()[0]
    assert header == '"probability_big","probability_big_","probability_small"'


def test_the_model_is_saved_before_the_results_are_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reader_has_left(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("selfnorm.cli._show.metrics", reader_has_left)
    assert Result("fit", "t.csv", "-t", "label", *QUICK).code == 1
    assert len(list(Path("t-model").iterdir())) == 5


REFUSED = {
    "missing file": (["fit", "no.csv", "-t", "y"], "There is no file 'no.csv'"),
    "no target": (["fit", "t.csv"], "size, city, day, label, amount. Options: --target."),
    "unknown target": (["fit", "t.csv", "-t", "lable"], "Did you mean 'label'?"),
    "text as number": (
        ["fit", "t.csv", "-t", "label", "--task", "regression"],
        "must hold numbers",
    ),
    "number as class": (
        ["fit", "t.csv", "-t", "amount", "--task", "classification"],
        "120 classes in 120 rows",
    ),
    "no columns": (
        ["fit", "t.csv", "-t", "label"]
        + [word for name in ("size", "city", "day", "amount") for word in ("--ignore", name)],
        "none is usable",
    ),
    "unknown weights": (
        ["fit", "t.csv", "-t", "label", "--sample-weight", "sizes"],
        "there is no 'sizes'. Did you mean 'size'?",
    ),
    "unknown ignored": (["fit", "t.csv", "-t", "label", "--ignore", "zip"], "there is no 'zip'"),
    "bad depth": (
        ["fit", "t.csv", "-t", "label", "--depth", "0"],
        "depth must be a whole number, 1 or more, or None for what fits the rows; 0 came",
    ),
    "bad share": (
        ["fit", "t.csv", "-t", "label", "--test", "1"],
        "test must be a number in [0, 1), or None for what fits the rows; 1.0 came",
    ),
    "bad rate": (
        ["fit", "t.csv", "-t", "label", "--learning-rate", "-1"],
        "learning_rate must be a number in (0, 1], or None for what fits rows and depth; -1.0 came",
    ),
    "bad seed": (
        ["fit", "t.csv", "-t", "label", "--seed", "-1"],
        "seed must be a whole number, 0 or more, and below 4,294,967,296; -1",
    ),
    "no dropout left": (
        ["fit", "t.csv", "-t", "label", "--dropout", "1"],
        "dropout must be a number in [0, 1), or None for what fits rows and depth; 1.0 came",
    ),
    "bad device": (["fit", "t.csv", "-t", "label", "--device", "abacus"], "'abacus' is not"),
    "no model": (["predict", "nothing", "t.csv"], "there is no 'nothing/model.json'"),
    "no model to evaluate": (["evaluate", ".", "t.csv"], "there is no 'model.json'"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_mistakes_are_one_line_and_exit_code_2(kind: str) -> None:
    arguments, words = REFUSED[kind]
    assert words in refused(*arguments)


BAD_FILES = {
    "empty": ("", "is an empty file"),
    "header only": ("size,label\n", "has 2 columns and none"),
    "ragged": ("size,label\n1,a\n2\n", "row 3 has 1 where the header has 2"),
    "twice": ("label,label\na,b\n", "'label' stands 2 times"),
    "one class": ("size,label\n1,a\n2,a\n", "is 'a' in all 2 rows"),
    "no target values": ("size,label\n1,\n2,\n", "known in 0 of 2 rows"),
    "mixed": (
        "size,label\n" + "".join(f"{n},{n % 2}\n" for n in range(50)) + "oops,1\n",
        "'oops' in row 51",
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_broken_tables_are_one_line_and_exit_code_2(kind: str) -> None:
    content, words = BAD_FILES[kind]
    Path("bad.csv").write_text(content)
    assert words in refused("fit", "bad.csv", "-t", "label")


def test_a_table_that_does_not_fit_the_model_is_refused(model: Path) -> None:
    Path("few.csv").write_text("size,day\n1,2024-01-01\n")
    assert "'city' is missing" in refused("predict", str(model), "few.csv")
    Path("text.csv").write_text("size,city,day\nbig,Oslo,2024-01-01\n")
    assert "row 1 holds 'big'" in refused("predict", str(model), "text.csv")
    Path("empty.csv").write_text("size,city,day\n")
    assert "there is no 'label'" in refused("evaluate", str(model), "empty.csv")
    assert "3 columns and none" in refused("explain", str(model), "empty.csv")
    Path("other.csv").write_text(
        "size,city,day,label\n1,Oslo,2024-01-01,huge\n2,Rome,2024-01-01,x\n"
    )
    assert "no known one" in refused("evaluate", str(model), "other.csv")
    assert "there is no 'label'" in refused("evaluate", str(model), "few.csv")


def test_a_table_without_rows_has_no_predictions_but_their_header(model: Path) -> None:
    header = '"label","probability_big","probability_small"\n'
    Path("empty.csv").write_text("size,city,day\n")
    assert Result("predict", str(model), "empty.csv").output == header
    assert Result("predict", str(model), "empty.csv", "-o", "none.csv").code == 0
    assert Path("none.csv").read_text() == header
    assert "3 columns and none" in refused("fit", "empty.csv", "-t", "size", "-o", "other")
    Path("empty.csv").write_text("size,city,day,label\n")
    assert "there are none. Add rows" in refused("evaluate", str(model), "empty.csv")


def test_nothing_is_written_over_unasked(model: Path) -> None:
    weights = (model / "model.safetensors").read_bytes()
    assert "--force" in refused("fit", "t.csv", "-t", "label", "--seed", "1", *QUICK)
    assert (model / "model.safetensors").read_bytes() == weights
    assert Result("fit", "t.csv", "-t", "label", "--seed", "1", "--force", *QUICK).code == 0
    assert (model / "model.safetensors").read_bytes() != weights
    Path("out.csv").write_text("mine")
    assert "is there already" in refused("predict", str(model), "t.csv", "-o", "out.csv")
    assert Path("out.csv").read_text() == "mine"
    assert "ends in '.doc'" in refused("predict", str(model), "t.csv", "-o", "out.doc")
    assert "no folder" in refused("predict", str(model), "t.csv", "-o", "no/out.csv")


def test_predictions_are_not_written_over_what_they_are_of(model: Path) -> None:
    Path("parts").mkdir()
    for name in ("a", "b"):
        Path(f"parts/{name}.csv").write_bytes(Path("t.csv").read_bytes())
    Path("link.csv").symlink_to("parts/a.csv")
    for tables in (["parts"], ["parts/*.csv"], ["parts/b.csv", "parts/a.csv"]):
        told = refused("predict", str(model), *tables, "-o", "parts/a.csv", "--force")
        assert "'parts/a.csv' is a part of the table" in told
    told = refused("predict", str(model), "parts/a.csv", "-o", "link.csv", "--force")
    assert "'link.csv' is the table" in told
    assert Path("parts/a.csv").read_bytes() == Path("t.csv").read_bytes()


def test_several_files_are_one_table_wherever_one_is_read(model: Path) -> None:
    Path("u.csv").write_bytes(Path("t.csv").read_bytes())
    one = Result("predict", str(model), "t.csv").output.splitlines()
    both = Result("predict", str(model), "t.csv", "u.csv").output.splitlines()
    assert [line.split(",")[0] for line in both] == [
        line.split(",")[0] for line in (*one, *one[1:])
    ]
    told = Result("evaluate", str(model), "t.csv", "u.csv").output
    assert "On 240 rows of t.csv and 1 more" in told
    assert Result("explain", str(model), "t.csv", "u.csv").code == 0


def test_a_damaged_model_is_one_line_and_exit_code_2(model: Path) -> None:
    (model / "model.json").write_text("{")
    assert "is damaged" in refused("predict", str(model), "t.csv")


def test_export_says_on_the_table_what_the_model_says(model: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    result = Result("export", str(model), "t.onnx", "--table", "t.csv")
    assert result.code == 0, result.errors
    assert "Wrote t.onnx: 3 inputs; onnxruntime's answers on 120 rows are within" in result.output
    note = " ".join(result.errors.split())
    assert "ONNX reads no dates or amounts" in note
    assert "'day' (days since 1970-01-01" in note
    read = load_model(model)
    inputs = inputs_of(read.encoder, read.read("t.csv"))
    told = runtime.InferenceSession("t.onnx", providers=["CPUExecutionProvider"]).run(None, inputs)
    expected = read.predict("t.csv")
    assert told[0].tolist() == expected.values.tolist()
    assert np.abs(told[1] - expected.probabilities).max() < EXPORTED
    assert "'t.onnx' is there already" in refused("export", str(model), "t.onnx")


def test_export_writes_nothing_under_the_ending_of_another_program(model: Path) -> None:
    for name in ("m.pb", "m.pt", "t.csv", "m.safetensors"):
        told = refused("export", str(model), name, "--force")
        assert f"'{name}' ends in '{Path(name).suffix}'. Name another file" in told
    assert Result("export", str(model), "v1.2").code == 0


def test_parts_are_one_table_and_a_large_one_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("parts").mkdir()
    for at in range(3):
        pacsv.write_csv(small_table().slice(40 * at, 40), f"parts/{at}.csv")
    monkeypatch.setattr("selfnorm.tabular._fit.needed", lambda _: 10**12)
    asked = [
        "-t",
        "label",
        "--ignore",
        "amount",
        "--memory",
        "20 MB",
        *QUICK,
        "--n-estimators",
        "2",
    ]
    streamed = Result("fit", "parts/*.csv", *asked)
    assert streamed.code == 0
    assert "parts/*.csv: 120 rows" in streamed.output
    told = " ".join(streamed.errors.split())
    assert "would take about 1000 GB, and 20 MB are allowed: it is read in parts" in told
    assert Result("evaluate", "parts-model", "parts").output.startswith("On 120 rows")
    monkeypatch.setattr("selfnorm.tabular._fit.needed", lambda _: 0)
    several = Result("fit", "parts/0.csv", "parts/1.csv", *asked, "--force")
    assert "parts/0.csv and 1 more: 80 rows" in several.output
    assert "Try --memory 2GB" in refused("fit", "parts", "-t", "label", "--memory", "much")
    assert "'nothing*' matches none" in refused("fit", "nothing*", "-t", "label")
    Path("parts/1.csv").write_bytes(b"")
    assert "Options: --on-error." in refused("fit", "parts", *asked, "-o", "other")


@pytest.mark.parametrize("seconds", [0.2, 0.7])
def test_ctrl_c_at_the_start_is_one_line(own_folder: Path, seconds: float) -> None:
    program = "from selfnorm.cli import main; print(flush=True); main()"  # Python itself is slow
    command = [sys.executable, "-c", program, "fit", "digits", "--epochs", "100000"]
    process = subprocess.Popen(command, cwd=own_folder, stderr=subprocess.PIPE, stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.decode().strip().splitlines() == [
        "Error: Stopped by Ctrl-C before there was a result. Start again."
    ]
    assert not (own_folder / "digits-model").exists()


def test_ctrl_c_keeps_the_best_epoch_and_says_so(own_folder: Path) -> None:
    command = [sys.executable, "-c", "from selfnorm.cli import main; main()", "fit", "digits"]
    process = subprocess.Popen(
        [*command, "--epochs", "100000", "--patience", "100000", "--depth", "2", "--no-infinite"],
        cwd=own_folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "FORCE_COLOR": "1", "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    seen = b""
    begin = time.monotonic()
    while b"epoch  3/" not in seen and time.monotonic() - begin < 120:
        seen += os.read(process.stderr.fileno(), 4096)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert b"Stopped by Ctrl-C" in errors
    assert b"is kept and saved" in errors
    assert b"Traceback" not in errors
    assert Result("evaluate", "digits-model", "digits").code == 0
