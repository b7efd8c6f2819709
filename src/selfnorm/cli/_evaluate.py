"""`selfnorm evaluate`: how good a model is on a table with known targets."""

from pathlib import Path
from typing import Annotated

import typer

from selfnorm.cli._console import output, tell
from selfnorm.cli._table import HELP_TABLE, Encoding, source


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that `fit` wrote.")],
    table: Annotated[str, typer.Argument(metavar="TABLE", help=HELP_TABLE)],
    encoding: Encoding = None,
) -> None:
    """Measure a model on a table that holds the target, beside the trivial baseline.

    selfnorm evaluate patients-model test.csv
    """
    from selfnorm import tabular
    from selfnorm.cli import _show

    found = tabular.load_model(model).evaluate(source(table, encoding))
    for note in found.notes:
        tell(note)
    output.print(_show.metrics(found, f"rows of {table}"))
