"""`selfnorm evaluate`: how good a model is on a table with known targets."""

from pathlib import Path
from typing import Annotated

import typer

from selfnorm.cli._console import output, tell


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that `fit` wrote.")],
    table: Annotated[str, typer.Argument(metavar="TABLE", help="CSV or Parquet file.")],
) -> None:
    """Measure a model on a table that holds the target, beside the trivial baseline.

    selfnorm evaluate patients-model test.csv
    """
    from selfnorm import tabular
    from selfnorm.cli import _show

    loaded, _ = tabular.load_model(model)
    truth = tabular.read_truth(table, loaded.target, loaded.encoder)
    for note in loaded.encoder.notes(truth.table):
        tell(note)
    found, baseline = tabular.measure_model(loaded, truth)
    output.print(_show.metrics(found, baseline, len(truth.values), f"rows of {table}"))
