"""The frame of the command line."""

import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

import selfnorm
from selfnorm.cli._app import app


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_help_lists_the_commands_and_version_tells_it() -> None:
    for arguments in ([], ["--help"], ["-h"]):
        output = run(*arguments).output
        for command in ("fit", "predict", "evaluate", "info"):
            assert command in output
    assert run("--version").output == f"selfnorm {selfnorm.__version__}\n"


@pytest.mark.parametrize("command", ["fit", "predict", "evaluate"])
def test_each_command_helps(command: str) -> None:
    assert "TABLE" in run(command, "--help").output


def test_help_never_imports_what_is_slow() -> None:
    """`selfnorm --help` must answer at once; one careless import would cost seconds."""
    slow = ("torch", "numpy", "scipy", "sklearn", "pyarrow", "matplotlib", "pandas")
    code = f"import sys, selfnorm.cli; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_info_tells_versions_threads_and_kernels() -> None:
    output = run("info").output
    for words in (version("torch"), selfnorm.__version__, "threads", "kernels"):
        assert words in output


def test_an_unknown_command_exits_with_2() -> None:
    assert run("bogus").exit_code == 2
    assert run("fit", "--bogus").exit_code == 2


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -c 'from selfnorm.cli import main; main()' info | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
