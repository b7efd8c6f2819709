"""The `selfnorm` program: its commands, and what a user sees when something is wrong."""

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Collection, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from selfnorm import __version__
from selfnorm.cli._audit import audit
from selfnorm.cli._certify import certify
from selfnorm.cli._console import fail, tell
from selfnorm.cli._evaluate import evaluate
from selfnorm.cli._explain import explain
from selfnorm.cli._export import export
from selfnorm.cli._fit import fit
from selfnorm.cli._info import info
from selfnorm.cli._predict import predict
from selfnorm.cli._solve import solve
from selfnorm.cli._together import mute_but_first
from selfnorm.cli._usage import TypedError, is_help, usage_line
from selfnorm.errors import SelfNormError, SelfNormWarning, TableError


class _Commands(TyperGroup):
    """The commands; a user's mistake is one line on stderr and exit code 2, never a traceback."""

    def main(
        self,
        args: Sequence[str] | None = None,
        *more: Any,
        standalone_mode: bool = True,
        **others: Any,
    ) -> Any:
        try:
            code = super().main(args, *more, standalone_mode=False, **others)
        except TypedError as error:
            sys.exit(_refuse(error, sys.argv[1:] if args is None else args, self.commands))
        except typer.Abort:
            code = 1
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code

    def invoke(self, ctx: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other libraries
            warnings.simplefilter("always", SelfNormWarning)
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except TableError as error:
                fail(f"{error}{_options(error)}")
            except SelfNormError as error:
                fail(str(error))
            except KeyboardInterrupt:
                fail("Stopped by Ctrl-C before there was a result. Start again.")
            except BrokenPipeError:  # the reader of our output has left, as in `... | head -1`
                _drop_output()
                raise typer.Exit(1) from None
            except OSError as error:  # no permission, no space: the machine's, not our mistake
                _drop_output()
                where = error.filename or "the output"
                fail(f"{error.strerror or error}: '{where}'. Choose another place.")


app = typer.Typer(
    name="selfnorm",
    cls=_Commands,
    help="Train deep self-normalizing networks on tables, and see that they are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (fit, predict, evaluate, explain, export, audit):
    app.command(no_args_is_help=True)(command)
for command in (solve, certify, info):
    app.command()(command)


def run() -> None:
    """Run the command line, also where stdout or stderr is closed."""
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    app()


def _refuse(error: Any, arguments: Sequence[str], commands: Collection[str]) -> int:
    """Say what is wrong with what was typed, or show the help; the exit code."""
    mute_but_first()
    if is_help(error):
        error.show()
    else:
        with contextlib.suppress(typer.Exit):
            fail(usage_line(error, arguments, tuple(commands)))
    return 2


def _drop_output() -> None:
    """Send what is still to be written to stdout nowhere, as stdout takes no more."""
    with contextlib.suppress(OSError, ValueError):  # no descriptor, as under a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _options(error: TableError) -> str:
    """The options that mend it."""
    return f" Options: {', '.join(error.options)}." if error.options else ""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"selfnorm {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def _show_warning(message: Warning | str, *_: Any) -> None:
    tell(str(message))
