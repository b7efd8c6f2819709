"""The folder of a checkpoint: one process's at a time, two files of it kept."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from selfnorm.errors import CheckpointError
from selfnorm.training._lock import Lock
from selfnorm.training._snapshot import Snapshot, write_snapshot

_NAME, _ENDING = "training-", ".safetensors"
_LOCK, _TABLE = "lock", f"table{_ENDING}"
_KEPT = 2


class Folder:
    """A folder of numbered snapshots.

    Args:
        path: Where it is; `enter` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock(path / _LOCK)
        self._made: list[Path] = []

    @property
    def files(self) -> list[Path]:
        """The snapshots, the newest last."""
        found = self.path.glob(f"{_NAME}*{_ENDING}")
        return sorted(one for one in found if _digits(one).isdecimal())

    @property
    def table(self) -> Path:
        """A file beside them: a table that took long to make ready."""
        return self.path / _TABLE

    def enter(self) -> None:
        """Hold the folder, and remove what a process left that ended while it wrote.

        Raises:
            CheckpointError: another process holds it, or it cannot be written to.
        """
        if not (self.path.is_dir() and not any(self.path.iterdir())):
            self._made = [self.path, *(one for one in self.path.parents if not one.exists())]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except CheckpointError:
            raise
        except (OSError, ValueError) as error:
            self.leave()
            raise CheckpointError(
                f"A checkpoint needs a folder that can be written to; '{self.path}' is not "
                f"({getattr(error, 'strerror', None) or error}). Name another."
            ) from error
        for path in self._remains():
            path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Hold it no longer, and remove it if it is empty and was not so before."""
        self._lock.release()
        for path in self._made:
            with suppress(OSError):
                path.rmdir()

    def newest(self) -> Iterator[Path]:
        """The snapshots, the newest first."""
        yield from reversed(self.files)

    def add(self, snapshot: Snapshot) -> None:
        """Write one more, and remove the oldest but two.

        Raises:
            OSError: it cannot be written; those before stay.
        """
        files = self.files
        number = int(_digits(files[-1])) + 1 if files else 1
        write_snapshot(self.path / f"{_NAME}{number:09}{_ENDING}", snapshot)
        for old in self.files[:-_KEPT]:
            old.unlink(missing_ok=True)

    def empty(self) -> None:
        """Remove all snapshots, the oldest first: one that is cut short leaves the newest."""
        for path in (*self._remains(), self.table, *self.files):
            path.unlink(missing_ok=True)

    def _remains(self) -> list[Path]:
        return [*self.path.glob(f".{_NAME}*.tmp"), *self.path.glob(f".{_TABLE}*.tmp")]


def _digits(path: Path) -> str:
    return path.stem.removeprefix(_NAME)
