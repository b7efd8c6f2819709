"""Predictions that are kept while a table is predicted, so that a process that dies loses few."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pyarrow as pa

from selfnorm._files import write_file
from selfnorm.errors import CheckpointError
from selfnorm.tabular._container import CHECKPOINT
from selfnorm.tabular._kept_identity import identity_of
from selfnorm.tabular._output import write_predictions
from selfnorm.tabular._predictor import Done, Predictions
from selfnorm.tabular._source import BlockPlace
from selfnorm.tabular.encoding._strange import Strange
from selfnorm.training._identity import differences
from selfnorm.training._lock import Lock

FORMAT = 1
_LOCK, _IDENTITY = "lock", "identity.json"
_NAME, _ENDING = "rows-", ".arrow"
_SECONDS = 5.0  # after which what is predicted is written
_MOST_ROWS = 1 << 20  # that are in memory until then
_NONSENSE = (OSError, pa.ArrowException, ValueError, KeyError, TypeError, RecursionError)


class PredictionCheckpoint:
    """A folder beside a file of predictions to be, with the rows that are predicted so far.

    Its files are written one after the other, each whole or not at all, with its own SHA-256 and
    with how far the table was read. At the end all are written as the one file that is wanted, as
    if there had been no folder. While it is entered as a context manager no other process may
    enter it.

    Args:
        out: The file of predictions to be.
        model: The model's folder or file.
        source: The table.
        seconds: After how many rows are written.

    Raises:
        TableError: the table comes from standard input, which cannot be read again.
    """

    def __init__(
        self, out: Path, model: str | Path, source: Any, *, seconds: float = _SECONDS
    ) -> None:
        self._out, self._model, self._source = out, model, source
        self.folder = out.with_name(f"{out.name}.{CHECKPOINT}")
        self._identity = {"format": FORMAT, **identity_of(model, source)}
        self._seconds = seconds
        self._lock = Lock(self.folder / _LOCK)
        self._done = Done()

    @property
    def exists(self) -> bool:
        """Whether there is something to go on from."""
        return any(self.folder.glob(f"{_NAME}*{_ENDING}"))

    @property
    def rows(self) -> int:
        """How many rows are kept."""
        return self._done.rows

    def __enter__(self) -> Self:
        """Hold the folder, and look how far it goes.

        Raises:
            CheckpointError: another process holds it; it cannot be written to, is damaged, or is
                of another model or table.
        """
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock.acquire()
        except CheckpointError:
            raise
        except OSError as error:
            raise CheckpointError(
                f"Predictions that can be gone on with are kept in a folder; '{self.folder}' "
                f"cannot be written to ({error.strerror or error}). Name another file to write."
            ) from error
        try:
            self._begin()
        except BaseException:
            self.leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Hold the folder no longer; if no rows are in it, it is removed."""
        if not self.exists:
            (self.folder / _IDENTITY).unlink(missing_ok=True)
        self._lock.release()
        with suppress(OSError):  # rows are in it, or something of others
            self.folder.rmdir()

    def predict(self, told: Callable[[int], object] = lambda _: None) -> Predictions:
        """Predict the rows that are left, and keep them.

        Args:
            told: Told after each block how many rows are predicted.

        Returns:
            Who did so, at the end.

        Raises:
            OSError: they cannot be written; those before stay.
        """
        predictions, written = Predictions(self._model, self._source, self._done), time.monotonic()
        held: list[pa.Table] = []
        try:
            for table in predictions:
                held.append(table)
                told(predictions.rows)
                late = time.monotonic() - written >= self._seconds
                if late or predictions.rows - self.rows >= _MOST_ROWS:
                    self._write(held, predictions.done)
                    held, written = [], time.monotonic()
        finally:  # what is done is worth keeping, whatever ends it
            if held:
                self._write(held, predictions.done)
        return predictions

    def finish(self) -> int:
        """Write all rows as the file that is wanted, whole or not at all; remove the folder.

        Returns:
            How many rows.
        """
        rows = write_predictions(self._tables(), self._out)
        for path in reversed(self._files):
            path.unlink()
        self.leave()
        return rows

    @property
    def _files(self) -> list[Path]:
        found = self.folder.glob(f"{_NAME}*{_ENDING}")
        return sorted(one for one in found if _number(one).isdecimal())

    def _begin(self) -> None:
        for path in self.folder.glob(".*.tmp"):
            path.unlink()
        before = self.folder / _IDENTITY
        if not self._files:
            others = (one for one in self.folder.iterdir() if one.name not in (_LOCK, _IDENTITY))
            if other := next(others, None):
                raise CheckpointError(
                    "Predictions that can be gone on with are kept in a folder of their own; "
                    f"'{other}' is something else. Move it, or name another file to write."
                )
            write_file(before, _framed(self._identity, b""))
        if told := differences(_read(before, self.folder).record, self._identity):
            raise CheckpointError(
                "Predictions go on with the same model, table and versions; those kept in "
                f"'{self.folder}' are of others: {told}. Predict as before, or remove that folder."
            )
        self._count()

    def _count(self) -> None:
        """How far the files go that stand one behind the other; those behind a gap are removed."""
        files = self._files
        for number, path in enumerate(files, 1):
            if int(_number(path)) != number:
                for stray in reversed(files[number - 1 :]):
                    stray.unlink()
                return
            part = _read(path, self.folder)
            try:
                place, rows = BlockPlace(*part.record["place"]), int(part.record["rows"])
                strange = [Strange(**one) for one in part.record["strange"]]
                if rows != self.rows + sum(one.num_rows for one in part.tables):
                    raise ValueError("it has other rows than it tells")
            except _NONSENSE as error:
                raise _damaged(path, self.folder, error) from error
            self._done = Done(place, rows, strange)

    def _write(self, tables: list[pa.Table], done: Done) -> None:
        record = {
            "place": list(done.place),
            "rows": done.rows,
            "strange": [vars(one) for one in done.strange],
        }
        body = pa.BufferOutputStream()
        with pa.ipc.new_stream(body, tables[0].schema) as out:
            for table in tables:
                out.write_table(table)
        path = self.folder / f"{_NAME}{len(self._files) + 1:09}{_ENDING}"
        write_file(path, _framed(record, body.getvalue().to_pybytes()))
        self._done = done

    def _tables(self) -> Iterator[pa.Table]:
        """All rows in their order, in the blocks that they were predicted in."""
        for path in self._files:
            yield from _read(path, self.folder).tables


class _Part(NamedTuple):
    """What a file of the folder holds."""

    record: Mapping[str, Any]
    tables: list[pa.Table]


def _framed(record: Mapping[str, Any], body: bytes) -> bytes:
    """A file's bytes: the SHA-256 of all else, a line of JSON, and an Arrow stream or nothing."""
    content = json.dumps(record).encode() + b"\n" + body
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def _read(path: Path, folder: Path) -> _Part:
    """The inverse.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
        if digest.decode() != hashlib.sha256(content).hexdigest():
            raise ValueError("its SHA-256 is not the one it holds")
        record, _, body = content.partition(b"\n")
        batches = list(pa.ipc.open_stream(body)) if body else []
        return _Part(json.loads(record), [pa.Table.from_batches([one]) for one in batches])
    except _NONSENSE as error:
        raise _damaged(path, folder, error) from error


def _damaged(path: Path, folder: Path, error: Exception) -> CheckpointError:
    mend = f"Remove '{folder}' to predict all rows again"
    if path.name != _IDENTITY:
        mend = f"Remove it to predict again its rows and those behind it, or remove '{folder}'"
    return CheckpointError(
        f"Predictions go on from files as they were written; '{path}' is damaged ({error}). {mend}."
    )


def _number(path: Path) -> str:
    return path.stem.removeprefix(_NAME)
