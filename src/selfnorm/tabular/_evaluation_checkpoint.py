"""Figures that are kept while a table is measured, so that a process that dies loses little."""

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from selfnorm.errors import CheckpointError, SelfNormWarning
from selfnorm.tabular._evaluation import Evaluation
from selfnorm.tabular._kept_identity import identity_of
from selfnorm.tabular._measuring import Kept, Measuring
from selfnorm.tabular._model import TabularModel
from selfnorm.training._folder import Folder
from selfnorm.training._identity import differences
from selfnorm.training._pace import Pace
from selfnorm.training._snapshot import DamagedError, Snapshot, read_snapshot

FORMAT = 1


class EvaluationCheckpoint:
    """A folder with the figures of the rows that are measured so far, and how far that is.

    What goes on from there comes to the figures of an undisturbed evaluation, bit for bit. Files
    are those of a training's checkpoint: each whole or not at all, two kept, with its own SHA-256;
    one that is damaged is passed over. While it is entered as a context manager no other process
    may enter it.

    Args:
        folder: Where to; it is made if needed.
        path: The model's folder or file.
        model: The model.
        source: The table.
        every: Seconds from one write to the next; None goes by what writing costs.

    Raises:
        TableError: the table comes from standard input, which cannot be read again.
    """

    def __init__(
        self,
        folder: Path,
        path: str | Path,
        model: TabularModel,
        source: Any,
        *,
        every: float | None = None,
    ) -> None:
        self.folder = folder
        self._model, self._source = model, source
        self._identity = {"format": FORMAT, "of": "evaluation", **identity_of(path, source)}
        self._folder, self._pace = Folder(folder), Pace(every, None)
        self._going = Measuring(model.encoder, model.target)
        self.rows = 0
        """Up to which row of the table figures are kept."""

    def __enter__(self) -> Self:
        """Hold the folder, and look how far it goes.

        Raises:
            CheckpointError: another process holds it; it cannot be written to, or is of another
                model or table.
        """
        self._folder.enter()
        try:
            self._read()
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
        """Hold the folder no longer; if it is empty, it is removed."""
        self._folder.leave()

    def evaluate(self, told: Callable[[int], object] = lambda _: None) -> Evaluation:
        """Measure the rows that are left.

        Args:
            told: Told after each block how many rows are measured.

        Raises:
            TableError, SelfNormError: as `TabularModel.evaluate`; what was kept before stays.
        """
        self._pace.start()
        for _ in self._model.measuring(self._source, self._going):
            told(self._going.looked)
            if self._pace.due(0):
                self._write()
        return self._going.found()

    def remove(self) -> None:
        """Remove what is kept: the figures have been told."""
        self._folder.empty()

    def _read(self) -> None:
        for path in self._folder.newest():
            try:
                found = read_snapshot(path)
                told = differences(found.record["identity"], self._identity)
                if not told:
                    arrays = {name: one.numpy() for name, one in found.tensors.items()}
                    self._going.take(Kept(arrays, found.record["kept"]))
            except (DamagedError, KeyError, TypeError, ValueError, AttributeError) as error:
                warnings.warn(
                    f"Figures that were kept are passed over, as they are damaged ({error}): "
                    f"'{path}'.",
                    SelfNormWarning,
                    stacklevel=3,
                )
                self._going = Measuring(self._model.encoder, self._model.target)
                continue
            if told:
                raise CheckpointError(
                    "An evaluation goes on with the same model, table and versions; what is kept "
                    f"in '{self.folder}' is of others: {told}. Evaluate as before, or remove that "
                    "folder."
                )
            self.rows = self._going.looked
            return

    def _write(self) -> None:
        """Keep what is measured; a disk that is full is told, and what was there stays."""
        begin, kept = time.monotonic(), self._going.kept
        tensors = {name: torch.from_numpy(one) for name, one in kept.arrays.items()}
        try:
            self._folder.add(Snapshot(tensors, {"identity": self._identity, "kept": kept.record}))
            self.rows = self._going.looked
        except OSError as error:
            warnings.warn(
                f"Figures could not be written to '{self.folder}' ({error.strerror or error}). The "
                "evaluation goes on, and those before stay. Make room.",
                SelfNormWarning,
                stacklevel=3,
            )
        self._pace.wrote(time.monotonic() - begin)
