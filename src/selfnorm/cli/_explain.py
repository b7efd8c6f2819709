"""`selfnorm explain`: which columns count, how predictions go with them, and why a row's is so."""

from pathlib import Path
from typing import Annotated

import typer

from selfnorm.cli._console import hush, output, tell, tell_json
from selfnorm.cli._table import HELP_TABLE, Encoding, Json, check_apart, check_known, named, source


def explain(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that `fit` wrote.")],
    table: Annotated[list[str], typer.Argument(metavar="TABLE", help=HELP_TABLE)],
    row: Annotated[
        int | None,
        typer.Option(help="What the columns of this row add; from 1.", show_default=False),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", "-t", help="Which of several targets. Default: all.", show_default=False
        ),
    ] = None,
    encoding: Encoding = None,
    html: Annotated[
        Path | None, typer.Option(help="Write it as a page, too.", show_default=False)
    ] = None,
    json: Json = False,
    force: Annotated[bool, typer.Option("--force", help="Write over the page.")] = False,
) -> None:
    """Tell which columns a model's predictions on a table hang on, and how.

    With the target in the table importances are told by what is lost, else by what changes.

        selfnorm explain patients-model patients.csv --row 1
    """
    hush(json=json)
    from selfnorm import _extras
    from selfnorm._files import write_file
    from selfnorm.tabular._model_file import read_model
    from selfnorm.tabular._output import check_page_file

    if html is not None:
        check_apart(html, table)
        check_page_file(html, force=force)
    saved = read_model(model)
    check_known(saved, table, encoding)  # before what is slow to import
    from selfnorm.cli import _show_explained
    from selfnorm.tabular._storage import model_of
    from selfnorm.tabular.explaining import _explain

    found = _explain.explain(model_of(saved), source(table, encoding), row, target)
    for note in found.notes:
        tell(note)
    for one in _show_explained.explained(found):
        output.print(one)
    if json:
        tell_json(found.to_dict())
    if html is not None:
        with _extras.told():
            from selfnorm.tabular.explaining._explained import explained_page
        write_file(html, explained_page(Path(named(table)).name, found).encode())
        tell(f"Wrote {html}.")
