"""`selfnorm evaluate`: how good a model is on a table with known targets."""

from pathlib import Path
from typing import Annotated

import typer

from selfnorm.cli._console import hush, output, tell, tell_json
from selfnorm.cli._table import HELP_TABLE, Encoding, Json, Quiet, check_known, named, source


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that `fit` wrote.")],
    table: Annotated[list[str], typer.Argument(metavar="TABLE", help=HELP_TABLE)],
    encoding: Encoding = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model on a table that holds the target, beside the trivial baseline.

    selfnorm evaluate patients-model test.csv
    """
    hush(quiet=quiet, json=json)
    from selfnorm.tabular._model_file import read_model

    saved = read_model(model)
    check_known(saved, table, encoding, target=True)  # before what is slow to import
    from selfnorm.cli import _show
    from selfnorm.tabular._storage import model_of

    found = model_of(saved).evaluate(source(table, encoding))
    for note in found.notes:
        tell(note)
    output.print(_show.metrics(found, f"rows of {named(table)}"))
    for one in (*_show.by_class(found), *_show.by_output(found)):
        output.print(one)
    if json:
        tell_json(_show.evaluation_as_json(found))
