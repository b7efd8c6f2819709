"""`selfnorm evaluate`: how good a model is on a table with known targets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfnorm.cli._console import fail, hush, output, tell, tell_json
from selfnorm.cli._counting import counting_rows
from selfnorm.cli._interrupt import held, interruptible
from selfnorm.cli._table import HELP_TABLE, Encoding, Json, Quiet, check_known, named, source, stem

if TYPE_CHECKING:
    from selfnorm.tabular import Evaluation, TableFile, TabularModel
    from selfnorm.tabular._evaluation_checkpoint import EvaluationCheckpoint


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that `fit` wrote.")],
    table: Annotated[list[str], typer.Argument(metavar="TABLE", help=HELP_TABLE)],
    encoding: Encoding = None,
    json: Json = False,
    quiet: Quiet = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep figures in MODEL-on-TABLE.checkpoint/ meanwhile; go on from those there.",
        ),
    ] = False,
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

    loaded, rows = model_of(saved), source(table, encoding)
    place = model.resolve()
    place = place.with_name(f"{place.name}-on-{stem(table)}.checkpoint")
    found = _resumed(place, model, loaded, rows) if resume else _measured(loaded, rows)
    for note in found.notes:
        tell(note)
    output.print(_show.metrics(found, f"rows of {named(table)}"))
    for one in (*_show.by_class(found), *_show.by_output(found)):
        output.print(one)
    if json:
        tell_json(_show.evaluation_as_json(found))


def _measured(model: "TabularModel", rows: "str | TableFile") -> "Evaluation":
    with counting_rows(done="measured") as told:
        return model.evaluate(rows, told)


def _resumed(
    folder: Path, path: Path, model: "TabularModel", rows: "str | TableFile"
) -> "Evaluation":
    """Measure what is left; what ends it before is told, with how to go on."""
    from selfnorm.tabular._evaluation_checkpoint import EvaluationCheckpoint

    checkpoint = EvaluationCheckpoint(folder, path, model, rows)
    with checkpoint, held(checkpoint.leave):
        if checkpoint.rows:
            tell(f"{checkpoint.rows:,} rows are measured already; those behind them follow.")
        try:
            with interruptible(), counting_rows(checkpoint.rows, "measured") as told:
                found = checkpoint.evaluate(told)
        except KeyboardInterrupt:
            fail(f"Stopped by Ctrl-C; {_kept(checkpoint)}")
        checkpoint.remove()
        return found


def _kept(checkpoint: "EvaluationCheckpoint") -> str:
    if not checkpoint.rows:
        return "no figures are kept yet. Start again."
    return (
        f"the figures of {checkpoint.rows:,} rows are in '{checkpoint.folder}'. Go on from them "
        "with --resume."
    )
