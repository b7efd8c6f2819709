"""The table that commands read, and in which encoding."""

import glob
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfnorm.errors import ArgumentError

if TYPE_CHECKING:
    from selfnorm.tabular import TableFile
    from selfnorm.tabular._model_file import Saved
    from selfnorm.tabular._settings import Settings

HELP_TABLE = "CSV or Parquet file, several, a folder, a 'pattern*'; - for standard input."
Encoding = Annotated[
    str | None,
    typer.Option(
        help="Of a CSV that is not UTF-8: cp1252, latin-1, utf-16, ...", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the results as one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def source(table: str | list[str], encoding: str | None) -> "str | TableFile":
    """What to read: one name, which may stand for several files, or several."""
    from selfnorm.tabular import TableFile

    if isinstance(table, list):
        if len(table) > 1:
            return TableFile(table, encoding)
        table = table[0]
    return table if encoding is None else TableFile(table, encoding)


def named(tables: list[str]) -> str:
    """What to call one table or its parts."""
    if tables == ["-"]:
        return "standard input"
    return tables[0] if len(tables) == 1 else f"{tables[0]} and {len(tables) - 1} more"


def stem(tables: list[str]) -> str:
    """What a table's file is called, without its endings; of several files the folder's name."""
    path = Path(tables[0])
    if tables == ["-"]:
        return "table"
    if len(tables) > 1 or (not path.exists() and glob.has_magic(str(path))):
        plain = [part for part in path.parent.parts if not glob.has_magic(part)]
        return plain[-1] if plain and plain[-1] not in ("..", "/") else "table"
    return path.resolve().name.split(".")[0] if path.is_dir() else path.name.split(".")[0]


def bytes_of(size: str) -> float:
    """A size as people write it, such as 2GB, 500 MB or 1.5GiB.

    Raises:
        ArgumentError: it is none.
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*)\s*([kmgt]?)(i?)b?\s*", size, re.IGNORECASE)
    if found is None:
        raise ArgumentError(
            f"--memory is a number of bytes with its unit; {size!r} came. Try --memory 2GB."
        )
    number, unit, binary = found.groups()
    return float(number) * (1024 if binary else 1000) ** " kmgt".index(unit.lower() or " ")


def check_apart(out: Path, tables: list[str]) -> None:
    """Raise if a file to write is one that is to be read.

    Raises:
        TableError: it is.
    """
    from selfnorm.errors import TableError
    from selfnorm.tabular.data._files import files_of

    if not out.exists():
        return
    parts = [Path(part) for one in tables for part in (files_of(one) or (one,))]
    if any(part.exists() and out.samefile(part) for part in parts):
        what = "the table" if len(parts) == 1 else "a part of the table"
        raise TableError(
            f"What is written stands beside a table; '{out}' is {what}. Name another file."
        )


def names_of(tables: list[str], encoding: str | None, *, stop: bool = True) -> list[str] | None:
    """The columns of a table before anything slow is imported; None where that cannot be told.

    Args:
        tables: The files.
        encoding: Of a text.
        stop: Whether a first part that cannot be read ends it.

    Raises:
        TableError: there is no such file, or it is small and cannot be read.
    """
    from selfnorm import _extras

    with _extras.told():
        from selfnorm.tabular.data._files import files_of
        from selfnorm.tabular.data._names import column_names
        from selfnorm.tabular.data._remote import is_uri

    if any(map(is_uri, tables)):  # which takes long to look at, and is looked at once
        return None
    parts = [part for one in tables for part in (files_of(one) or (one,))]
    return column_names(str(parts[0]), encoding, stop=stop and len(parts) == 1)


def check_known(
    saved: "Saved", tables: list[str], encoding: str | None, *, target: bool = False
) -> None:
    """Refuse a table that lacks a model's columns, before anything slow is imported.

    Args:
        saved: The model.
        tables: The table's files.
        encoding: Of a text.
        target: Whether it has to hold the target, too.

    Raises:
        TableError: it lacks one, or there is no such file.
    """
    names = names_of(tables, encoding)
    if names is None:
        return
    import pyarrow as pa

    from selfnorm.tabular.data._table import require_column
    from selfnorm.tabular.encoding._targets import columns_of

    for name in columns_of(saved.target) if target else ():
        require_column(name, names)
    saved.encoder.check(pa.table({name: pa.nulls(0) for name in names}))


def check_columns(tables: list[str], encoding: str | None, settings: "Settings") -> None:
    """Refuse columns that a table lacks before anything slow is imported, where that can be told.

    Raises:
        TableError: a column that is named is not in the table, or there is no such file.
    """
    names = names_of(tables, encoding, stop=settings.on_error == "stop")
    if names is None:
        return
    from selfnorm.tabular.data._table import require_column

    named = (settings.sample_weight, settings.group, settings.split_by_time)
    columns = (*settings.targets, *filter(None, named), *settings.categories, *settings.ignore)
    for name in columns:
        require_column(name, names)
