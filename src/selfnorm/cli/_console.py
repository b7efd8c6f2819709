"""Where the command line writes: results to stdout, progress and problems to stderr."""

from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

output = Console(highlight=False)
problems = Console(stderr=True, highlight=False)


def tell(message: str) -> None:
    """Something that a user should know."""
    problems.print(f"[bold yellow]Note:[/] {escape(message)}", soft_wrap=True)


def fail(message: str) -> NoReturn:
    """A user's mistake in one line, and exit code 2."""
    problems.print(f"[bold red]Error:[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(2)
