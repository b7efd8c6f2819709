"""How much memory a table takes, and how much there is."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from selfnorm.tabular.data._remote import opened

# Measured on 1,000,000 rows of 50 numbers: a fit holds the table as read, its rows taken apart, the
# matrix in float32, and what encodes a column.
_COPIES = 5
_PACKED = 4
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def needed(files: Sequence[Path]) -> int:
    """About how many bytes a fit of a table in files takes in memory."""
    return _COPIES * sum(map(_size, files))


def available() -> float:
    """Half of the memory of this machine, or of what a container may take."""
    total = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # no such file, or `max`
            total = min(total, float(Path(path).read_text()))
    return total / 2


def in_words(size: float) -> str:
    """A size in bytes with a unit, to two digits."""
    unit = next((one for one in ("GB", "MB", "kB") if size >= _UNITS[one]), "B")
    return (
        f"{size / _UNITS[unit]:.2g} {unit}"
        if size < 99 * _UNITS[unit]
        else f"{size / _UNITS[unit]:.0f} {unit}"
    )


_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}


def _size(path: Path) -> int:
    """The bytes of a file's cells, unpacked."""
    with suppress(pa.ArrowException, OSError):
        with opened(path) as file:
            metadata = pq.read_metadata(file)
        return sum(metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups))
    with suppress(OSError):
        return path.stat().st_size * (_PACKED if path.suffix in (".gz", ".bz2", ".xz") else 1)
    return 0
