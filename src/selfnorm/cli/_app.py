"""The `selfnorm` program: its commands, and what a user sees when something is wrong."""

import os
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from selfnorm import __version__
from selfnorm.cli._console import fail, tell
from selfnorm.cli._evaluate import evaluate
from selfnorm.cli._fit import fit
from selfnorm.cli._info import info
from selfnorm.cli._predict import predict
from selfnorm.errors import SelfNormError, SelfNormWarning


class _Commands(TyperGroup):
    """The commands; a user's mistake is one line on stderr and exit code 2, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        warnings.simplefilter("always", SelfNormWarning)
        warnings.showwarning = _show_warning
        try:
            return super().invoke(ctx)
        except SelfNormError as error:
            fail(str(error))
        except KeyboardInterrupt:
            fail("Stopped by Ctrl-C before there was a result; nothing was written. Start again.")
        except BrokenPipeError:  # the reader of our output has left, as in `... | head -1`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except OSError as error:  # no permission, no space: the machine's, not a mistake of ours
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
for command in (fit, predict, evaluate, info):
    app.command(no_args_is_help=command is not info)(command)


def main() -> None:
    """Run the command line."""
    app()


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
