"""A training on a table and its checkpoint: which table it is, and when the checkpoint may go."""

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from selfnorm.tabular._about import plain
from selfnorm.tabular._device import torch_device
from selfnorm.tabular._distribution import Distribution
from selfnorm.tabular._prepared import Prepared
from selfnorm.tabular._settings import Settings
from selfnorm.tabular.stream._stored import restored, store
from selfnorm.training import Checkpoint, Processes
from selfnorm.training._processes import ALONE
from selfnorm.training._sections import Section
from selfnorm.training._snapshot import (
    DamagedError,
    Snapshot,
    read_snapshot,
    write_snapshot,
)

# Settings that may change from one try to the next. Of `distribute` counts what it leads to.
_FREE = ("time_limit", "on_error", "device", "distribute")


class FitCheckpoint:
    """A checkpoint that is held, if there is one."""

    def __init__(self, checkpoint: Checkpoint | None, *, ours: bool) -> None:
        self._checkpoint, self._ours = checkpoint, ours

    def begin(self, ready: Prepared, settings: Settings) -> None:
        """The table is ready: look whether a training on it was cut off.

        Raises:
            CheckpointError: another training was.
        """
        if self._checkpoint is not None:
            self._checkpoint.begin(identity(ready, settings))

    def parts(
        self,
        files: Sequence[Path],
        settings: Settings,
        memory: float,
        make: Callable[[], Prepared],
        distribution: Distribution,
    ) -> Prepared:
        """A table in parts made ready; where a training before has done so, as it left it.

        Of several processes the first reads that, and tells the others.

        Args:
            files: The parts; one that was written to since is gone over again.
            settings: By which it is made ready.
            memory: Bytes that its rows may take.
            make: Goes over the parts.
            distribution: Who does so.
        """
        if self._checkpoint is None:
            return make()
        path, processes = self._checkpoint.table, distribution.processes
        own = {
            **_asked(settings),
            "memory": memory,
            "distribution": distribution.identity,
            "files": _stamped(files) if processes.rank == 0 else None,
        }
        with suppress(KeyError, TypeError, ValueError):
            if (found := processes.from_first(_left(path, own, processes.rank))) is not None:
                ready = restored(found, files, torch_device(settings.device))
                return replace(ready, distribution=distribution)
        ready = make()
        with suppress(OSError):  # a full disk is told by what is written next
            if processes.rank == 0:
                write_snapshot(path, store(ready, own))
        return ready

    def section(self, name: str) -> Section | None:
        """A part of the training; None if nothing is kept."""
        return None if self._checkpoint is None else self._checkpoint.section(name)

    def end(self, *, interrupted: bool) -> None:
        """The training is over; a checkpoint that another holds too is left to it."""
        if self._checkpoint is not None and self._ours and not interrupted:
            self._checkpoint.remove()


@contextmanager
def fit_checkpoint(
    checkpoint: Checkpoint | str | Path | None, processes: Processes = ALONE
) -> Generator[FitCheckpoint]:
    """Hold a checkpoint of those that train, if there is one.

    Raises:
        CheckpointError: another process holds it, or it holds something already.
        ArgumentError: it is of other processes.
    """
    if checkpoint is None:
        yield FitCheckpoint(None, ours=False)
        return
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint, processes=processes)
    checkpoint.require(processes)
    ours = not checkpoint.entered
    with checkpoint:
        yield FitCheckpoint(checkpoint, ours=ours)


def identity(ready: Prepared, settings: Settings) -> dict[str, Any]:
    """What has to be the same for a training to go on: versions, settings, and the table."""
    digest = hashlib.sha256()
    for numbers in _numbers(ready):
        digest.update(f"{numbers.dtype} {numbers.shape}".encode())
        digest.update(np.ascontiguousarray(numbers).data)
    parts = memory = None
    if ready.streamed is not None:
        parts = [[part.path.name, part.rows] for part in ready.streamed.reading.parts]
        memory = ready.streamed.memory  # which tells how rows are mixed
    return {
        **_asked(settings),
        "device": ready.device.type,
        "distribution": ready.distribution.identity,
        "table": {
            "target": ready.target.name,
            "rows": ready.rows,
            "features": list(ready.encoder.features),
            "parts": parts,
            "memory": memory,
            "contents": digest.hexdigest(),
        },
    }


def _asked(settings: Settings) -> dict[str, Any]:
    return {
        "versions": {package: version(package) for package in ("selfnorm", "torch")},
        "settings": {n: plain(one) for n, one in vars(settings).items() if n not in _FREE},
    }


def _stamped(files: Sequence[Path]) -> list[list[Any]]:
    """Files, their sizes, and when they were written to."""
    stats = [file.stat() for file in files]
    return [
        [str(file), one.st_size, one.st_mtime_ns] for file, one in zip(files, stats, strict=True)
    ]


def _left(path: Path, own: dict[str, Any], rank: int) -> Snapshot | None:
    """What the first process finds of a table in parts that is the same; None if there is none."""
    with suppress(DamagedError, KeyError, TypeError):
        found = read_snapshot(path) if rank == 0 else None
        if found is not None and found.record["identity"] == own:
            return found
    return None


def _numbers(ready: Prepared) -> Iterator[np.ndarray]:
    """All that is learned from; of a table in parts the rows that are in memory."""
    tensors: list[Tensor | None] = [ready.training.inputs, *ready.training.known]
    if ready.validation is not None and not ready.crossed:
        tensors += [ready.validation.inputs, *ready.validation.known]
    for one in (*tensors, ready.left_out, ready.together):
        if one is not None:
            yield one.numpy(force=True)
