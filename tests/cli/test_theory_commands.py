"""`selfnorm solve` and `selfnorm certify` as a user runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.console import Console, ConsoleDimensions
from typer.testing import CliRunner

from selfnorm.cli._app import app
from support.strict import STRICT

SIZE = ConsoleDimensions(200, 25)
WIDE = {"COLUMNS": str(SIZE.width)}
Done = subprocess.CompletedProcess[str]


def run(*arguments: str) -> Done:
    """The command in this process; one of its own takes a second or two to import SciPy."""
    with patch.object(Console, "size", SIZE):  # a console may have taken COLUMNS when it was made
        outcome = CliRunner().invoke(app, list(arguments))
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return Done(arguments, outcome.exit_code, outcome.stdout, outcome.stderr)


def run_fresh(*arguments: str) -> Done:
    return subprocess.run(
        [sys.executable, *STRICT, "-c", "from selfnorm.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | WIDE,
    )


def test_a_process_of_its_own_says_the_same() -> None:
    for arguments, code in (
        (["solve"], 0),
        (["solve", "--variance", "-1"], 2),
        (["certify", "--theorem", "12", "--tau", "0.8", "1.3"], 1),
    ):
        fresh, here = run_fresh(*arguments), run(*arguments)
        assert fresh.returncode == here.returncode == code, fresh.stderr
        assert timeless(fresh.stdout) == timeless(here.stdout)
        assert fresh.stderr == here.stderr


def timeless(printed: str) -> list[str]:
    """Without the last column of `certify`, seconds."""
    return [re.sub(r"  +\d+\.\d\d$", "", line) for line in printed.splitlines()]


def test_solve_prints_the_constants_and_their_fixed_point() -> None:
    result = run("solve")
    assert result.returncode == 0, result.stderr
    assert "alpha  1.6732632423543773" in result.stdout
    assert "attracting" in result.stdout
    assert "0.7876734" in result.stdout


def test_solve_prints_a_hundred_certified_digits() -> None:
    first = run("solve", "--digits", "100").stdout.splitlines()[0]
    assert first.startswith("alpha  1.67326324235437728481704299167165203846")
    assert len(first.removeprefix("alpha  ").replace(".", "")) == 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mean", "-0.1", "--variance", "2"], "1.9769021954"),
        (["--mean", "1/10", "--variance", "3/2"], "stable"),
        (["--tau", "2"], "18.4599"),
        (["--tau", "0.4"], "the variance collapses to 0"),
        (["--activation", "tanh", "--tau", "2"], "0.3089824"),
        (["--activation", "identity"], "every variance is one"),
        (["--compare"], "softplus"),
        (["--depth", "100"], "blend          0.31074699632880362"),
        (["--depth", "100", "--growth", "1.2"], "attracting"),
        (["--gradient-gain", "1", "--digits", "30"], "-0.258445735546111410242021767014"),
    ],
)
def test_solve_answers(arguments: list[str], words: str) -> None:
    result = run("solve", *arguments)
    assert result.returncode == 0, result.stderr
    assert words in result.stdout


def test_solve_draws(tmp_path: Path) -> None:
    for name, arguments in (("map.png", []), ("tanh.svg", ["--activation", "tanh"])):
        result = run("solve", *arguments, "--plot", str(tmp_path / name))
        assert result.returncode == 0, result.stderr
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["solve", "--variance", "-1"], "variance must be positive; got -1"),
        (["solve", "--mean", "much"], "mean must be a finite number"),
        (["solve", "--activation", "nope"], "Choose among"),
        (["solve", "--compare", "--digits", "5"], "One question at a time"),
        (["solve", "--digits", "0"], "digits must be a whole number"),
        (["solve", "--depth", "9", "--digits", "0"], "digits must be a whole number"),
        (["solve", "--depth", "0"], "depth must be a whole number"),
        (["solve", "--depth", "9", "--compare"], "One question at a time"),
        (["solve", "--depth", "9", "--gradient-gain", "1"], "One question at a time"),
        (["solve", "--growth", "3"], "--growth is over a depth; got 3 without one"),
        (["solve", "--depth", "9", "--plot", "map.png"], "A form of SELU has no figure"),
        (["solve", "--gradient-gain", "2"], "at most SELU's own"),
        (["certify", "--blend", "0.5"], "A blend is for one of the paper's theorems"),
        (["certify", "--theorem", "1", "--blend", "0"], "blend is the share of SELU"),
        (["certify", "--largest", "--blend", "0.5"], "--largest is about theorem 1"),
        (["solve", "--plot", "figure.bmp"], "must end in .png"),
        (["solve", "--mean", "1e100000000"], "of a size from 1e-300 to 1e300"),
        (["solve", "--variance", "1e-100000000"], "of a size from 1e-300 to 1e300"),
        (["solve", "--tau", "nan"], "tau be positive; got omega=0 and tau=nan"),
        (["certify", "--theorem", "2", "--mean", "0", "1e100000000"], "from 1e-300 to 1e300"),
        (["certify", "--theorem", "5"], "theorem must be one of"),
        (["certify", "--theorem", "1", "--variance", "1", "0.5"], "variance must be a range"),
        (["certify", "--variance", "1", "2"], "A range is for one theorem; got --variance for all"),
        (["certify", "--largest", "--theorem", "2"], "--largest is about theorem 1"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_certify_proves_and_says_where() -> None:
    result = run("certify", "--theorem", "1")
    assert result.returncode == 0, result.stderr
    assert "proved" in result.stdout
    assert "variance in [0.8, 1.5]" in result.stdout


def test_certify_of_blends() -> None:
    options = ["--theorem", "shaped", "--variance", "0.5", "2", "--tau", "1", "1"]
    result = run("certify", *options)
    assert result.returncode == 0, result.stderr
    assert "every blend t" in result.stdout
    result = run("certify", "--theorem", "1", "--blend", "0.1")
    assert result.returncode == 1, result.stderr
    assert "variance 0.76471124 < 0.8" in result.stdout


def test_certify_says_why_it_is_undecided() -> None:
    ranges = {"mean": ("0", "0"), "variance": ("1", "1"), "omega": ("0", "0"), "tau": ("1", "1")}
    options = [part for name, ends in ranges.items() for part in (f"--{name}", *ends)]
    result = run("certify", "--theorem", "1", *options)
    assert result.returncode == 1, result.stderr
    assert "undecided" in result.stdout
    assert "what holds with equality" in " ".join(result.stdout.split())


def test_solve_says_that_it_diverges() -> None:
    result = run("solve", "--tau", "3")
    assert result.returncode == 0, result.stderr
    assert "mean and variance diverge" in result.stdout


def test_certify_of_something_false_exits_with_one() -> None:
    result = run("certify", "--theorem", "12", "--tau", "0.8", "1.3")
    assert result.returncode == 1, result.stderr
    assert "refuted" in result.stdout
    assert "singular value 1.0" in result.stdout


@pytest.mark.parametrize(
    "arguments", [["solve"], ["certify", "--theorem", "3"], ["solve", "--compare"]]
)
def test_torch_is_never_imported(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom selfnorm.cli import main\n"
        f"sys.argv = ['selfnorm', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
