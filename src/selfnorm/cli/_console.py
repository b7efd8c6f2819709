"""Where the command line writes: results to stdout, progress and problems to stderr.

Names of columns and files are printed as they are: nothing in them is taken for markup.
"""

from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

output = Console(highlight=False, markup=False, emoji=False)
problems = Console(stderr=True, highlight=False, markup=False, emoji=False)


def tell(message: str) -> None:
    """Something that a user should know."""
    problems.print(Text.assemble(("Note: ", "bold yellow"), message), soft_wrap=True)


def fail(message: str) -> NoReturn:
    """A user's mistake in one line, and exit code 2."""
    problems.print(Text.assemble(("Error: ", "bold red"), message), soft_wrap=True)
    raise typer.Exit(2)
