"""Where the command line writes: results to stdout, progress and problems to stderr.

Names of columns and files are printed as they are: nothing in them is taken for markup.
"""

import os
from io import StringIO
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
_muted = False
_WIDE = 200  # characters of a line in a file, which nobody folds


class _Output(Console):
    """Results: in a file or a pipe nothing is folded to a terminal's width, or filled up to it."""

    def print(self, *objects: Any, **how: Any) -> None:
        """Print."""
        if self.is_terminal or self.quiet:
            super().print(*objects, **how)
            return
        width = None if "COLUMNS" in os.environ else _WIDE
        printed = StringIO()
        Console(file=printed, width=width, **_PLAIN).print(*objects, **how)
        lines = printed.getvalue().split("\n")
        self.file.write("\n".join(line.rstrip() for line in lines))
        self.file.flush()


output = _Output(**_PLAIN)
problems = Console(stderr=True, **_PLAIN)


def mute(muted: bool = True) -> None:
    """From now on nothing at all is printed, errors neither; or what `hush` leaves again."""
    global _muted  # noqa: PLW0603 - as the consoles are the process's
    _muted = muted
    output.quiet = problems.quiet = muted


def hush(*, quiet: bool = False, json: bool = False) -> None:
    """From now on nothing but errors is printed, or no results: these follow as JSON."""
    output.quiet = quiet or json or _muted
    problems.quiet = quiet or _muted


def tell_json(content: dict[str, Any]) -> None:
    """Results as one JSON object on stdout; nan, which JSON has not, as null."""
    import json
    import math

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    if not _muted:
        typer.echo(json.dumps(plain(content), ensure_ascii=False, indent=1))


def tell(message: str) -> None:
    """Something that a user should know."""
    problems.print(Text.assemble(("Note: ", "bold yellow"), message), soft_wrap=True)


def fail(message: str) -> NoReturn:
    """A user's mistake in one line, and exit code 2."""
    problems.quiet = _muted
    problems.print(Text.assemble(("Error: ", "bold red"), message), soft_wrap=True)
    raise typer.Exit(2)
