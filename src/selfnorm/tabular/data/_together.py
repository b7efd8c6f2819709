"""The parts of a table, read and put one behind the other."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from selfnorm.errors import SelfNormWarning, TableError
from selfnorm.tabular._settings import OnError
from selfnorm.tabular.data._cells import decoded, holds, is_text
from selfnorm.tabular.data._provenance import provenance_of, with_provenance
from selfnorm.tabular.data._table import TableFile, read_table


def read_together(
    files: Sequence[Path],
    encoding: str | None,
    text_columns: Collection[str],
    on_error: OnError = "stop",
    *,
    empty: bool = False,
) -> pa.Table:
    """Read the parts of a table into memory, in their order.

    A column that is text in one file of delimited text is text in all, as nobody chose its type.

    Args:
        files: The parts.
        encoding: Of texts.
        text_columns: Columns to read as text.
        on_error: What is done about a part that cannot be read.
        empty: Whether a part may have no rows.

    Raises:
        TableError: a part cannot be read and `on_error` is `stop`, or none can; or columns or their
            types differ.
    """
    tables = _readable(files, encoding, text_columns, on_error, empty=empty)
    first, *others = tables
    guessed = {name for table in tables.values() for name in provenance_of(table).guessed}
    worded = {
        name
        for name in guessed
        if not all(
            name in table.column_names and is_text(table[name].type) for table in tables.values()
        )
    }
    if worded and len(tables) > 1:
        wanted = {*text_columns, *worded}
        tables = _readable(tuple(tables), encoding, wanted, on_error, empty=empty)
    for part in others:
        check_alike(tables[first].schema, first, tables[part].schema, part)
    known = provenance_of(tables[first])
    names = tables[first].column_names
    together = pa.concat_tables(
        (_plain(table.select(names)) for table in tables.values()), promote_options="permissive"
    )
    asked = set(text_columns)
    known = type(known)(tuple(guessed - asked), known.indexes, known.left_out, known.notes)
    return with_provenance(together, known)


def check_alike(schema: pa.Schema, path: Path, other: pa.Schema, part: Path) -> None:
    """Raise unless a part has the columns of another, each with values of the same kind.

    Raises:
        TableError: it has not.
    """
    names, found = set(schema.names), set(other.names)
    if names != found:
        lacks = [name for name in schema.names if name not in found]
        more = [name for name in other.names if name not in names]
        told = f"lacks '{lacks[0]}'" if lacks else f"has '{more[0]}' besides"
        raise TableError(
            f"The parts of a table have the same columns; '{part}' {told}, beside '{path}'. Leave "
            "the part out, or mend its columns."
        )
    for name in schema.names:
        kinds = _kind(schema.field(name).type), _kind(other.field(name).type)
        if kinds[0] != kinds[1] and "nothing" not in kinds:
            raise TableError(
                f"A column holds values of one kind in all parts of a table; '{name}' holds "
                f"{kinds[0]} in '{path}' and {kinds[1]} in '{part}'. Convert one of them."
            )


def skipped(error: Exception) -> None:
    """Say that a part is left out."""
    warnings.warn(f"A part is left out. {error}", SelfNormWarning, stacklevel=3)


def _readable(
    files: Sequence[Path],
    encoding: str | None,
    text_columns: Collection[str],
    on_error: OnError,
    *,
    empty: bool,
) -> Mapping[Path, pa.Table]:
    """The table of each part that can be read; an empty one has none."""
    found: dict[Path, pa.Table] = {}
    failed: TableError | None = None
    for path in files:
        try:
            one = TableFile(path, encoding)
            found[path] = read_table(one, text_columns=text_columns, empty=empty)
        except TableError as error:
            if on_error == "stop":
                raise TableError(
                    f"{error} Other parts can be learned from without it.",
                    options=(*error.options, "--on-error"),
                ) from error
            failed = error
            skipped(error)
    if not found:
        raise TableError(
            f"A table needs a part that can be read; none of {len(files)} can. The last: {failed}"
        )
    return found


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind):
        return "nothing"
    return "text" if is_text(kind) else holds(kind) or str(kind)


def _plain(table: pa.Table) -> pa.Table:
    """Columns without dictionary coding, which differs from part to part."""
    return pa.table([decoded(column) for column in table.columns], names=table.column_names)
