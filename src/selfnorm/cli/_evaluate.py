"""`selfnorm evaluate`: how good a model is on a table with known targets."""

from pathlib import Path
from typing import Annotated

import typer

from selfnorm.cli._console import hush, output, tell, tell_json
from selfnorm.cli._table import HELP_TABLE, Encoding, Json, Quiet, source


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that `fit` wrote.")],
    table: Annotated[str, typer.Argument(metavar="TABLE", help=HELP_TABLE)],
    encoding: Encoding = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model on a table that holds the target, beside the trivial baseline.

    selfnorm evaluate patients-model test.csv
    """
    hush(quiet=quiet, json=json)
    from selfnorm import tabular
    from selfnorm.cli import _show

    found = tabular.load_model(model).evaluate(source(table, encoding))
    for note in found.notes:
        tell(note)
    output.print(_show.metrics(found, f"rows of {table}"))
    for one in (*_show.by_class(found), *_show.by_output(found)):
        output.print(one)
    if json:
        tell_json(_show.evaluation_as_json(found))
