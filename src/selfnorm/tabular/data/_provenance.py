"""What a reader knows of a table besides its cells, which travels with it as metadata."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import pyarrow as pa

_KEY = b"selfnorm"


@dataclass(frozen=True)
class Provenance:
    """Where a table comes from.

    Attributes:
        guessed: Text columns whose type nobody chose, as in a CSV file: what looks like a number
            there is one, while in a table of typed columns text of digits is a category.
        indexes: Columns that are the saved index of a data frame.
        left_out: Columns that could not be read, each with the reason; the table lacks them.
        notes: What a user should know of how the table was read.
    """

    guessed: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()


def with_provenance(table: pa.Table, provenance: Provenance) -> pa.Table:
    """The table, with what is known of it besides."""
    return table.replace_schema_metadata({_KEY: json.dumps(asdict(provenance)).encode()})


def provenance_of(table: pa.Table) -> Provenance:
    """What is known of a table; nothing of one that no reader made."""
    written = (table.schema.metadata or {}).get(_KEY)
    if not written:
        return Provenance()
    saved = json.loads(written)
    guessed, indexes, notes = (tuple(saved[name]) for name in ("guessed", "indexes", "notes"))
    return Provenance(guessed, indexes, saved["left_out"], notes)
