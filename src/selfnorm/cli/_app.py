"""The `selfnorm` program: its commands, and what a user sees when something is wrong."""

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from selfnorm import __version__
from selfnorm.cli._certify import certify
from selfnorm.cli._console import problems
from selfnorm.cli._info import info
from selfnorm.cli._solve import solve
from selfnorm.errors import SelfNormError

app = typer.Typer(
    name="selfnorm",
    help="Train deep self-normalizing networks on tables, and see that they are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(solve)
app.command()(certify)
app.command()(info)


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


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    try:
        app()
    except SelfNormError as error:
        problems.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has left, as in `selfnorm info | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
