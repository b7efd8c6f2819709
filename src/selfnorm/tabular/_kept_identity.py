"""What has to be the same for a command on a model and a table to go on from what it has kept."""

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from selfnorm.errors import TableError
from selfnorm.tabular._container import as_path, opened
from selfnorm.tabular._model_file import LARGEST_RECORD, RECORD
from selfnorm.tabular._source import file_of
from selfnorm.tabular.data._bytes import STDIN
from selfnorm.tabular.data._files import files_of
from selfnorm.tabular.data._remote import path_of


def identity_of(model: str | Path, source: Any) -> dict[str, Any]:
    """Versions, a model and a table, as plain JSON.

    Args:
        model: The model's folder or file.
        source: The table.

    Raises:
        TableError: the table comes from standard input, or is in memory: it cannot be read again.
    """
    record = opened(as_path(model)).read(RECORD, 0, LARGEST_RECORD)  # which tells of the weights
    file = file_of(source)
    if file is None or str(file.path) == STDIN:
        raise TableError(
            "What is gone on with is read again, so its table is in files; "
            + ("standard input came." if file else "a table in memory came.")
            + " Save it to a file, or leave --resume out."
        )
    files = files_of(file.path) or (path_of(str(file.path)),)
    return {
        "versions": {name: version(name) for name in ("selfnorm", "torch", "pyarrow")},
        "model": hashlib.sha256(record).hexdigest(),
        "encoding": file.encoding,
        "table": {str(one): _stamp(one) for one in files},
    }


def _stamp(path: Path) -> str | None:
    """A file's size, and when it was written to; None of a built-in data set."""
    if not path.exists():
        return None
    found = path.stat()
    return f"{found.st_size} bytes of {found.st_mtime_ns}"
